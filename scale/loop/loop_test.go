package loop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/loop"
	"github.com/leat-dev/leat/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("away")

// world is a store and a target that do what the test says. Its workers obey cordons with their next
// beat, as real ones do.
type world struct {
	t  *testing.T
	mu sync.Mutex

	ready     int
	members   []scale.Member
	workers   map[string]*store.Worker // by label
	made      int                      // members that there ever were
	wanted    int
	away      error // of the store
	unseen    error // of the target
	refuse    error // of the target's writes
	rival     error
	blocked   error // why jobs cannot be handed out
	deposed   error
	ordered   bool // members go in order
	drains    bool // busy workers may be given up
	slow      bool // what was given up stays until the test removes it
	queue     store.QueueLoad
	state     store.ScalingState
	decisions []store.NewDecision
	news      []scale.News
	victims   [][]string
	cordons   map[string]int // how often
}

func newWorld(t *testing.T, replicas int) *world {
	w := &world{t: t, workers: map[string]*store.Worker{}, cordons: map[string]int{}}
	for range replicas {
		w.add()
	}
	return w
}

// add makes a replica with an idle worker.
func (w *world) add() string {
	name := w.addStarting()
	w.register(name)
	w.workers[name].RegisteredAt = time.Now().Add(-5 * time.Second)
	return name
}

// addStarting makes a replica without a worker.
func (w *world) addStarting() string {
	w.made++
	name := fmt.Sprintf("pod-%d", w.made)
	w.members = append(w.members, scale.Member{Name: name, Made: time.Now().Add(-10 * time.Second)})
	w.wanted++
	return name
}

// register is the start, or the restart, of a replica's worker.
func (w *world) register(name string) {
	w.workers[name] = &store.Worker{
		WorkerStatus: store.WorkerStatus{ID: uuid.New(), Label: name, Slots: 10, Free: 10},
		RegisteredAt: time.Now(),
	}
}

// remove is the end of a replica.
func (w *world) remove(name string) {
	w.members = slices.DeleteFunc(w.members, func(m scale.Member) bool { return m.Name == name })
	delete(w.workers, name)
}

// beat lets the workers say that they obey.
func (w *world) beat() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, worker := range w.workers {
		worker.Cordoned = worker.CordonedFor > 0
	}
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) Load(context.Context, []time.Duration, []time.Duration) ([]store.QueueLoad, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	load := w.queue
	load.Name, load.Ready.N = "default", w.ready
	return []store.QueueLoad{
		load,
		{Name: "others", Ready: store.Count{N: 1_000_000}},
	}, w.away
}

func (w *world) Arrivals(context.Context, time.Time) ([]store.HourlyArrivals, error) {
	return nil, w.away
}

func (w *world) ScalingState(context.Context, string) (store.ScalingState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.state
	state.Now = time.Now()
	return state, w.away
}

func (w *world) RecordDecision(_ context.Context, _ string, d store.NewDecision) (uuid.UUID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away != nil {
		return uuid.Nil, w.away
	}
	w.decisions = append(w.decisions, d)
	w.state.Memory = d.Memory
	return uuid.New(), nil
}

func (w *world) PruneDecisions(context.Context, time.Duration, int) (int, error) { return 0, nil }

func (w *world) Workers(context.Context) ([]store.Worker, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []store.Worker
	for _, worker := range w.workers {
		all = append(all, *worker)
	}
	return all, w.away
}

func (w *world) Cordon(_ context.Context, id uuid.UUID, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, worker := range w.workers {
		if worker.ID == id {
			worker.CordonedFor = d
			w.cordons[name]++
			return nil
		}
	}
	return store.ErrWorkerGone
}

func (w *world) Name() string { return "worker" }

func (w *world) Size(context.Context) (scale.Size, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return scale.Size{Replicas: w.wanted, Members: slices.Clone(w.members), Ordered: w.ordered, Rival: w.rival}, w.unseen
}

func (w *world) Leading() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deposed
}

func (w *world) Grow(_ context.Context, replicas int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return w.refuse
	}
	w.wanted = replicas
	return nil
}

func (w *world) Shrink(_ context.Context, replicas int, victims []string, left map[string]time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return w.refuse
	}
	for _, name := range victims {
		if worker := w.workers[name]; worker != nil && (len(worker.Runs) > 0 && !w.drains || !worker.Cordoned) {
			w.t.Errorf("%s is given up with %d runs, cordoned: %v", name, len(worker.Runs), worker.Cordoned)
		}
		if _, ok := left[name]; ok {
			w.t.Errorf("%s is empty, and is said to have work left", name)
		}
		if !w.slow {
			w.remove(name)
		}
	}
	w.wanted = replicas
	w.victims = append(w.victims, victims)
	return nil
}

func (w *world) Tell(_ context.Context, news scale.News) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.news = append(w.news, news)
}

// told, recorded and worker are copies of what there is by now.
func (w *world) told() []scale.News {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.news)
}

func (w *world) recorded() []store.NewDecision {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.decisions)
}

func (w *world) gone() [][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.victims)
}

// worker is the member's, nil when it is gone.
func (w *world) worker(name string) *store.Worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.workers[name] == nil {
		return nil
	}
	worker := *w.workers[name]
	return &worker
}

// size is what the loop has made of the fleet so far.
func (w *world) size() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wanted
}

// latest is the decision that was recorded last.
func (w *world) latest() (store.NewDecision, loop.Detail) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.decisions[len(w.decisions)-1]
	var detail loop.Detail
	if err := json.Unmarshal(d.Detail, &detail); err != nil {
		w.t.Fatal(err)
	}
	return d, detail
}

func perTen() scale.Policy {
	return scale.Policy{Max: 20, Slots: 10, Depth: &scale.Depth{JobsPerReplica: 10}}
}

// begin runs a loop until the returned function is called.
func begin(t *testing.T, w *world, policy scale.Policy) (stop func()) {
	t.Helper()
	opts := loop.DefaultOptions()
	opts.Policy, opts.Queues = policy, []string{"default"}
	opts.Deliverable = func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.blocked
	}
	opts.Logger, opts.Metrics = slog.New(slog.DiscardHandler), loop.NewMetrics(prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	l := loop.New(w, w, opts)
	go func() { done <- l.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// after lets time pass, the workers beating every five seconds, and waits until the loop is idle.
func after(w *world, d time.Duration) {
	for ; d > 0; d -= time.Second {
		<-time.After(time.Second)
		if time.Now().Second()%5 == 0 {
			w.beat()
		}
	}
	synctest.Wait()
}

// TestP9EveryDecisionIsRecorded: with what was seen, what each rule asked for and what became of it.
func TestP9EveryDecisionIsRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.ready = 95
		stop := begin(t, w, perTen())
		defer stop()
		if w.size() != 10 {
			t.Fatalf("%d replicas for 95 jobs, want 10 at once", w.size())
		}
		d, detail := w.latest()
		if d.Outcome != store.ScaleApplied || d.Current != 0 || d.Replicas != 10 || d.Bound != string(scale.RuleDepth) {
			t.Errorf("recorded %+v", d)
		}
		if diff := cmp.Diff(detail.Decision, scale.Decide(detail.Policy, detail.Observation, scale.History{})); diff != "" {
			t.Errorf("what was recorded does not lead to what was decided: %s", diff)
		}
		if news := w.told(); len(news) != 1 || news[0].Bad {
			t.Errorf("told %+v", news)
		}
		before := len(w.recorded())
		after(w, 10*time.Second)
		all := w.recorded()
		if n := len(all) - before; n != 5 {
			t.Errorf("%d decisions in 10 s, want 5", n)
		}
		first, second := all[before], all[before+3]
		if first.Same != second.Same || first.Same == "" {
			t.Error("decisions that differ only in time are not known for the same")
		}
	})
}

// TestP8OnlyEmptyWorkersGo: they are cordoned, and given up only when they have said that they
// take nothing and hold nothing.
func TestP8OnlyEmptyWorkersGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5)
		busy := w.workers["pod-4"]
		busy.Runs = []store.RunRef{{JobID: uuid.New(), Claim: uuid.New()}}
		w.ready = 15
		stop := begin(t, w, perTen())
		defer stop()
		if d, detail := w.latest(); d.Outcome != store.ScalePending || w.size() != 5 || len(detail.Leaving) != 3 {
			t.Fatalf("at first: %s, %d replicas, leaving %v", d.Outcome, w.size(), detail.Leaving)
		}
		after(w, 10*time.Second)
		if w.size() != 2 {
			t.Fatalf("%d replicas are left, want 2", w.size())
		}
		if w.worker("pod-4") == nil {
			t.Error("the busy one went")
		}
		if gone := w.gone(); len(gone) != 1 || len(gone[0]) != 3 {
			t.Errorf("given up in steps: %v", gone)
		}
	})
}

// Where too few are idle, those with the least to do take nothing more, and go once they are done.
func TestP8BusyWorkersGoWhenTheyAreDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.ready = 10
		for name, runs := range map[string]int{"pod-1": 1, "pod-2": 5, "pod-3": 2} {
			w.workers[name].Runs = make([]store.RunRef, runs)
		}
		stop := begin(t, w, perTen())
		defer stop()
		after(w, 5*time.Minute)
		if _, detail := w.latest(); w.size() != 3 || !slices.Equal(detail.Leaving, []string{"pod-1", "pod-3"}) {
			t.Fatalf("%d replicas, leaving %v, want to wait for pod-1 and pod-3", w.size(), detail.Leaving)
		}
		w.set(func() { w.workers["pod-1"].Runs = nil })
		after(w, 20*time.Second)
		if w.size() != 2 || w.worker("pod-1") != nil {
			t.Errorf("%d replicas, want pod-1 gone", w.size())
		}
		w.set(func() { w.workers["pod-3"].Runs = nil })
		after(w, 20*time.Second)
		if w.size() != 1 || w.worker("pod-2") == nil {
			t.Errorf("%d replicas, want pod-2 alone", w.size())
		}
	})
}

// A worker that took a job before it heard of the cordon is let be, and another goes instead.
func TestP8ACordonThatCameTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.ready = 15
		stop := begin(t, w, perTen())
		defer stop()
		_, detail := w.latest()
		if len(detail.Leaving) != 1 {
			t.Fatalf("leaving %v, want one", detail.Leaving)
		}
		late := detail.Leaving[0]
		w.set(func() { w.workers[late].Runs = []store.RunRef{{JobID: uuid.New(), Claim: uuid.New()}} })
		after(w, 20*time.Second)
		worker := w.worker(late)
		if w.size() != 2 || worker == nil {
			t.Fatalf("%d replicas, and %s is there: %v", w.size(), late, worker != nil)
		}
		if worker.CordonedFor != 0 {
			t.Error("it is still cordoned")
		}
	})
}

// What was about to go comes back when it is needed after all, and when the loop ends.
func TestCordonsAreLifted(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"needed", "ended"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 4)
				w.ready = 10
				stop := begin(t, w, perTen())
				ended := sync.OnceFunc(stop)
				defer ended()
				if _, detail := w.latest(); len(detail.Leaving) != 3 {
					t.Fatalf("leaving %v", detail.Leaving)
				}
				if how == "needed" {
					w.set(func() { w.ready = 40 })
					after(w, 2*time.Second)
				} else {
					ended()
				}
				for n := range 4 {
					if name := fmt.Sprintf("pod-%d", n+1); w.worker(name).CordonedFor != 0 {
						t.Errorf("%s is still cordoned", name)
					}
				}
				if w.size() != 4 {
					t.Errorf("%d replicas", w.size())
				}
			})
		})
	}
}

// A cordon is renewed while its worker is not empty yet.
func TestCordonsAreRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		stop := begin(t, w, perTen())
		defer stop()
		for range 30 { // it never beats, so it never says that it takes nothing more
			<-time.After(2 * time.Second)
		}
		synctest.Wait()
		var n int
		w.set(func() { n = w.cordons["pod-1"] })
		if n < 5 || n > 8 {
			t.Errorf("told %d times in a minute, want every ten seconds", n)
		}
		if w.size() != 1 {
			t.Error("it was given up without a word from it")
		}
	})
}

// TestP8BlindHolds: whatever cannot be seen, nothing is changed; afterwards it goes on.
func TestP8BlindHolds(t *testing.T) {
	t.Parallel()
	for what, blind := range map[string]func(w *world, err error){
		"store":  func(w *world, err error) { w.away = err },
		"target": func(w *world, err error) { w.unseen = err },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 5)
				w.ready = 50
				stop := begin(t, w, perTen())
				defer stop()
				w.set(func() { blind(w, errAway); w.ready = 0 })
				after(w, 10*time.Minute)
				if w.size() != 5 {
					t.Errorf("%d replicas, want the 5 that there were", w.size())
				}
				bad := slices.DeleteFunc(w.told(), func(n scale.News) bool { return !n.Bad })
				if len(bad) != 1 || !strings.Contains(bad[0].Message, errAway.Error()) {
					t.Errorf("told %+v, want once what is wrong", bad)
				}
				w.set(func() { blind(w, nil) })
				after(w, 20*time.Second)
				if w.size() != 0 {
					t.Errorf("%d replicas after that", w.size())
				}
			})
		})
	}
}

// A write that fails is tried again, and one that is refused says by whom.
func TestWritesThatFail(t *testing.T) {
	t.Parallel()
	for err, outcome := range map[error]store.Outcome{
		errAway: store.ScaleFailed,
		fmt.Errorf("hpa/worker: %w", scale.ErrRival):     store.ScaleRefused,
		fmt.Errorf("lease lost: %w", scale.ErrNotLeader): store.ScaleFailed,
	} {
		t.Run(err.Error(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 0)
				w.ready, w.refuse = 10, err
				stop := begin(t, w, perTen())
				defer stop()
				if d, detail := w.latest(); d.Outcome != outcome || detail.Error != err.Error() {
					t.Errorf("recorded %s, %q", d.Outcome, detail.Error)
				}
				w.set(func() { w.refuse = nil })
				after(w, 2*time.Second)
				if w.size() != 1 {
					t.Errorf("%d replicas", w.size())
				}
			})
		})
	}
}

// TestP9RivalIsToldOf: once something else scales the target, nothing is written, whether or not there
// would be anything to write, and people are told what it is.
func TestP9RivalIsToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.ready = 10
		stop := begin(t, w, perTen())
		defer stop()
		w.set(func() { w.rival = fmt.Errorf("%w: hpa", scale.ErrRival) })
		after(w, 10*time.Second)
		news := w.told()
		if d, _ := w.latest(); d.Outcome != store.ScaleRefused || len(news) != 1 || !news[0].Bad || !strings.Contains(news[0].Message, "hpa") {
			t.Errorf("recorded %s, told %+v", d.Outcome, news)
		}
		w.set(func() { w.ready = 100 })
		after(w, 10*time.Second)
		if w.size() != 1 {
			t.Errorf("%d replicas: written beside another", w.size())
		}
		w.set(func() { w.rival = nil })
		after(w, 4*time.Second)
		if w.size() != 10 {
			t.Errorf("%d replicas after it has gone", w.size())
		}
	})
}

// What one scaler has learned, the next goes on with: the window in which it may not shrink, too.
func TestMemoryOutlivesTheScaler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5)
		w.ready = 50
		p := perTen()
		p.Behavior = scale.DefaultBehavior()
		stop := begin(t, w, p)
		w.set(func() { w.ready = 0; w.remove("pod-5"); w.wanted--; w.add() }) // a start to learn from
		after(w, 4*time.Second)
		stop()
		stop = begin(t, w, p)
		defer stop()
		after(w, 4*time.Minute)
		if w.size() != 5 {
			t.Errorf("%d replicas: the next one shrinks within the window", w.size())
		}
		if _, detail := w.latest(); detail.Observation.Fleet.StartDelay != 5*time.Second {
			t.Errorf("the start delay is %v, want the 5 s that were seen", detail.Observation.Fleet.StartDelay)
		}
		after(w, 5*time.Minute)
		if w.size() != 0 {
			t.Errorf("%d replicas long after the window", w.size())
		}
	})
}
