package storetest

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func eventTests() []test {
	return []test{
		{"Story", testEventStory},
		{"Pages", testEventPages},
		{"NumberedUnderLoad", testEventsNumberedUnderLoad},
	}
}

// eventData is what the data of events can say.
type eventData struct {
	Run     int          `json:"run"`
	Worker  uuid.UUID    `json:"worker"`
	Attempt int          `json:"attempt"`
	Outcome jobs.Outcome `json:"outcome"`
	State   jobs.State   `json:"state"`
	Code    jobs.Code    `json:"code"`
	DelayMS int64        `json:"delay_ms"`
}

// testEventStory follows the data of a job's events through all that can happen to it.
func testEventStory(f *fixture) {
	lease := f.lead()
	id := f.accept(failsWithChildren)
	end := finish(f.claim(id), jobs.RunRetry)
	end.Delay = 3 * time.Millisecond
	_, err := f.s.End(f.ctx(), end)
	f.ok(err)
	f.eventually("the delay passes", func() bool { return len(f.heads()) == 1 })
	f.end(f.claim(id), jobs.RunDrained)
	f.lose(lease, f.claim(id))
	child := f.spawn(f.claim(id), upload())[0]
	f.run(child, jobs.RunFailed)
	f.becomes(id, jobs.Failed)
	_, err = f.s.Retry(f.ctx(), f.tenant, id)
	f.ok(err)
	run := f.claim(id)
	_, err = f.s.Cancel(f.ctx(), f.tenant, id)
	f.ok(err)
	f.end(run, jobs.RunCancelled)

	type entry struct {
		Type store.EventType
		Data eventData
	}
	started := func(run, attempt int) entry {
		return entry{store.EventStarted, eventData{Run: run, Worker: f.worker, Attempt: attempt}}
	}
	ended := func(outcome jobs.Outcome, state jobs.State, code jobs.Code, delay int64) entry {
		return entry{store.EventEnded, eventData{Outcome: outcome, State: state, Code: code, DelayMS: delay}}
	}
	want := []entry{
		{Type: store.EventAccepted},
		started(1, 1), ended(jobs.RunRetry, jobs.Retrying, jobs.CodeHandlerError, 3),
		started(2, 2), ended(jobs.RunDrained, jobs.Pending, "", 0),
		started(3, 2), ended(jobs.RunLost, jobs.Pending, jobs.CodeWorkerLost, 0),
		started(4, 2), ended(jobs.RunSucceeded, jobs.Waiting, "", 0),
		{store.EventSettled, eventData{State: jobs.Failed}},
		{Type: store.EventRetried},
		started(5, 1),
		{Type: store.EventCancelRequested},
		ended(jobs.RunCancelled, jobs.Cancelled, "", 0),
	}
	var got []entry
	var last time.Time
	for _, e := range f.events(id) {
		var data eventData
		if len(e.Data) > 0 {
			f.ok(json.Unmarshal(e.Data, &data))
		}
		got = append(got, entry{e.Type, data})
		if e.At.Before(last) || e.At.Location() != time.UTC {
			f.Errorf("event %d is of %v, the one before of %v", e.Seq, e.At, last)
		}
		last = e.At
	}
	f.equal("story", want, got)
}

func testEventPages(f *fixture) {
	id := f.accept()
	for range 3 {
		f.run(id, jobs.RunDrained)
	}
	all := f.events(id)
	if len(all) != 7 {
		f.Fatalf("%d events, want 7", len(all))
	}
	var pages []store.Event
	for after := 0; ; after += 3 {
		page, err := f.s.Events(f.ctx(), f.tenant, id, after, 3)
		f.ok(err)
		pages = append(pages, page...)
		if len(page) < 3 {
			break
		}
	}
	f.equal("pages of events", all, pages)
	page, err := f.s.Events(f.ctx(), f.tenant, id, 7, 3)
	if err != nil || len(page) != 0 {
		f.Errorf("after the last: %v, %v", page, err)
	}
	if _, err := f.s.Events(f.ctx(), f.tenant, uuid.New(), 0, 3); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("events of an unknown job: %v", err)
	}
}

// testEventsNumberedUnderLoad lets many change one job at once: its events are numbered without gaps,
// and there is one for each change.
func testEventsNumberedUnderLoad(f *fixture) {
	lease := f.lead()
	id := f.accept()
	together(12, func(g int) {
		for range 60 {
			switch g % 4 {
			case 0, 1:
				job, err := f.s.Job(f.ctx(), f.tenant, id)
				if err != nil {
					f.Errorf("job: %v", err)
					return
				}
				req := store.ClaimRequest{
					JobID: id, Generation: job.Generation, Claim: uuid.New(), Worker: f.worker, Kinds: []string{"inspect"}, Alone: true,
				}
				claimed, err := f.s.Claim(f.ctx(), req)
				if err != nil {
					f.Errorf("claim: %v", err)
					return
				}
				if claimed.Refused != "" {
					continue
				}
				outcome := []jobs.Outcome{jobs.RunRetry, jobs.RunDrained}[g%4]
				_, err = f.s.End(f.ctx(), finish(store.RunRef{JobID: id, Claim: req.Claim}, outcome))
				if err != nil && !errors.Is(err, store.ErrClaimLost) {
					f.Errorf("end: %v", err)
				}
			case 2:
				running, err := f.s.Running(f.ctx(), uuid.Nil, 10)
				if err != nil {
					f.Errorf("running: %v", err)
				}
				for _, r := range running {
					if _, err := f.s.ReapRuns(f.ctx(), lease, []store.RunRef{r.RunRef}); err != nil {
						f.Errorf("reap: %v", err)
					}
				}
			case 3:
				var forbidden *store.StateError
				if _, err := f.s.Cancel(f.ctx(), f.tenant, id); err != nil && !errors.As(err, &forbidden) {
					f.Errorf("cancel: %v", err)
				}
				if _, err := f.s.Retry(f.ctx(), f.tenant, id); err != nil && !errors.As(err, &forbidden) {
					f.Errorf("retry: %v", err)
				}
			}
		}
	})
	counts := map[store.EventType]int{}
	for _, e := range f.events(id) {
		counts[e.Type]++
	}
	started, ended := counts[store.EventStarted], counts[store.EventEnded]
	attempts := f.attempts(id)
	for i, a := range attempts {
		if a.Run != i+1 {
			f.Errorf("run %d has number %d", i+1, a.Run)
		}
	}
	open := 0
	if f.job(id).State == jobs.Running {
		open = 1
	}
	if started != len(attempts) || ended != started-open || started == 0 {
		f.Errorf("%d runs, %d started and %d ended; %d still run", len(attempts), started, ended, open)
	}
}
