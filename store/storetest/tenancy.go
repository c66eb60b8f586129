package storetest

import (
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func tenancyTests() []test {
	return []test{{"EveryMethod", testTenancy}}
}

// estate is what one tenant owns; intruders try their hands at it.
type estate struct {
	waiting, running, failed jobs.Job // the waiting one has a child and an artifact "a"
	pending                  store.Upload
	transfer                 store.Transfer
}

func (f *fixture) settleIn() estate {
	f.Helper()
	var e estate
	e.pending = upload()
	_, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{e.pending})
	f.ok(err)
	e.transfer = f.begin(transfer())
	waiting := f.accept()
	end := finish(f.claim(waiting), jobs.RunSucceeded)
	end.Artifacts, end.Children = []store.NewArtifact{artifact("a")}, []store.Upload{upload()}
	_, err = f.s.End(f.ctx(), end)
	f.ok(err)
	running := f.claim(f.accept()).JobID
	failed := f.accept()
	f.run(failed, jobs.RunFailed)
	e.waiting, e.running, e.failed = f.job(waiting), f.job(running), f.job(failed)
	return e
}

// filters of all sorts that fit something of the estate.
func (e estate) filters() []store.JobFilter {
	return []store.JobFilter{
		{},
		{State: jobs.Failed},
		{State: jobs.Pending},
		{Kind: "inspect"},
		{Queue: jobs.DefaultQueue},
		{FileID: e.failed.FileID},
		{ParentID: e.waiting.ID},
	}
}

// everything owned, as its owner sees it.
func (f *fixture) inventory() []trace {
	f.Helper()
	var all []trace
	for _, job := range f.list(store.JobFilter{}) {
		all = append(all, f.trace(job.ID))
	}
	return all
}

// intrusions has, for every method of store.Tenanted, what another tenant may try and how it must
// end. f is the intruder.
func intrusions() map[string]func(f *fixture, e estate) {
	notFound := func(f *fixture, what string, err error) {
		f.Helper()
		if !errors.Is(err, store.ErrNotFound) {
			f.Errorf("%s: %v, want not found", what, err)
		}
	}
	forEach := func(try func(f *fixture, job jobs.Job) error) func(*fixture, estate) {
		return func(f *fixture, e estate) {
			for _, job := range []jobs.Job{e.waiting, e.running, e.failed} {
				notFound(f, "of a "+string(job.State)+" job", try(f, job))
			}
		}
	}
	return map[string]func(*fixture, estate){
		"Accept": func(f *fixture, e estate) {
			again := e.pending // the same IDs
			if _, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{again}); err == nil {
				f.Error("another's IDs were accepted")
			}
		},
		"AcceptOnce": func(f *fixture, e estate) {
			if _, _, _, err := f.s.AcceptOnce(f.ctx(), f.tenant, once("intruder", "a"), []store.Upload{e.pending}, answering); err == nil {
				f.Error("another's IDs were accepted")
			}
		},
		"BeginOnce": func(f *fixture, _ estate) {
			mine := once("shared", "a")
			_, err := f.s.BeginOnce(f.ctx(), jobs.DefaultTenant, mine, time.Hour)
			f.ok(err)
			f.ok(f.s.EndOnce(f.ctx(), jobs.DefaultTenant, mine, &store.Answer{Status: 200, Body: []byte("mine")}))
			if answer, err := f.s.BeginOnce(f.ctx(), f.tenant, once("shared", "a"), time.Hour); answer != nil || err != nil {
				f.Errorf("another's answer: %+v, %v", answer, err)
			}
		},
		"EndOnce": func(f *fixture, _ estate) {
			mine := once("held", "a")
			_, err := f.s.BeginOnce(f.ctx(), jobs.DefaultTenant, mine, time.Hour)
			f.ok(err)
			f.ok(f.s.EndOnce(f.ctx(), f.tenant, mine, &store.Answer{Status: 200}))
			if _, err := f.s.BeginOnce(f.ctx(), jobs.DefaultTenant, once("held", "a"), time.Hour); !errors.Is(err, store.ErrOnceBusy) {
				f.Errorf("another has answered: %v", err)
			}
		},
		"BeginTransfer": func(f *fixture, e estate) {
			if _, err := f.s.BeginTransfer(f.ctx(), f.tenant, e.transfer); err == nil {
				f.Error("another's ID was taken")
			}
		},
		"Ready": func(f *fixture, _ estate) { f.equal("jobs of its own", 0, f.ready()) },
		"Transfer": func(f *fixture, e estate) {
			_, err := f.s.Transfer(f.ctx(), f.tenant, e.transfer.ID)
			notFound(f, "transfer", err)
		},
		"ClaimTransfer": func(f *fixture, e estate) {
			t, claimed, err := f.s.ClaimTransfer(f.ctx(), f.tenant, e.transfer.ID, e.transfer.Offset)
			notFound(f, "transfer", err)
			if claimed || t.BlobKey != uuid.Nil {
				f.Errorf("claimed: %t, %+v", claimed, t)
			}
		},
		"AdvanceTransfer": func(f *fixture, e estate) { f.lost("another's", f.advance(e.transfer, 1)) },
		"FinishTransfer": func(f *fixture, e estate) {
			_, err := f.endTransfer(e.transfer, whole(e.transfer))
			f.lost("another's", err)
		},
		"DropTransfer": func(f *fixture, e estate) {
			key, err := f.s.DropTransfer(f.ctx(), f.tenant, e.transfer.ID)
			notFound(f, "transfer", err)
			if key != uuid.Nil {
				f.Errorf("another's blob %v", key)
			}
		},
		"Marks": func(f *fixture, e estate) {
			marks, err := f.s.Marks(f.ctx(), f.tenant, []uuid.UUID{e.waiting.ID, e.running.ID, e.failed.ID})
			if err != nil || len(marks) != 0 {
				f.Errorf("marks %+v, %v", marks, err)
			}
		},
		"Place": func(f *fixture, e estate) {
			_, err := f.s.Place(f.ctx(), f.tenant, e.pending.Job.ID)
			notFound(f, "of a job that waits", err)
		},
		"TenantEvents": func(f *fixture, _ estate) {
			_, position, err := f.s.TenantEvents(f.ctx(), f.tenant, "", 1)
			f.ok(err)
			theirs := f.as("third").accept()
			f.as("third").follow(position, 1, 10) // it can be read
			events, _, err := f.s.TenantEvents(f.ctx(), f.tenant, position, 100)
			if err != nil || len(events) != 0 {
				f.Errorf("events %+v, %v; want none of %s", events, err, theirs)
			}
		},
		"DeleteFile": forEach(func(f *fixture, job jobs.Job) error {
			_, err := f.s.DeleteFile(f.ctx(), f.tenant, job.FileID, operator, 100)
			return err
		}),
		"Job": forEach(func(f *fixture, job jobs.Job) error {
			_, err := f.s.Job(f.ctx(), f.tenant, job.ID)
			return err
		}),
		"ListJobs": func(f *fixture, e estate) {
			for _, filter := range e.filters() {
				f.equal("another's jobs", []jobs.Job(nil), f.list(filter))
			}
		},
		"Attempts": forEach(func(f *fixture, job jobs.Job) error {
			_, err := f.s.Attempts(f.ctx(), f.tenant, job.ID)
			return err
		}),
		"Events": forEach(func(f *fixture, job jobs.Job) error {
			_, err := f.s.Events(f.ctx(), f.tenant, job.ID, 0, 10)
			return err
		}),
		"Cancel": forEach(func(f *fixture, job jobs.Job) error {
			_, err := f.s.Cancel(f.ctx(), f.tenant, job.ID)
			return err
		}),
		"Retry": forEach(func(f *fixture, job jobs.Job) error {
			_, err := f.s.Retry(f.ctx(), f.tenant, job.ID)
			return err
		}),
		"CancelJobs": func(f *fixture, e estate) {
			for _, filter := range e.filters() {
				if n, err := f.s.CancelJobs(f.ctx(), f.tenant, filter, 100); n != 0 || err != nil {
					f.Errorf("cancelled %d, %v", n, err)
				}
			}
		},
		"RetryJobs": func(f *fixture, e estate) {
			for _, filter := range e.filters() {
				if n, err := f.s.RetryJobs(f.ctx(), f.tenant, filter, 100); n != 0 || err != nil {
					f.Errorf("retried %d, %v", n, err)
				}
			}
		},
		"File": forEach(func(f *fixture, job jobs.Job) error {
			_, _, err := f.s.File(f.ctx(), f.tenant, job.FileID)
			return err
		}),
		"Artifact": func(f *fixture, e estate) {
			_, _, err := f.s.Artifact(f.ctx(), f.tenant, e.waiting.ID, "a")
			notFound(f, "artifact", err)
		},
		"Queues": func(f *fixture, _ estate) {
			for _, q := range f.queues() {
				f.equal("counts", [4]store.Count{}, [4]store.Count{q.Ready, q.Later, q.Running, q.Waiting})
				if !q.OldestAt.IsZero() || q.Age != 0 {
					f.Errorf("another's oldest job shows: %v, %v", q.OldestAt, q.Age)
				}
			}
		},
		// A pause holds for all tenants: these two are not bound, and change no job.
		"PauseQueue": func(f *fixture, _ estate) {
			f.ok(f.s.PauseQueue(f.ctx(), f.tenant, jobs.DefaultQueue))
			if !f.queue(jobs.DefaultQueue).Paused {
				f.Error("the queue is not paused")
			}
		},
		"ResumeQueue": func(f *fixture, _ estate) {
			f.ok(f.s.ResumeQueue(f.ctx(), f.tenant, jobs.DefaultQueue))
			if f.queue(jobs.DefaultQueue).Paused {
				f.Error("the queue is still paused")
			}
		},
		// Scaling is of all tenants too: these are not bound either, and change no job.
		"Targets":      func(f *fixture, _ estate) { f.targets() },
		"Decisions":    func(f *fixture, _ estate) { f.decisions("fleet") },
		"PinScaling":   func(f *fixture, _ estate) { f.ok(f.s.PinScaling(f.ctx(), f.tenant, "fleet", 1, time.Hour)) },
		"PauseScaling": func(f *fixture, _ estate) { f.ok(f.s.PauseScaling(f.ctx(), f.tenant, "fleet", true)) },
	}
}

// testTenancy goes through the methods by reflection, so that a new one needs a case.
func testTenancy(f *fixture) {
	owner, intruder := f.as("owner"), f.as("intruder")
	e := owner.settleIn()
	before := owner.inventory()
	_, artifactContent, err := f.s.Artifact(f.ctx(), owner.tenant, e.waiting.ID, "a")
	f.ok(err)

	cases := intrusions()
	var names []string
	for m := range reflect.TypeFor[store.Tenanted]().Methods() {
		names = append(names, m.Name)
		if m.Type.NumIn() < 2 || m.Type.In(1) != reflect.TypeFor[jobs.Tenant]() {
			f.Errorf("%s does not take the tenant after the context", m.Name)
		}
		try, covered := cases[m.Name]
		if !covered {
			f.Errorf("%s has no case for another tenant's things", m.Name)
			continue
		}
		try(intruder, e)
		f.equal("what the owner has after the intruder's "+m.Name, before, owner.inventory())
		f.equal("the owner's transfer after the intruder's "+m.Name, e.transfer, owner.transfer(e.transfer.ID))
	}
	for name := range cases {
		if !slices.Contains(names, name) {
			f.Errorf("there is no method %s", name)
		}
	}
	_, content, err := f.s.Artifact(f.ctx(), owner.tenant, e.waiting.ID, "a")
	f.ok(err)
	f.equal("artifact", artifactContent, content)
	if got := intruder.list(store.JobFilter{ParentID: uuid.Nil}); len(got) != 0 {
		f.Errorf("the intruder owns %+v", got)
	}
}
