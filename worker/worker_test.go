package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/worker"
)

func TestHandlerIsGivenTheFileAndItsAnswerIsKept(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		r := start(t, setup{store: s, handler: func(_ context.Context, run *jobs.Run) (any, error) {
			text, err := io.ReadAll(run.Input)
			return map[string]any{"text": string(text), "size": run.Input.Size(), "name": run.File.Name, "attempt": run.Attempt}, err
		}})
		job := r.run("work", []byte("hello"))
		r.want(job, jobs.Succeeded, "")
		if got, want := string(job.Result), `{"attempt":1,"name":"f","size":5,"text":"hello"}`; !sameJSON(got, want) {
			t.Errorf("result %s, want %s", got, want)
		}
	})
}

func TestWhatAHandlerReturnsDecidesWhatBecomesOfItsJob(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	cases := []struct {
		name   string
		handle func() (any, error)
		state  jobs.State
		code   jobs.Code
		wait   time.Duration // until it may run again, at least
	}{
		{"an error is tried again after the backoff", func() (any, error) { return nil, broken }, jobs.Retrying, jobs.CodeHandlerError, 7 * time.Second},
		{"a permanent error is not", func() (any, error) { return nil, jobs.Permanent(broken) }, jobs.Failed, jobs.CodeHandlerError, 0},
		{"nor is a refusal, whose code is kept", func() (any, error) { return nil, jobs.Fail(jobs.CodeMalformed, "cut off") }, jobs.Failed, jobs.CodeMalformed, 0},
		{"it can set the wait", func() (any, error) { return nil, jobs.RetryAfter(time.Hour, broken) }, jobs.Retrying, jobs.CodeHandlerError, 59 * time.Minute},
		{"a panic is a failure", func() (any, error) { panic("at the disco") }, jobs.Retrying, jobs.CodePanic, 7 * time.Second},
		{"a result must be JSON", func() (any, error) { return make(chan int), nil }, jobs.Failed, jobs.CodeInvalidResult, 0},
		{"and fit for a text column", func() (any, error) { return "a\x00b", nil }, jobs.Failed, jobs.CodeInvalidResult, 0},
		{"no result is a result", func() (any, error) { return nil, nil }, jobs.Succeeded, "", 0},
		{"stopping without a drain is a failure", func() (any, error) { return nil, jobs.ErrDrain }, jobs.Retrying, jobs.CodeHandlerError, 7 * time.Second},
	}
	onBothStores(t, func(t *testing.T, s store.Store) {
		handles := map[string]func() (any, error){}
		var specs []jobs.Spec
		for i, c := range cases {
			kind := fmt.Sprintf("kind-%d", i)
			handles[kind] = c.handle
			specs = append(specs, jobs.Spec{Name: kind, Version: 1})
		}
		r := start(t, setup{store: s, specs: specs, handler: func(_ context.Context, run *jobs.Run) (any, error) {
			kind, err := io.ReadAll(run.Input)
			if err != nil {
				return nil, err
			}
			return handles[string(kind)]()
		}})
		for i, c := range cases {
			job := r.run(specs[i].Name, []byte(specs[i].Name))
			t.Log(c.name)
			r.want(job, c.state, c.code)
			if wait := time.Until(job.RunAt); c.state == jobs.Retrying && wait < c.wait {
				t.Errorf("%s: may run again in %v, want at least %v", c.name, wait, c.wait)
			}
		}
	})
}

func TestRunOverItsTimeIsRecordedThoughItsHandlerGoesOn(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		release := make(chan struct{})
		r := start(t, setup{
			store: s, slots: 1, specs: []jobs.Spec{{Name: "work", Version: 1, Timeout: 50 * time.Millisecond}},
			handler: func(context.Context, *jobs.Run) (any, error) { <-release; return nil, nil },
		})
		d := r.accept("work", nil)
		done := r.source.deliver(d)
		r.eventually("the timeout is recorded", func() bool { return r.job(d.JobID).State == jobs.Retrying })
		r.want(r.job(d.JobID), jobs.Retrying, jobs.CodeTimeout)
		select {
		case <-done:
			t.Error("the slot is free although the handler still runs")
		default:
		}
		close(release)
		<-done
		if job := r.job(d.JobID); job.State != jobs.Retrying {
			t.Errorf("job is %s after the late answer, want it refused", job.State)
		}
	})
}

func TestCancelEndsARun(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		r := start(t, setup{store: s, handler: untilEnded})
		d := r.accept("work", nil)
		done := r.source.deliver(d)
		r.eventually("it runs", func() bool { return r.job(d.JobID).State == jobs.Running })
		if _, err := s.Cancel(t.Context(), tenant, d.JobID); err != nil {
			t.Fatal(err)
		}
		<-done
		r.want(r.job(d.JobID), jobs.Cancelled, "")
	})
}

// Without waiting outside the slots, jobs of a bounded kind would fill them all and others starve.
func TestBoundedKindLeavesSlotsToOthers(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		var running, most atomic.Int64
		release := make(chan struct{})
		r := start(t, setup{
			store: s, slots: 6, specs: []jobs.Spec{{Name: "open", Version: 1}, {Name: "bounded", Version: 1, Concurrency: 2}},
			handler: func(_ context.Context, run *jobs.Run) (any, error) {
				if run.Input.Size() > 0 {
					return nil, nil
				}
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				<-release
				return nil, nil
			},
		})
		var bounded []jobs.Delivery
		for range 6 { // two run, three wait for them, one is handed back
			bounded = append(bounded, r.accept("bounded", nil))
			r.source.deliver(bounded[len(bounded)-1])
		}
		r.eventually("two run", func() bool { return running.Load() == 2 })
		if job := r.run("open", []byte("x")); job.State != jobs.Succeeded {
			t.Errorf("job of another kind is %s while bounded ones wait", job.State)
		}
		r.eventually("one is handed back", func() bool {
			n := 0
			for _, d := range bounded {
				if r.job(d.JobID).Generation == 2 {
					n++
				}
			}
			return n == 1
		})
		// A backlog of the kind would else be taken and handed back as fast as the store can write.
		began := time.Now()
		<-r.source.deliver(r.accept("bounded", nil))
		if took := time.Since(began); took < 200*time.Millisecond {
			t.Errorf("a delivery more was handed back after %v, want it kept for a while", took)
		}
		close(release)
		r.source.calls.Wait()
		if most.Load() != 2 {
			t.Errorf("%d of the kind ran at once, want 2", most.Load())
		}
		succeeded := 0
		for _, d := range bounded {
			if r.job(d.JobID).State == jobs.Succeeded {
				succeeded++
			}
		}
		if succeeded != 5 {
			t.Errorf("%d of the bounded jobs succeeded, want the five that were not handed back", succeeded)
		}
	})
}

func TestKindThatIsNotKnownHereIsLeftToOthers(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		r := start(t, setup{store: s, handler: untilEnded})
		job := r.run("tomorrow", nil)
		r.want(job, jobs.Pending, "")
		if job.Generation != 2 || job.Attempt() != 1 || time.Until(job.RunAt) < 5*time.Second {
			t.Errorf("generation %d, attempt %d, due in %v; want it handed back with a delay", job.Generation, job.Attempt(), time.Until(job.RunAt))
		}
	})
}

// A suspect that ran beside others would take them down with it, and be told from them by nothing.
func TestSuspectRunsAlone(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		var running atomic.Int64
		beside := make(chan int64, 1)
		release := make(chan struct{})
		suspect := atomic.Pointer[uuid.UUID]{}
		r := start(t, setup{store: s, slots: 3, handler: func(_ context.Context, run *jobs.Run) (any, error) {
			defer running.Add(-1)
			n := running.Add(1)
			if id := suspect.Load(); id != nil && run.JobID == *id {
				beside <- n
				return nil, nil
			}
			<-release
			return nil, nil
		}})
		d := r.accept("work", nil)
		for range jobs.AloneAfter {
			d = r.lose(d)
		}
		suspect.Store(&d.JobID)
		r.source.deliver(r.accept("work", nil))
		r.eventually("a neighbour runs", func() bool { return running.Load() == 1 })
		r.source.deliver(d)
		late := r.accept("work", nil)
		r.eventually("the suspect waits, and no slot counts as free", func() bool {
			return r.me().Free == 0
		})
		lateDone := r.source.deliver(late)
		close(release)
		if n := <-beside; n != 1 {
			t.Errorf("%d ran at once, want the suspect alone", n)
		}
		<-lateDone
		r.want(r.job(d.JobID), jobs.Succeeded, "")
	})
}

// lose makes a job lose one run with its worker, and returns its next delivery.
func (r *rig) lose(d jobs.Delivery) jobs.Delivery {
	r.t.Helper()
	dead := store.WorkerStatus{ID: uuid.New(), Slots: 1, Queues: []string{"default"}, Kinds: []string{"work"}}
	if err := r.store.Register(r.t.Context(), dead); err != nil {
		r.t.Fatal(err)
	}
	claim := uuid.New()
	c, err := r.store.Claim(r.t.Context(), store.ClaimRequest{JobID: d.JobID, Generation: d.Generation, Claim: claim, Worker: dead.ID, Kinds: dead.Kinds})
	if err != nil || c.Refused != "" {
		r.t.Fatalf("claim: %v, %q", err, c.Refused)
	}
	if _, err := r.store.ReapRuns(r.t.Context(), r.fence1(), []store.RunRef{{JobID: d.JobID, Claim: claim}}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.store.Leave(r.t.Context(), dead.ID); err != nil {
		r.t.Fatal(err)
	}
	d.Generation++
	return d
}

// fence1 is a fence under a name of its own, so that it can be had again and again.
func (r *rig) fence1() store.Lease {
	r.t.Helper()
	lease, _, err := r.store.Acquire(r.t.Context(), uuid.NewString(), uuid.New(), time.Minute)
	if err != nil {
		r.t.Fatal(err)
	}
	return lease
}

func TestP5DrainHandsBackWhatDoesNotEndInTime(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		r := start(t, setup{store: s, grace: 300 * time.Millisecond, handler: func(ctx context.Context, run *jobs.Run) (any, error) {
			switch text, _ := io.ReadAll(run.Input); string(text) {
			case "finishes":
				<-run.Draining
				return "done", nil
			case "checks":
				<-run.Draining
				return nil, jobs.ErrDrain
			default:
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
		}})
		deliveries := map[string]jobs.Delivery{}
		for _, text := range []string{"finishes", "checks", "waits"} {
			deliveries[text] = r.accept("work", []byte(text))
			r.source.deliver(deliveries[text])
		}
		r.eventually("all run", func() bool { return len(r.me().Runs) == 3 || allRunning(r, deliveries) })
		r.stop()
		r.want(r.job(deliveries["finishes"].JobID), jobs.Succeeded, "")
		for _, text := range []string{"checks", "waits"} {
			job := r.job(deliveries[text].JobID)
			r.want(job, jobs.Pending, "")
			if job.Attempt() != 1 || job.Drains != 1 || job.Generation != 2 || time.Until(job.RunAt) > time.Second {
				t.Errorf("%s: attempt %d, drains %d, generation %d, due in %v; want it due at once and nothing burned",
					text, job.Attempt(), job.Drains, job.Generation, time.Until(job.RunAt))
			}
		}
		if list, err := s.Workers(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("workers %v (%v), want it signed off", list, err)
		}
	})
}

// A claim that the store grants as the drain begins is no lost run.
func TestP5DrainHearsTheClaimThatIsUnderWay(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		slow := &slowClaims{granted: make(chan struct{}), answer: make(chan struct{})}
		r := start(t, setup{
			store: s, grace: time.Minute, wrap: func(w worker.Store) worker.Store { slow.Store = w; return slow },
			handler: func(_ context.Context, run *jobs.Run) (any, error) {
				<-run.Draining
				return nil, jobs.ErrDrain
			},
		})
		d := r.accept("work", nil)
		r.source.deliver(d)
		<-slow.granted
		stopped := make(chan struct{})
		go func() { defer close(stopped); r.stop() }()
		r.eventually("the drain has begun", func() bool { me := r.me(); return me == nil || me.Draining })
		close(slow.answer)
		<-stopped
		job := r.job(d.JobID)
		r.want(job, jobs.Pending, "")
		if job.Drains != 1 || job.Losses != 0 {
			t.Errorf("drains %d, losses %d; want it handed back", job.Drains, job.Losses)
		}
	})
}

// slowClaims holds the answer to a claim back, unless it is not waited for any more.
type slowClaims struct {
	worker.Store
	granted, answer chan struct{}
}

func (s *slowClaims) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	c, err := s.Store.Claim(ctx, req)
	close(s.granted)
	select {
	case <-s.answer:
		return c, err
	case <-ctx.Done():
		return store.Claimed{}, ctx.Err()
	}
}

func allRunning(r *rig, deliveries map[string]jobs.Delivery) bool {
	for _, d := range deliveries {
		if r.job(d.JobID).State != jobs.Running {
			return false
		}
	}
	return true
}

func TestReapedWorkerEndsItsRunsAndRegistersAnew(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		ended := make(chan error, 1)
		r := start(t, setup{store: s, handler: func(ctx context.Context, _ *jobs.Run) (any, error) {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return "too late", nil
		}})
		d := r.accept("work", nil)
		r.source.deliver(d)
		r.eventually("it runs", func() bool { return r.job(d.JobID).State == jobs.Running })
		before := r.worker.ID()
		if reaped, err := s.ReapWorkers(t.Context(), r.fence(), map[uuid.UUID]int64{before: r.me().Beats}); err != nil || reaped.Runs != 1 {
			t.Fatalf("reap: %+v, %v", reaped, err)
		}
		if err := <-ended; err == nil {
			t.Error("the run's context ended without a cause")
		}
		r.eventually("it is back under a new identity", func() bool { return r.worker.ID() != before && r.me() != nil })
		job := r.job(d.JobID)
		r.want(job, jobs.Pending, "")
		if job.Losses != 1 || job.Result != nil {
			t.Errorf("losses %d, result %s; want the loss counted and nothing written", job.Losses, job.Result)
		}
	})
}

func TestWorkerAsksAgainUntilTheStoreAnswers(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		for _, lostAnswer := range []bool{false, true} {
			away := &awayStore{}
			var runs atomic.Int64
			r := start(t, setup{
				store: s, wrap: func(w worker.Store) worker.Store { away.Store = w; return away },
				handler: func(context.Context, *jobs.Run) (any, error) {
					runs.Add(1)
					away.set(true, lostAnswer) // for the record
					return "once", nil
				},
			})
			d := r.accept("work", nil)
			away.set(true, lostAnswer) // for the claim
			done := r.source.deliver(d)
			r.eventually("the claim was tried again", func() bool { return away.asked() >= 3 })
			away.set(false, false)
			asked := away.asked()
			r.eventually("the record was tried again", func() bool { return runs.Load() == 1 && away.asked() >= asked+3 })
			away.set(false, false)
			<-done
			r.want(r.job(d.JobID), jobs.Succeeded, "")
			if attempts, err := s.Attempts(t.Context(), tenant, d.JobID); err != nil || len(attempts) != 1 || runs.Load() != 1 {
				t.Errorf("%d attempts (%v), %d runs; want one of each", len(attempts), err, runs.Load())
			}
			r.stop()
		}
	})
}

func TestArtifactsAppearWithSuccessOrNever(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		large := bytes.Repeat([]byte("large"), 1<<16)
		r := start(t, setup{store: s, handler: func(ctx context.Context, run *jobs.Run) (any, error) {
			if _, err := run.Artifact(ctx, "small.txt", "text/plain", bytes.NewReader([]byte("small"))); err != nil {
				return nil, err
			}
			if _, err := run.Artifact(ctx, "large.bin", "application/octet-stream", bytes.NewReader(large)); err != nil {
				return nil, err
			}
			if _, err := run.Artifact(ctx, "small.txt", "text/plain", bytes.NewReader(nil)); err == nil {
				return nil, errors.New("a second artifact of the same name was taken")
			}
			if _, err := run.Artifact(ctx, "../up", "text/plain", bytes.NewReader(nil)); err == nil {
				return nil, errors.New("an artifact with a path for a name was taken")
			}
			if run.Input.Size() > 0 {
				return nil, jobs.Fail(jobs.CodeMalformed, "after all")
			}
			return nil, nil
		}})
		job := r.run("work", nil)
		r.want(job, jobs.Succeeded, "")
		var got []string
		for _, a := range job.Artifacts {
			got = append(got, fmt.Sprint(a.Name, " ", a.MediaType, " ", a.Size))
		}
		if diff := cmp.Diff([]string{"large.bin application/octet-stream 327680", "small.txt text/plain 5"}, got); diff != "" {
			t.Errorf("artifacts (-want +got):\n%s", diff)
		}
		_, content, err := s.Artifact(t.Context(), tenant, job.ID, "large.bin")
		if err != nil {
			t.Fatal(err)
		}
		object, err := r.blobs.Open(t.Context(), blob.Key(content.BlobKey))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(object)
		if err != nil || !bytes.Equal(text, large) {
			t.Errorf("the artifact's bytes are not those that were written (%v)", err)
		}
		if err := object.Close(); err != nil {
			t.Error(err)
		}
		if failed := r.run("work", []byte("x")); len(failed.Artifacts) != 0 {
			t.Errorf("a failed job shows artifacts %v", failed.Artifacts)
		}
	})
}

func TestProgressIsRecorded(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		release := make(chan struct{})
		r := start(t, setup{store: s, handler: func(_ context.Context, run *jobs.Run) (any, error) {
			for i := range 1000 {
				run.Progress(float64(i) / 2000)
			}
			run.Progress(0.5)
			<-release
			return nil, nil
		}})
		d := r.accept("work", nil)
		done := r.source.deliver(d)
		r.eventually("half is reported", func() bool {
			job := r.job(d.JobID)
			return job.ProgressKnown && job.Progress == 0.5
		})
		close(release)
		<-done
	})
}

func TestCordonStopsTheSourceAndCanBeUndone(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		r := start(t, setup{store: s, handler: untilEnded})
		if err := s.Cordon(t.Context(), r.worker.ID(), time.Minute); err != nil {
			t.Fatal(err)
		}
		r.eventually("it says that it is cordoned", func() bool { me := r.me(); return me.Cordoned && me.Free == 0 })
		if !r.source.isCordoned() {
			t.Error("the source is not cordoned")
		}
		if err := s.Cordon(t.Context(), r.worker.ID(), 0); err != nil {
			t.Fatal(err)
		}
		r.eventually("it takes jobs again", func() bool { me := r.me(); return !me.Cordoned && me.Free > 0 })
		if fleet := r.source.toldFleet(); fleet != 1 {
			t.Errorf("the source was told of a fleet of %d, want this one process", fleet)
		}
		if r.source.isCordoned() {
			t.Error("the source is still cordoned")
		}
	})
}

func TestMissingBytesFailTheRunWithACode(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		r := start(t, setup{store: s, handler: untilEnded})
		up := store.Upload{
			File: store.NewFile{ID: jobs.NewID(), Name: "f", Size: 5, MediaType: "text/plain", BlobKey: jobs.NewID(), StoredAt: time.Now()},
			Job:  store.NewJob{ID: jobs.NewID(), Kind: "work", KindVersion: 1, Queue: "default", MaxAttempts: 3},
		}
		if _, err := s.Accept(t.Context(), tenant, []store.Upload{up}); err != nil {
			t.Fatal(err)
		}
		<-r.source.deliver(jobs.Delivery{JobID: up.Job.ID, Generation: 1, Queue: "default"})
		r.want(r.job(up.Job.ID), jobs.Retrying, jobs.CodeInputMissing)
	})
}

func untilEnded(ctx context.Context, _ *jobs.Run) (any, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}
