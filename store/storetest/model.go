package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func modelTests() []test {
	return []test{{"RandomOperations", testModel}}
}

// model is what jobs promise, in memory: it moves only along jobs.CanMove, and to where jobs.Settle
// and jobs.SettleParent say.
type model struct {
	list   []*modelJob
	paused bool
}

// modelJob is a job as the model sees it.
type modelJob struct {
	id     uuid.UUID
	parent *modelJob
	of     int  // the parent's run that spawned it
	strict bool // fails with its children

	seen
	stopping bool // cancellation was asked for
	alone    bool // runs alone, and had to
	claim    uuid.UUID
	runs     int
	events   int
	lastEnd  *store.RunEnd
}

// seen is what is compared with the store after every step.
type seen struct {
	State                                jobs.State
	Generation, Failures, Losses, Drains int
	Stopping                             bool // of a running job
}

// move changes a job's state as the table allows.
func (m *model) move(t *rapid.T, j *modelJob, to jobs.State) {
	if !jobs.CanMove(j.State, to) {
		t.Fatalf("the model moves a job from %s to %s", j.State, to)
	}
	j.State = to
	j.events++
	if to.Ready() {
		j.Generation++
	}
	if to.Ended() {
		m.settle(t, j.parent)
	}
}

func (m *model) children(j *modelJob) (children []*modelJob) {
	for _, c := range m.list {
		if c.parent == j {
			children = append(children, c)
		}
	}
	return children
}

func (m *model) hasOpenChildren(j *modelJob) bool {
	return slices.ContainsFunc(m.children(j), func(c *modelJob) bool { return !c.State.Ended() })
}

// settle moves a waiting job on when no child of it is open any more.
func (m *model) settle(t *rapid.T, j *modelJob) {
	if j == nil || j.State != jobs.Waiting {
		return
	}
	failed := 0
	for _, c := range m.children(j) {
		if !c.State.Ended() {
			return
		}
		if c.State == jobs.Failed && c.of == j.runs {
			failed++
		}
	}
	m.move(t, j, jobs.SettleParent(failed, j.strict))
}

// cancel cancels a job, and what is open below a waiting one.
func (m *model) cancel(t *rapid.T, j *modelJob) {
	switch j.State {
	case jobs.Running:
		if !j.stopping {
			j.stopping = true
			j.events++
		}
	case jobs.Waiting:
		m.move(t, j, jobs.Cancelled)
		for _, c := range m.children(j) {
			m.cancel(t, c)
		}
	case jobs.Pending, jobs.Retrying:
		m.move(t, j, jobs.Cancelled)
	case jobs.Succeeded, jobs.Failed, jobs.Cancelled:
	}
}

// end settles a run.
func (m *model) end(t *rapid.T, j *modelJob, outcome jobs.Outcome, children []*modelJob) {
	switch outcome {
	case jobs.RunRetry, jobs.RunFailed:
		j.Failures++
	case jobs.RunLost:
		j.Losses++
	case jobs.RunDrained:
		j.Drains++
	case jobs.RunSucceeded, jobs.RunCancelled:
	}
	m.list = append(m.list, children...)
	m.move(t, j, jobs.Settle(outcome, j.stopping, len(children) > 0, j.alone))
	j.claim, j.alone = uuid.Nil, false
}

// refusal says how a claim must be answered.
func (m *model) refusal(j *modelJob, generation int, alone bool) store.Refusal {
	switch {
	case generation != j.Generation:
		return store.RefusedStale
	case !j.State.Ready():
		return store.RefusedTaken
	case m.paused:
		return store.RefusedPaused
	case j.Losses >= jobs.AloneAfter && !alone:
		return store.RefusedCrowd
	}
	return ""
}

// driver does the same to the model and to the store.
type driver struct {
	f *fixture
	model
	queue string
	lease store.Lease
	trail []string
}

func testModel(f *fixture) {
	lease := f.lead()
	rapid.Check(f.T, func(t *rapid.T) {
		d := &driver{
			f: f.as(jobs.Tenant(uuid.NewString())), queue: "q-" + uuid.NewString(), lease: lease,
		}
		t.Repeat(map[string]func(*rapid.T){
			"":         d.compare,
			"accept":   d.accept,
			"claim":    d.claim,
			"end":      d.finish,
			"endAgain": d.endAgain,
			"endLost":  d.endLost,
			"lose":     d.lose,
			"cancel":   d.cancel,
			"retry":    d.retry,
			"handBack": d.handBack,
			"deliver":  d.redeliver,
			"pause":    d.pause,
		})
		d.compareHistory(t)
	})
}

// pick chooses a job that fits, or skips the step.
func (d *driver) pick(t *rapid.T, fits func(*modelJob) bool) *modelJob {
	var some []*modelJob
	for _, j := range d.list {
		if fits(j) {
			some = append(some, j)
		}
	}
	if len(some) == 0 {
		t.Skip("no job fits") // rapid draws another step
	}
	return some[rapid.IntRange(0, len(some)-1).Draw(t, "job")]
}

func anyJob(*modelJob) bool { return true }

func isRunning(j *modelJob) bool { return j.State == jobs.Running }

func (d *driver) note(j *modelJob, format string, args ...any) {
	d.trail = append(d.trail, fmt.Sprintf("%.8s (%s) ", j.id.String()[28:], j.State)+fmt.Sprintf(format, args...))
}

func (d *driver) fail(t *rapid.T, format string, args ...any) {
	t.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(d.trail, "\n"))
}

// newJob makes an upload and its place in the model.
func (d *driver) newJob(t *rapid.T, parent *modelJob) (store.Upload, *modelJob) {
	strict := rapid.Bool().Draw(t, "strict")
	u := upload(inQueue(d.queue))
	u.Job.FailWithChildren = strict
	j := &modelJob{
		id: u.Job.ID, parent: parent, strict: strict, events: 1, seen: seen{State: jobs.Pending, Generation: 1},
	}
	if parent != nil {
		j.of = parent.runs
	}
	return u, j
}

func (d *driver) accept(t *rapid.T) {
	if len(d.list) >= 6 {
		t.Skip("enough jobs")
	}
	u, j := d.newJob(t, nil)
	if _, err := d.f.s.Accept(d.f.ctx(), d.f.tenant, []store.Upload{u}); err != nil {
		d.fail(t, "accept: %v", err)
	}
	d.list = append(d.list, j)
	d.note(j, "accepted, strict: %v", j.strict)
}

func (d *driver) claim(t *rapid.T) {
	j := d.pick(t, anyJob)
	alone := rapid.Bool().Draw(t, "alone")
	generation := j.Generation - rapid.SampledFrom([]int{0, 0, 0, 1, -1}).Draw(t, "older")
	want := d.refusal(j, generation, alone)
	d.note(j, "claim at %d of %d, alone: %v: %q", generation, j.Generation, alone, want)
	req := store.ClaimRequest{
		JobID: j.id, Generation: generation, Claim: uuid.New(), Worker: d.f.worker, Kinds: []string{"inspect"}, Alone: alone,
	}
	claimed, err := d.f.s.Claim(d.f.ctx(), req)
	if err != nil || claimed.Refused != want {
		d.fail(t, "claim: %q, %v; want %q", claimed.Refused, err, want)
	}
	if want != "" {
		return
	}
	d.move(t, j, jobs.Running)
	j.claim, j.alone = req.Claim, alone && j.Losses >= jobs.AloneAfter
	j.runs++
}

func (d *driver) finish(t *rapid.T) {
	j := d.pick(t, isRunning)
	outcome := rapid.SampledFrom([]jobs.Outcome{
		jobs.RunSucceeded, jobs.RunSucceeded, jobs.RunRetry, jobs.RunFailed, jobs.RunCancelled, jobs.RunDrained,
	}).Draw(t, "outcome")
	end := finish(store.RunRef{JobID: j.id, Claim: j.claim}, outcome)
	var children []*modelJob
	if outcome == jobs.RunSucceeded && len(d.list) < 12 {
		for range rapid.IntRange(0, 2).Draw(t, "children") {
			u, c := d.newJob(t, j)
			end.Children, children = append(end.Children, u), append(children, c)
		}
	}
	d.note(j, "end %s with %d children", outcome, len(children))
	d.end(t, j, outcome, children)
	j.lastEnd = &end
	if state, err := d.f.s.End(d.f.ctx(), end); err != nil || state != j.State {
		d.fail(t, "end: %s, %v; want %s", state, err, j.State)
	}
	for _, c := range children {
		d.note(c, "child of %.8s, strict: %v", j.id.String()[28:], c.strict)
	}
}

func (d *driver) endAgain(t *rapid.T) {
	j := d.pick(t, func(j *modelJob) bool { return j.lastEnd != nil })
	d.note(j, "end %s again", j.lastEnd.Outcome)
	if state, err := d.f.s.End(d.f.ctx(), *j.lastEnd); err != nil || state != j.State {
		d.fail(t, "the same end again: %s, %v; want %s", state, err, j.State)
	}
}

func (d *driver) endLost(t *rapid.T) {
	j := d.pick(t, anyJob)
	d.note(j, "end with a claim that never was")
	state, err := d.f.s.End(d.f.ctx(), finish(store.RunRef{JobID: j.id, Claim: uuid.New()}, jobs.RunSucceeded))
	if !errors.Is(err, store.ErrClaimLost) {
		d.fail(t, "end without the claim: %s, %v", state, err)
	}
}

func (d *driver) lose(t *rapid.T) {
	j := d.pick(t, anyJob)
	run, want := store.RunRef{JobID: j.id, Claim: j.claim}, 0
	if j.State == jobs.Running {
		want = 1
	} else {
		run.Claim = uuid.New()
	}
	d.note(j, "lose the run, alone: %v", j.alone)
	reaped, err := d.f.s.ReapRuns(d.f.ctx(), d.lease, []store.RunRef{run})
	if err != nil || reaped.Runs != want {
		d.fail(t, "reaped %+v, %v; want %d", reaped, err, want)
	}
	if want == 1 {
		d.end(t, j, jobs.RunLost, nil)
	}
}

// cancel leaves out jobs with open children that neither run nor wait for them, as those have which
// were cancelled or retried by hand when a child then was retried too: cancelling their parent may,
// like SettleParents, cancel these once more.
func (d *driver) cancel(t *rapid.T) {
	j := d.pick(t, func(j *modelJob) bool {
		return j.State == jobs.Running || j.State == jobs.Waiting || !d.hasOpenChildren(j)
	})
	d.note(j, "cancel")
	forbidden := j.State == jobs.Succeeded || j.State == jobs.Failed
	_, err := d.f.s.Cancel(d.f.ctx(), d.f.tenant, j.id)
	d.allowed(t, err, forbidden, j.State)
	d.model.cancel(t, j)
}

// retry leaves out jobs with open children, and children of an earlier run of their parent, or of one
// that was retried itself: whether the next run would have to wait for them is not laid down.
func (d *driver) retry(t *rapid.T) {
	j := d.pick(t, func(j *modelJob) bool {
		return !d.hasOpenChildren(j) && (j.parent == nil || j.of == j.parent.runs && !j.parent.State.Ready())
	})
	d.note(j, "retry")
	allowed := jobs.CanMove(j.State, jobs.Pending) && j.State != jobs.Running
	_, err := d.f.s.Retry(d.f.ctx(), d.f.tenant, j.id)
	d.allowed(t, err, !allowed, j.State)
	if allowed {
		j.Failures, j.Losses, j.stopping = 0, 0, false
		d.move(t, j, jobs.Pending)
	}
}

func (d *driver) allowed(t *rapid.T, err error, forbidden bool, state jobs.State) {
	var e *store.StateError
	if forbidden != (errors.As(err, &e) && e.State == state) || !forbidden && err != nil {
		d.fail(t, "of a %s job: %v", state, err)
	}
}

func (d *driver) handBack(t *rapid.T) {
	j := d.pick(t, anyJob)
	generation := j.Generation - rapid.IntRange(0, 1).Draw(t, "older")
	d.note(j, "hand back at %d of %d", generation, j.Generation)
	if err := d.f.s.HandBack(d.f.ctx(), j.id, generation, 0); err != nil {
		d.fail(t, "hand back: %v", err)
	}
	if j.State.Ready() && generation == j.Generation {
		j.Generation++
	}
}

func (d *driver) redeliver(t *rapid.T) {
	j := d.pick(t, anyJob)
	generation := j.Generation - rapid.IntRange(0, 1).Draw(t, "older")
	d.note(j, "deliver again at %d of %d", generation, j.Generation)
	var want []store.Delivery
	if j.State.Ready() && generation == j.Generation {
		j.Generation++
		want = []store.Delivery{{JobID: j.id, Generation: j.Generation, Queue: d.queue}}
	}
	again, err := d.f.s.Redeliver(d.f.ctx(), d.lease, []store.Delivery{{JobID: j.id, Generation: generation, Queue: d.queue}})
	if err != nil || len(again) != len(want) || len(want) == 1 && again[0] != want[0] {
		d.fail(t, "delivered again: %v, %v; want %v", again, err, want)
	}
}

func (d *driver) pause(t *rapid.T) {
	change := d.f.s.PauseQueue
	if d.paused {
		change = d.f.s.ResumeQueue
	}
	d.paused = !d.paused
	d.trail = append(d.trail, fmt.Sprintf("paused: %v", d.paused))
	if err := change(d.f.ctx(), d.f.tenant, d.queue); err != nil {
		d.fail(t, "pause: %v", err)
	}
}

// compare holds the store against the model. A parent may settle a moment after its last child.
func (d *driver) compare(t *rapid.T) {
	want := map[uuid.UUID]seen{}
	for _, j := range d.list {
		s := j.seen
		s.Stopping = j.stopping && j.State == jobs.Running
		want[j.id] = s
	}
	deadline := time.Now().Add(2 * time.Second)
	for {
		got := map[uuid.UUID]seen{}
		for _, job := range d.f.list(store.JobFilter{}) {
			got[job.ID] = seen{
				State: job.State, Generation: job.Generation, Failures: job.Failures, Losses: job.Losses, Drains: job.Drains,
				Stopping: job.CancelRequested && job.State == jobs.Running,
			}
		}
		diff := cmp.Diff(want, got)
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			d.fail(t, "the store is not as the model (-want +got):\n%s", diff)
		}
		d.f.pause()
	}
}

// compareHistory counts what is recorded of each job.
func (d *driver) compareHistory(t *rapid.T) {
	for _, j := range d.list {
		if events, runs := len(d.f.events(j.id)), len(d.f.attempts(j.id)); events != j.events || runs != j.runs {
			d.fail(t, "job %v has %d events and %d runs, want %d and %d", j.id, events, runs, j.events, j.runs)
		}
	}
}
