package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// stateTable says where each operation leaves a job that starts as its column's head says. It is
// written out apart from jobs.CanMove and jobs.Settle, which the drivers follow.
//
// "." means that the job is as it was, row, attempts and events; "=" that its state is the same, but
// something else has changed. The heads beyond the states themselves: a stopping job runs and was
// asked to stop; a suspect runs alone after two losses; a strict one waits and fails with its
// children.
const stateTable = `
operation         pending   running   stopping  suspect   retrying  waiting   strict    succeeded failed  cancelled
claim             running   .         .         .         running   .         .         .         .       .
claim-stale       .         .         .         .         .         .         .         .         .       .
claim-unknown     .         .         .         .         .         .         .         .         .       .
end-succeeded     .         succeeded succeeded succeeded .         .         .         .         .       .
end-with-child    .         waiting   waiting   waiting   .         .         .         .         .       .
end-retry         .         retrying  cancelled retrying  .         .         .         .         .       .
end-failed        .         failed    failed    failed    .         .         .         .         .       .
end-cancelled     .         cancelled cancelled cancelled .         .         .         .         .       .
end-drained       .         pending   cancelled pending   .         .         .         .         .       .
end-foreign       .         .         .         .         .         .         .         .         .       .
lost              .         pending   cancelled failed    .         .         .         .         .       .
lost-foreign      .         .         .         .         .         .         .         .         .       .
lost-with-worker  .         pending   cancelled failed    .         .         .         .         .       .
child-succeeded   .         .         .         .         .         succeeded succeeded .         .       .
child-failed      .         .         .         .         .         succeeded failed    .         .       .
child-cancelled   .         .         .         .         .         succeeded succeeded .         .       .
settle            .         .         .         .         .         .         .         .         .       .
cancel            cancelled =         .         =         cancelled cancelled cancelled .         .       .
retry             .         .         .         .         .         .         .         .         pending pending
hand-back         =         .         .         .         =         .         .         .         .       .
hand-back-stale   .         .         .         .         .         .         .         .         .       .
redeliver         =         .         .         .         =         .         .         .         .       .
redeliver-stale   .         .         .         .         .         .         .         .         .       .
`

func stateTests() []test {
	return []test{
		{"EveryOperationInEveryState", testEveryOperation},
		{"TheTableHasEveryEdge", testTableHasEveryEdge},
	}
}

// subject is a job under test, with what the operations need.
type subject struct {
	id     uuid.UUID
	run    store.RunRef // the latest, or one that never was
	worker uuid.UUID    // that ran it
	child  uuid.UUID    // the only one, of a waiting job
	lease  store.Lease
}

// starts makes a job for each head of the table.
func starts() map[string]func(*fixture, *subject) {
	running := func(f *fixture, s *subject) {
		s.id = f.accept()
		s.run = f.claimBy(s.worker, s.id)
	}
	ended := func(outcome jobs.Outcome) func(*fixture, *subject) {
		return func(f *fixture, s *subject) {
			running(f, s)
			f.end(s.run, outcome)
		}
	}
	waiting := func(options ...option) func(*fixture, *subject) {
		return func(f *fixture, s *subject) {
			s.id = f.accept(options...)
			s.run = f.claimBy(s.worker, s.id)
			s.child = f.spawn(s.run, upload())[0]
		}
	}
	return map[string]func(*fixture, *subject){
		"pending": func(f *fixture, s *subject) {
			s.id = f.accept()
			s.run = store.RunRef{JobID: s.id, Claim: uuid.New()}
		},
		"running": running,
		"stopping": func(f *fixture, s *subject) {
			running(f, s)
			_, err := f.s.Cancel(f.ctx(), f.tenant, s.id)
			f.ok(err)
		},
		"suspect": func(f *fixture, s *subject) {
			s.id = f.suspect(s.lease)
			g := *f
			g.worker = s.worker
			s.run = g.claimAlone(s.id)
		},
		"retrying":  ended(jobs.RunRetry),
		"waiting":   waiting(),
		"strict":    waiting(failsWithChildren),
		"succeeded": ended(jobs.RunSucceeded),
		"failed":    ended(jobs.RunFailed),
		"cancelled": ended(jobs.RunCancelled),
	}
}

// inState brings a fresh job into a state.
func (f *fixture) inState(head string, lease store.Lease) subject {
	f.Helper()
	s := subject{worker: f.register(), lease: lease}
	starts()[head](f, &s)
	if state, known := stateOf(head); !known {
		f.Fatalf("no start %q", head)
	} else if got := f.job(s.id).State; got != state {
		f.Fatalf("a %s job is %s", head, got)
	}
	return s
}

// stateOf gives the state that a head of the table stands for.
func stateOf(head string) (jobs.State, bool) {
	switch head {
	case "stopping", "suspect":
		return jobs.Running, true
	case "strict":
		return jobs.Waiting, true
	}
	return jobs.State(head), jobs.State(head).Valid()
}

// operation does one thing to the subject. A refused one must tell so in its own way.
type operation struct {
	do    func(f *fixture, s subject) error
	event store.EventType // that a change of state appends last
	// refusal tells whether err is right where nothing is to change; nil means that none is.
	refusal func(state jobs.State, err error) bool
}

func operations() map[string]operation {
	ops := map[string]operation{}
	addRunOperations(ops)
	addReapOperations(ops)
	addControlOperations(ops)
	return ops
}

var errRefused = errors.New("claim refused")

func addRunOperations(ops map[string]operation) {
	is := func(want error) func(jobs.State, error) bool {
		return func(_ jobs.State, err error) bool { return errors.Is(err, want) }
	}
	claim := func(change func(*store.ClaimRequest)) func(*fixture, subject) error {
		return func(f *fixture, s subject) error {
			req := f.request(s.id)
			change(&req)
			claimed, err := f.s.Claim(f.ctx(), req)
			if err == nil && claimed.Refused != "" {
				return errRefused
			}
			return err
		}
	}
	ops["claim"] = operation{claim(func(*store.ClaimRequest) {}), store.EventStarted, is(errRefused)}
	ops["claim-stale"] = operation{claim(func(r *store.ClaimRequest) { r.Generation-- }), "", is(errRefused)}
	ops["claim-unknown"] = operation{claim(func(r *store.ClaimRequest) { r.JobID = uuid.New() }), "", is(errRefused)}

	end := func(outcome jobs.Outcome, children int) func(*fixture, subject) error {
		return func(f *fixture, s subject) error {
			run := s.run
			if f.job(s.id).State != jobs.Running {
				run.Claim = uuid.New() // repeating the subject's own end would be no refusal
			}
			e := finish(run, outcome)
			for range children {
				e.Children = append(e.Children, upload())
			}
			state, err := f.s.End(f.ctx(), e)
			if now := f.job(s.id).State; err == nil && state != now {
				f.Errorf("End says %s, the job is %s", state, now)
			}
			return err
		}
	}
	for _, o := range []jobs.Outcome{jobs.RunSucceeded, jobs.RunRetry, jobs.RunFailed, jobs.RunCancelled, jobs.RunDrained} {
		ops["end-"+string(o)] = operation{end(o, 0), store.EventEnded, is(store.ErrClaimLost)}
	}
	ops["end-with-child"] = operation{end(jobs.RunSucceeded, 1), store.EventEnded, is(store.ErrClaimLost)}
	ops["end-foreign"] = operation{func(f *fixture, s subject) error {
		_, err := f.s.End(f.ctx(), finish(store.RunRef{JobID: s.id, Claim: uuid.New()}, jobs.RunSucceeded))
		return err
	}, "", is(store.ErrClaimLost)}
}

func addReapOperations(ops map[string]operation) {
	reap := func(claim func(subject) uuid.UUID) func(*fixture, subject) error {
		return func(f *fixture, s subject) error {
			_, err := f.s.ReapRuns(f.ctx(), s.lease, []store.RunRef{{JobID: s.id, Claim: claim(s)}})
			return err
		}
	}
	ops["lost"] = operation{reap(func(s subject) uuid.UUID { return s.run.Claim }), store.EventEnded, nil}
	ops["lost-foreign"] = operation{reap(func(subject) uuid.UUID { return uuid.New() }), "", nil}
	ops["lost-with-worker"] = operation{func(f *fixture, s subject) error {
		_, err := f.s.ReapWorkers(f.ctx(), s.lease, map[uuid.UUID]int64{s.worker: f.seen(s.worker).Beats})
		return err
	}, store.EventEnded, nil}

	child := func(outcome jobs.Outcome) func(*fixture, subject) error {
		return func(f *fixture, s subject) error {
			if s.child == uuid.Nil {
				return nil
			}
			f.run(s.child, outcome)
			f.eventually("the parent is settled", func() bool { return f.job(s.id).State.Ended() })
			return nil
		}
	}
	for _, o := range []jobs.Outcome{jobs.RunSucceeded, jobs.RunFailed, jobs.RunCancelled} {
		ops["child-"+string(o)] = operation{child(o), store.EventSettled, nil}
	}
	ops["settle"] = operation{func(f *fixture, s subject) error {
		_, err := f.s.SettleParents(f.ctx(), s.lease, 100)
		return err
	}, "", nil}
}

func addControlOperations(ops map[string]operation) {
	forbidden := func(want string, harmless ...jobs.State) func(jobs.State, error) bool {
		return func(state jobs.State, err error) bool {
			if slices.Contains(harmless, state) {
				return err == nil
			}
			var e *store.StateError
			return errors.As(err, &e) && *e == store.StateError{State: state, Want: want}
		}
	}
	ops["cancel"] = operation{func(f *fixture, s subject) error {
		job, err := f.s.Cancel(f.ctx(), f.tenant, s.id)
		if err == nil {
			f.equal("Cancel's answer", f.job(s.id), *job)
		}
		return err
	}, store.EventCancelled, forbidden("cancel", jobs.Running, jobs.Cancelled)}
	ops["retry"] = operation{func(f *fixture, s subject) error {
		job, err := f.s.Retry(f.ctx(), f.tenant, s.id)
		if err == nil {
			f.equal("Retry's answer", f.job(s.id), *job)
		}
		return err
	}, store.EventRetried, forbidden("retry")}

	back := func(older int) func(*fixture, subject) error {
		return func(f *fixture, s subject) error {
			return f.s.HandBack(f.ctx(), s.id, f.job(s.id).Generation-older, 0)
		}
	}
	ops["hand-back"] = operation{back(0), "", nil}
	ops["hand-back-stale"] = operation{back(1), "", nil}
	redeliver := func(older int) func(*fixture, subject) error {
		return func(f *fixture, s subject) error {
			job := f.job(s.id)
			_, err := f.s.Redeliver(f.ctx(), s.lease, []store.Delivery{
				{JobID: s.id, Generation: job.Generation - older, Queue: job.Queue},
			})
			return err
		}
	}
	ops["redeliver"] = operation{redeliver(0), "", nil}
	ops["redeliver-stale"] = operation{redeliver(1), "", nil}
}

// tableRows gives the table's heads and rows.
func tableRows() (heads []string, rows map[string][]string) {
	rows = map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(stateTable)) {
		fields := strings.Fields(line)
		if heads == nil {
			heads = fields[1:]
			continue
		}
		rows[fields[0]] = fields[1:]
	}
	return heads, rows
}

func testEveryOperation(f *fixture) {
	lease := f.lead()
	heads, rows := tableRows()
	ops := operations()
	if len(rows) != len(ops) {
		f.Fatalf("%d rows for %d operations", len(rows), len(ops))
	}
	for column, head := range heads {
		f.Run(head, func(t *testing.T) {
			g := *f
			g.T = t
			for name, row := range rows {
				g.operate(name, ops[name], g.inState(head, lease), row[column])
			}
		})
	}
}

// operate does one operation to a job and checks what the table says of it.
func (f *fixture) operate(name string, op operation, s subject, want string) {
	f.Helper()
	before := f.trace(s.id)
	err := op.do(f, s)
	after := f.trace(s.id)
	switch want {
	case ".":
		f.equal(name+" changed a "+string(before.Job.State)+" job", before, after)
		if op.refusal == nil && err != nil || op.refusal != nil && !op.refusal(before.Job.State, err) {
			f.Errorf("%s of a %s job: error %v", name, before.Job.State, err)
		}
	case "=":
		f.ok(err)
		if after.Job.State != before.Job.State || after.Job.Generation == before.Job.Generation &&
			after.Job.CancelRequested == before.Job.CancelRequested {
			f.Errorf("%s of a %s job left it %s, generation %d, cancel requested %v", name, before.Job.State,
				after.Job.State, after.Job.Generation, after.Job.CancelRequested)
		}
	default:
		f.ok(err)
		if got := after.Job.State; got != jobs.State(want) {
			f.Errorf("%s of a %s job left it %s, want %s", name, before.Job.State, got, want)
		}
		if len(after.Events) != len(before.Events)+1 || after.Events[len(after.Events)-1].Type != op.event {
			f.Errorf("%s of a %s job left events %v, want one more, %s", name, before.Job.State, f.eventTypes(s.id), op.event)
		}
		raised := after.Job.Generation - before.Job.Generation
		if again := jobs.State(want).Ready(); again && raised != 1 || !again && raised != 0 {
			f.Errorf("%s of a %s job raised its generation by %d, and it is %s", name, before.Job.State, raised, want)
		}
	}
}

// testTableHasEveryEdge holds the table against the state machine: all its edges, and no other.
func testTableHasEveryEdge(f *fixture) {
	heads, rows := tableRows()
	type edge struct{ from, to jobs.State }
	var seen []edge
	for name, row := range rows {
		for column, head := range heads {
			from, _ := stateOf(head)
			to := jobs.State(row[column])
			if row[column] == "." || row[column] == "=" {
				continue
			}
			if !jobs.CanMove(from, to) {
				f.Errorf("%s moves a job from %s to %s", name, from, to)
			}
			seen = append(seen, edge{from, to})
		}
	}
	for _, from := range jobs.States() {
		for _, to := range jobs.States() {
			if jobs.CanMove(from, to) && !slices.Contains(seen, edge{from, to}) {
				f.Errorf("no operation moves a job from %s to %s", from, to)
			}
		}
	}
}
