package storetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func feedTests() []test {
	return []test{
		{"Order", testFeedOrder},
		{"SkipsNothingUnderLoad", testFeedSkipsNothing},
		{"SkipsNothingAfterPruning", testFeedAfterPruning},
	}
}

// feed reads events from a position until want of them are there, limit at a time.
func (f *fixture) feed(position string, want, limit int) ([]store.FeedEvent, string) {
	f.Helper()
	var all []store.FeedEvent
	f.eventually(fmt.Sprintf("%d events come", want), func() bool {
		page, next, err := f.s.EventsAfter(f.ctx(), position, limit)
		f.ok(err)
		if len(page) > limit {
			f.Fatalf("%d events, at most %d were asked for", len(page), limit)
		}
		if len(page) > 0 && next == position {
			f.Fatal("events came, and the position is the same")
		}
		all, position = append(all, page...), next
		return len(all) >= want
	})
	return all, position
}

func testFeedOrder(f *fixture) {
	if events, position, err := f.s.EventsAfter(f.ctx(), "", 10); err != nil || len(events) != 0 {
		f.Errorf("an empty store has events %v at %q, %v", events, position, err)
	}
	id, other := f.accept(), f.as("other").accept()
	f.run(id, jobs.RunRetry)
	f.as("other").run(other, jobs.RunSucceeded)
	f.run(id, jobs.RunSucceeded)

	var resumed string
	for _, limit := range []int{1, 2, 3, 100} {
		all, position := f.feed("", 8, limit)
		byJob := map[uuid.UUID][]store.Event{}
		for _, e := range all {
			byJob[e.JobID] = append(byJob[e.JobID], e.Event)
			if want := map[uuid.UUID]jobs.Tenant{id: f.tenant, other: "other"}[e.JobID]; e.Tenant != want {
				f.Errorf("an event of tenant %q has tenant %q", want, e.Tenant)
			}
		}
		f.equal("events of one job", f.events(id), byJob[id])
		f.equal("events of the other", f.as("other").events(other), byJob[other])
		events, next, err := f.s.EventsAfter(f.ctx(), position, limit)
		f.ok(err)
		if len(events) != 0 {
			f.Errorf("after the last event come %+v", events)
		}
		resumed = next
	}

	late := f.accept()
	all, _ := f.feed(resumed, 1, 10)
	if len(all) != 1 || all[0].JobID != late || all[0].Type != store.EventAccepted {
		f.Errorf("resumed, it reads %+v", all)
	}
}

// testFeedAfterPruning: the latest events are pruned with their jobs, and whoever has read them still
// gets those that come after.
func testFeedAfterPruning(f *fixture) {
	f.run(f.accept(), jobs.RunSucceeded)
	_, position := f.feed("", 3, 100)
	f.prune()
	if events, next, err := f.s.EventsAfter(f.ctx(), position, 10); err != nil || len(events) != 0 {
		f.Errorf("with all events pruned it reads %v up to %q, %v", events, next, err)
	}
	late := f.accept()
	all, _ := f.feed(position, 1, 100)
	if len(all) != 1 || all[0].JobID != late {
		f.Errorf("it reads %+v", all)
	}
	all, _ = f.feed("", 1, 100)
	if len(all) != 1 || all[0].JobID != late {
		f.Errorf("from the beginning it reads %+v", all)
	}
}

// testFeedSkipsNothing reads while many write: every event comes once, and in its job's order.
func testFeedSkipsNothing(f *fixture) {
	const writers, each = 10, 20
	expected := writers * each * 5 // accepted, started, ended, started, ended
	var writing sync.WaitGroup
	defer writing.Wait() // also when the reader ends the test
	for w := range writers {
		writing.Go(func() {
			for range each {
				if err := f.writeStory(w); err != nil {
					f.Errorf("writer: %v", err)
					return
				}
			}
		})
	}
	var readers sync.WaitGroup
	for _, limit := range []int{1000, 7} {
		readers.Go(func() {
			ctx, cancel := context.WithTimeout(f.ctx(), 3*patience)
			defer cancel()
			next := map[uuid.UUID]int{}
			position, seen := "", 0
			for seen < expected && !f.Failed() {
				page, after, err := f.s.EventsAfter(ctx, position, limit)
				if err != nil {
					f.Errorf("feed, after %d of %d events: %v", seen, expected, err)
					return
				}
				for _, e := range page {
					if next[e.JobID]++; e.Seq != next[e.JobID] {
						f.Errorf("event %d of job %v came where %d was due", e.Seq, e.JobID, next[e.JobID])
					}
				}
				position, seen = after, seen+len(page)
				if len(page) == 0 {
					f.pause()
				}
			}
		})
	}
	readers.Wait()
}

// writeStory takes one job through a retry to its success, for a goroutine that must not end the
// test.
func (f *fixture) writeStory(writer int) error {
	u := upload(inQueue(fmt.Sprintf("writer-%d", writer)))
	if _, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{u}); err != nil {
		return err
	}
	for generation, outcome := range []jobs.Outcome{jobs.RunRetry, jobs.RunSucceeded} {
		req := store.ClaimRequest{
			JobID: u.Job.ID, Generation: generation + 1, Claim: uuid.New(), Worker: f.worker, Kinds: []string{"inspect"},
		}
		claimed, err := f.s.Claim(f.ctx(), req)
		if err != nil {
			return err
		}
		if claimed.Refused != "" {
			return fmt.Errorf("claim refused: %s", claimed.Refused)
		}
		if _, err := f.s.End(f.ctx(), finish(store.RunRef{JobID: u.Job.ID, Claim: req.Claim}, outcome)); err != nil {
			return err
		}
	}
	return nil
}
