package group_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/leat-dev/leat/store/group"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a run that tells of each group it is given and waits to be let through.
type gate struct {
	entered chan []int
	open    chan struct{}
}

func newGate() *gate {
	return &gate{entered: make(chan []int), open: make(chan struct{})}
}

// run answers each request with ten times itself.
func (g *gate) run(_ context.Context, reqs []int) []group.Verdict[int] {
	g.entered <- reqs
	<-g.open
	return tenfold(reqs)
}

func tenfold(reqs []int) []group.Verdict[int] {
	verdicts := make([]group.Verdict[int], len(reqs))
	for i, r := range reqs {
		verdicts[i].Value = 10 * r
	}
	return verdicts
}

type answer struct {
	req, value int
	err        error
}

// ask calls Do in a goroutine of its own; the answers come through the channel.
func ask(ctx context.Context, g *group.Group[int, int], answers chan<- answer, req int) {
	go func() {
		v, err := g.Do(ctx, req)
		answers <- answer{req, v, err}
	}()
}

func TestCallsThatArriveTogetherShareARun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := newGate()
		g := group.New(1, 4, gate.run)
		answers := make(chan answer, 10)

		ask(t.Context(), g, answers, 0)
		if got := <-gate.entered; !slices.Equal(got, []int{0}) {
			t.Fatalf("the lone caller's group is %v", got)
		}
		for req := 1; req <= 6; req++ {
			ask(t.Context(), g, answers, req)
			synctest.Wait() // so that they arrive in this order
		}
		gate.open <- struct{}{}
		if got := <-gate.entered; !slices.Equal(got, []int{1, 2, 3, 4}) {
			t.Fatalf("the second group is %v, want the first four that waited, in order", got)
		}
		gate.open <- struct{}{}
		if got := <-gate.entered; !slices.Equal(got, []int{5, 6}) {
			t.Fatalf("the third group is %v", got)
		}
		gate.open <- struct{}{}

		for range 7 {
			if a := <-answers; a.err != nil || a.value != 10*a.req {
				t.Errorf("request %d got %d, %v", a.req, a.value, a.err)
			}
		}
		g.Close(t.Context())
	})
}

func TestALoneCallerWaitsForNoTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := group.New(1, 100, func(_ context.Context, reqs []int) []group.Verdict[int] { return tenfold(reqs) })
		start := time.Now()
		if v, err := g.Do(t.Context(), 7); v != 70 || err != nil {
			t.Fatalf("got %d, %v", v, err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it waited %v", took)
		}
		g.Close(t.Context())
	})
}

func TestRunsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := newGate()
		g := group.New(2, 1, gate.run)
		answers := make(chan answer, 10)
		for req := range 5 {
			ask(t.Context(), g, answers, req)
		}
		<-gate.entered
		<-gate.entered
		synctest.Wait()
		select {
		case got := <-gate.entered:
			t.Fatalf("a third run, %v, is under way", got)
		default:
		}
		for range 3 {
			gate.open <- struct{}{}
			<-gate.entered
		}
		gate.open <- struct{}{}
		gate.open <- struct{}{}
		for range 5 {
			if a := <-answers; a.err != nil || a.value != 10*a.req {
				t.Errorf("request %d got %d, %v", a.req, a.value, a.err)
			}
		}
		g.Close(t.Context())
	})
}

func TestLimitsBelowOneMeanOne(t *testing.T) {
	t.Parallel()
	g := group.New(0, 0, func(_ context.Context, reqs []int) []group.Verdict[int] { return tenfold(reqs) })
	if v, err := g.Do(t.Context(), 3); v != 30 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
	g.Close(t.Context())
}

func TestEachCallerGetsItsOwnVerdictUnderLoad(t *testing.T) {
	t.Parallel()
	const callers, calls, parallel, limit = 64, 200, 3, 16
	var now, most, served, runs atomic.Int64
	odd := errors.New("odd")
	g := group.New(parallel, limit, func(_ context.Context, reqs []int) []group.Verdict[int] {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if len(reqs) == 0 || len(reqs) > limit {
			t.Errorf("a group of %d", len(reqs))
		}
		runs.Add(1)
		served.Add(int64(len(reqs)))
		verdicts := tenfold(reqs)
		for i, r := range reqs {
			if r%2 == 1 {
				verdicts[i] = group.Verdict[int]{Err: odd}
			}
		}
		runtime.Gosched() // lets others gather
		return verdicts
	})

	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range calls {
				req := c*calls + i
				v, err := g.Do(t.Context(), req)
				if req%2 == 1 {
					if !errors.Is(err, odd) {
						t.Errorf("request %d: error %v", req, err)
					}
				} else if err != nil || v != 10*req {
					t.Errorf("request %d got %d, %v", req, v, err)
				}
			}
		})
	}
	wg.Wait()
	g.Close(t.Context())
	if n := served.Load(); n != callers*calls {
		t.Errorf("served %d requests of %d", n, callers*calls)
	}
	if m := most.Load(); m > parallel {
		t.Errorf("%d runs at once, at most %d allowed", m, parallel)
	}
	if r := runs.Load(); r == callers*calls {
		t.Error("no two calls ever shared a run")
	}
}

func TestACallerWhoseContextEndsStopsWaitingAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := newGate()
		g := group.New(1, 10, gate.run)
		answers := make(chan answer, 10)
		ask(t.Context(), g, answers, 1)
		<-gate.entered

		impatient, cancel := context.WithCancel(t.Context())
		ask(impatient, g, answers, 2)
		ask(t.Context(), g, answers, 3)
		synctest.Wait()
		cancel()
		if a := <-answers; a.req != 2 || !errors.Is(a.err, context.Canceled) {
			t.Fatalf("the first answer is %+v", a)
		}
		gate.open <- struct{}{}
		if a := <-answers; a.req != 1 || a.value != 10 || a.err != nil {
			t.Errorf("the caller in the run got %+v", a)
		}
		<-gate.entered
		gate.open <- struct{}{}
		if a := <-answers; a.req != 3 || a.value != 30 || a.err != nil {
			t.Errorf("the neighbour got %+v", a)
		}
		if _, err := g.Do(impatient, 4); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that comes with an ended context got %v", err)
		}
		g.Close(t.Context())
	})
}

func TestCloseServesThoseWhoWaitAndRefusesOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := newGate()
		g := group.New(1, 1, gate.run)
		answers := make(chan answer, 10)
		ask(t.Context(), g, answers, 1)
		<-gate.entered
		ask(t.Context(), g, answers, 2)
		synctest.Wait()

		closed := make(chan struct{})
		go func() { g.Close(t.Context()); close(closed) }()
		synctest.Wait()
		if _, err := g.Do(t.Context(), 3); !errors.Is(err, group.ErrClosed) {
			t.Errorf("a call after Close got %v", err)
		}
		gate.open <- struct{}{}
		<-gate.entered
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close returned while a run was under way")
		default:
		}
		gate.open <- struct{}{}
		<-closed
		for range 2 {
			if a := <-answers; a.err != nil || a.value != 10*a.req {
				t.Errorf("request %d got %d, %v", a.req, a.value, a.err)
			}
		}
		g.Close(t.Context()) // again is harmless
	})
}

func TestTheGraceOfCloseEndsTheRunsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := group.New(1, 1, func(ctx context.Context, reqs []int) []group.Verdict[int] {
			<-ctx.Done()
			return group.All[int](len(reqs), ctx.Err())
		})
		answers := make(chan answer, 1)
		ask(t.Context(), g, answers, 1)
		synctest.Wait()

		grace, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		g.Close(grace)
		if took := time.Since(start); took != time.Minute {
			t.Errorf("Close took %v of a grace of a minute", took)
		}
		if a := <-answers; !errors.Is(a.err, context.Canceled) {
			t.Errorf("the caller got %v", a.err)
		}
	})
}

func TestTheRunsContextIsNoCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		entered := make(chan context.Context, 1)
		open := make(chan struct{})
		g := group.New(1, 1, func(ctx context.Context, reqs []int) []group.Verdict[int] {
			entered <- ctx
			<-open
			return tenfold(reqs)
		})
		caller, cancel := context.WithCancel(t.Context())
		answers := make(chan answer, 1)
		ask(caller, g, answers, 1)
		ctx := <-entered
		cancel()
		<-answers
		if err := ctx.Err(); err != nil {
			t.Errorf("the run's context ended with its caller's: %v", err)
		}
		open <- struct{}{}
		g.Close(t.Context())
		if ctx.Err() == nil {
			t.Error("the run's context outlives Close")
		}
	})
}

func TestARunThatDoesNotAnswerHarmsItsOwnCallersOnly(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(reqs []int) []group.Verdict[int]{
		"panic":    func([]int) []group.Verdict[int] { panic("of the test") },
		"too few":  func([]int) []group.Verdict[int] { return nil },
		"too many": func(reqs []int) []group.Verdict[int] { return make([]group.Verdict[int], len(reqs)+1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := group.New(1, 1, func(_ context.Context, reqs []int) []group.Verdict[int] {
				if reqs[0] < 0 {
					return run(reqs)
				}
				return tenfold(reqs)
			})
			_, err := g.Do(t.Context(), -1)
			if !errors.Is(err, group.ErrNoVerdict) {
				t.Errorf("the caller got %v", err)
			}
			if name == "panic" && !strings.Contains(err.Error(), "of the test") {
				t.Errorf("the error hides the panic: %v", err)
			}
			if v, err := g.Do(t.Context(), 4); v != 40 || err != nil {
				t.Errorf("the next caller got %d, %v", v, err)
			}
			g.Close(t.Context())
		})
	}
}

func TestServedRequestsAreLetGo(t *testing.T) {
	t.Parallel()
	// A burst leaves the list of those who wait with a large array; what was in it must be free.
	entered, open := make(chan struct{}), make(chan struct{})
	g := group.New(1, 1000, func(_ context.Context, reqs []*[1 << 16]byte) []group.Verdict[int] {
		entered <- struct{}{}
		<-open
		return make([]group.Verdict[int], len(reqs))
	})
	const burst = 50
	var freed atomic.Int64
	var started, done sync.WaitGroup
	call := func() {
		content := new([1 << 16]byte)
		runtime.AddCleanup(content, func(struct{}) { freed.Add(1) }, struct{}{})
		started.Done()
		if _, err := g.Do(t.Context(), content); err != nil {
			t.Errorf("Do: %v", err)
		}
	}
	started.Add(1)
	done.Go(call)
	<-entered
	started.Add(burst)
	for range burst {
		done.Go(call)
	}
	started.Wait()
	served := make(chan struct{})
	go func() { done.Wait(); close(served) }()
	for running := true; running; {
		select {
		case open <- struct{}{}:
		case <-entered:
		case <-served:
			running = false
		}
	}

	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for freed.Load() <= burst {
		runtime.GC()
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d of %d requests were let go", freed.Load(), burst+1)
		}
	}
	g.Close(t.Context())
}
