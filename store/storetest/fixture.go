package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// patience bounds every wait for something that must come.
const patience = 20 * time.Second

// fixture is one test's store, with shortcuts that end the test where a step fails that it takes
// for granted.
type fixture struct {
	*testing.T
	s      store.Store
	tenant jobs.Tenant
	worker uuid.UUID // a registered one
}

func newFixture(t *testing.T, s store.Store) *fixture {
	f := &fixture{T: t, s: s, tenant: jobs.DefaultTenant}
	f.worker = f.register()
	return f
}

// as gives the same store as another tenant sees it.
func (f *fixture) as(tenant jobs.Tenant) *fixture {
	g := *f
	g.tenant = tenant
	return &g
}

func (f *fixture) ctx() context.Context { return f.Context() }

// ok ends the test when err is not nil.
func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// sameJSON compares documents as a whole: byte by byte the largest take seconds.
var sameJSON = cmp.FilterValues(
	func(a, b json.RawMessage) bool { return len(a)+len(b) > 0 }, // else EquateEmpty compares them
	cmp.Comparer(func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }),
)

// equal reports how got differs from want. Empty and nil are the same.
func (f *fixture) equal(what string, want, got any) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), sameJSON); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// eventually waits until cond holds, asking every few milliseconds.
func (f *fixture) eventually(what string, cond func() bool) {
	f.Helper()
	f.within(patience, 5*time.Millisecond, what, cond)
}

func (f *fixture) within(limit, every time.Duration, what string, cond func() bool) {
	f.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			if !cond() { // on a busy machine the last tick may not have been seen
				f.Fatalf("not within %v: %s", limit, what)
			}
			return
		}
	}
}

// pause lets a reader that polls wait for a moment, or until the test is over.
func (f *fixture) pause() {
	moment := time.NewTimer(2 * time.Millisecond)
	defer moment.Stop()
	select {
	case <-moment.C:
	case <-f.ctx().Done():
	}
}

// together runs n calls at once, let go at the same moment, and waits for them.
func together(n int, call func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			call(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// impatient gives a context that ends after d when it gives up, and the test's own otherwise.
func (f *fixture) impatient(givesUp bool, d time.Duration) (context.Context, context.CancelFunc) {
	if !givesUp {
		return f.ctx(), func() {}
	}
	return context.WithTimeout(f.ctx(), d)
}

func (f *fixture) job(id uuid.UUID) jobs.Job {
	f.Helper()
	job, err := f.s.Job(f.ctx(), f.tenant, id)
	f.ok(err)
	return *job
}

// state checks in which state a job is.
func (f *fixture) state(id uuid.UUID, want jobs.State) {
	f.Helper()
	if got := f.job(id).State; got != want {
		f.Errorf("job is %s, want %s", got, want)
	}
}

// becomes waits until a job is in a state.
func (f *fixture) becomes(id uuid.UUID, want jobs.State) {
	f.Helper()
	f.eventually("job becomes "+string(want), func() bool { return f.job(id).State == want })
}

// register makes a worker known that beats no more.
func (f *fixture) register() uuid.UUID {
	f.Helper()
	id := uuid.New()
	f.ok(f.s.Register(f.ctx(), status(id)))
	return id
}

func status(id uuid.UUID) store.WorkerStatus {
	return store.WorkerStatus{
		ID: id, Label: "worker-" + id.String()[:8], Version: "v1.2.3", Slots: 8, Free: 8,
		Queues: []string{jobs.DefaultQueue}, Kinds: []string{"inspect"},
	}
}

// request asks for a job as it stands, for the fixture's worker.
func (f *fixture) request(id uuid.UUID) store.ClaimRequest {
	f.Helper()
	job := f.job(id)
	return store.ClaimRequest{
		JobID: id, Generation: job.Generation, Claim: uuid.New(), Worker: f.worker, Kinds: []string{job.Kind},
	}
}

// grant makes a claim that must be granted.
func (f *fixture) grant(req store.ClaimRequest) store.Claimed {
	f.Helper()
	claimed, err := f.s.Claim(f.ctx(), req)
	f.ok(err)
	if claimed.Refused != "" {
		f.Fatalf("claim refused: %s", claimed.Refused)
	}
	return claimed
}

// refuse makes a claim that must be refused for the given reason.
func (f *fixture) refuse(req store.ClaimRequest, want store.Refusal) {
	f.Helper()
	claimed, err := f.s.Claim(f.ctx(), req)
	f.ok(err)
	if claimed.Refused != want {
		f.Errorf("claim refused for %q, want %q", claimed.Refused, want)
	}
}

// claim starts a run of the job.
func (f *fixture) claim(id uuid.UUID) store.RunRef {
	f.Helper()
	req := f.request(id)
	f.grant(req)
	return store.RunRef{JobID: id, Claim: req.Claim}
}

// claimBy starts a run on a given worker.
func (f *fixture) claimBy(worker, id uuid.UUID) store.RunRef {
	f.Helper()
	g := *f
	g.worker = worker
	return g.claim(id)
}

// finish makes a run's end with what its outcome takes.
func finish(run store.RunRef, outcome jobs.Outcome) store.RunEnd {
	end := store.RunEnd{JobID: run.JobID, Claim: run.Claim, Outcome: outcome}
	switch outcome {
	case jobs.RunSucceeded:
		end.Result = json.RawMessage(`{"done":true}`)
	case jobs.RunRetry, jobs.RunFailed:
		end.Error = &jobs.Error{Code: jobs.CodeHandlerError, Message: "it broke"}
	case jobs.RunCancelled, jobs.RunDrained, jobs.RunLost:
	}
	return end
}

// end records an end that must be taken, and returns the job's state.
func (f *fixture) end(run store.RunRef, outcome jobs.Outcome) jobs.State {
	f.Helper()
	state, err := f.s.End(f.ctx(), finish(run, outcome))
	f.ok(err)
	return state
}

// spawn ends a run with success and the given children, and returns the children's IDs.
func (f *fixture) spawn(run store.RunRef, children ...store.Upload) []uuid.UUID {
	f.Helper()
	end := finish(run, jobs.RunSucceeded)
	end.Children = children
	state, err := f.s.End(f.ctx(), end)
	f.ok(err)
	if state != jobs.Waiting {
		f.Fatalf("with children the job is %s, want waiting", state)
	}
	ids := make([]uuid.UUID, len(children))
	for i, c := range children {
		ids[i] = c.Job.ID
	}
	return ids
}

// parent makes a waiting job with n pending children.
func (f *fixture) parent(n int, options ...option) (uuid.UUID, []uuid.UUID) {
	f.Helper()
	id := f.accept(options...)
	children := make([]store.Upload, n)
	for i := range children {
		children[i] = upload()
	}
	return id, f.spawn(f.claim(id), children...)
}

// run claims a job and ends it.
func (f *fixture) run(id uuid.UUID, outcome jobs.Outcome) jobs.State {
	f.Helper()
	return f.end(f.claim(id), outcome)
}

// lead takes a lease that lasts for the whole test.
func (f *fixture) lead() store.Lease {
	f.Helper()
	lease, _, err := f.s.Acquire(f.ctx(), "leader", uuid.New(), time.Hour)
	f.ok(err)
	return lease
}

// lose takes a run back as the reaper does.
func (f *fixture) lose(lease store.Lease, run store.RunRef) {
	f.Helper()
	reaped, err := f.s.ReapRuns(f.ctx(), lease, []store.RunRef{run})
	f.ok(err)
	if reaped.Runs != 1 {
		f.Fatalf("reaped %d runs, want 1", reaped.Runs)
	}
}

// suspect makes a job that was lost so often that it must run alone.
func (f *fixture) suspect(lease store.Lease, options ...option) uuid.UUID {
	f.Helper()
	id := f.accept(options...)
	for range jobs.AloneAfter {
		f.lose(lease, f.claim(id))
	}
	return id
}

// claimAlone starts a run of the job in a process that holds nothing else.
func (f *fixture) claimAlone(id uuid.UUID) store.RunRef {
	f.Helper()
	req := f.request(id)
	req.Alone = true
	f.grant(req)
	return store.RunRef{JobID: id, Claim: req.Claim}
}

func (f *fixture) attempts(id uuid.UUID) []jobs.Attempt {
	f.Helper()
	attempts, err := f.s.Attempts(f.ctx(), f.tenant, id)
	f.ok(err)
	return attempts
}

// events returns all events of a job, after checking that they are numbered without gaps.
func (f *fixture) events(id uuid.UUID) []store.Event {
	f.Helper()
	events, err := f.s.Events(f.ctx(), f.tenant, id, 0, 1000)
	f.ok(err)
	for i, e := range events {
		if e.Seq != i+1 || e.JobID != id {
			f.Errorf("event %d of %v has number %d, job %v", i+1, id, e.Seq, e.JobID)
		}
	}
	return events
}

// eventTypes lists the types of a job's events.
func (f *fixture) eventTypes(id uuid.UUID) []store.EventType {
	f.Helper()
	var types []store.EventType
	for _, e := range f.events(id) {
		types = append(types, e.Type)
	}
	return types
}

// trace is everything that the store tells of a job.
type trace struct {
	Job      jobs.Job
	Attempts []jobs.Attempt
	Events   []store.Event
}

func (f *fixture) trace(id uuid.UUID) trace {
	f.Helper()
	return trace{Job: f.job(id), Attempts: f.attempts(id), Events: f.events(id)}
}

// unchanged checks that a job is as it was before.
func (f *fixture) unchanged(what string, before trace) {
	f.Helper()
	f.equal(what+" changed the job", before, f.trace(before.Job.ID))
}

// sameJSON checks that two texts say the same: a database may keep JSON in a form of its own.
func (f *fixture) sameJSON(what string, want, got json.RawMessage) {
	f.Helper()
	var w, g any
	f.ok(json.Unmarshal(want, &w))
	if err := json.Unmarshal(got, &g); err != nil {
		f.Errorf("%s %q is not JSON: %v", what, got, err)
		return
	}
	f.equal(what, w, g)
}
