package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func listTests() []test {
	return []test{
		{"EveryFilter", testEveryFilter},
		{"Fields", testListedFields},
		{"Scan", testScan},
		{"Pages", testPages},
		{"PagesWhileJobsArrive", testPagesWhileJobsArrive},
	}
}

// list returns all jobs that fit, page by page.
func (f *fixture) list(filter store.JobFilter) []jobs.Job {
	f.Helper()
	return f.pages(filter, store.MaxLimit)
}

func (f *fixture) pages(filter store.JobFilter, limit int) []jobs.Job {
	f.Helper()
	var all []jobs.Job
	page := store.Page{Limit: limit}
	for {
		list, next, err := f.s.ListJobs(f.ctx(), f.tenant, filter, page)
		f.ok(err)
		if len(list) > limit || len(list) < limit && !next.IsZero() || len(list) == 0 && !page.After.IsZero() {
			f.Fatalf("a page of %d with limit %d, then more: %v", len(list), limit, !next.IsZero())
		}
		all = append(all, list...)
		if next.IsZero() {
			return all
		}
		page.After = next
	}
}

// fits is the filter's meaning.
func fits(filter store.JobFilter, job jobs.Job) bool {
	return (filter.State == "" || filter.State == job.State) &&
		(filter.Kind == "" || filter.Kind == job.Kind) &&
		(filter.Queue == "" || filter.Queue == job.Queue) &&
		(filter.FileID == uuid.Nil || filter.FileID == job.FileID) &&
		(filter.ParentID == uuid.Nil || filter.ParentID == job.ParentID)
}

func ids(list []jobs.Job) []uuid.UUID {
	out := make([]uuid.UUID, len(list))
	for i, job := range list {
		out[i] = job.ID
	}
	return out
}

// testEveryFilter compares each combination of filters with a search through all jobs.
func testEveryFilter(f *fixture) {
	kinds, queues := []string{"", "inspect", "image"}, []string{"", "default", "slow"}
	var parents []uuid.UUID
	for _, kind := range kinds[1:] {
		for _, queue := range queues[1:] {
			f.acceptMany(2, ofKind(kind), inQueue(queue))
			for _, outcome := range []jobs.Outcome{jobs.RunSucceeded, jobs.RunRetry, jobs.RunFailed, jobs.RunCancelled} {
				f.run(f.accept(ofKind(kind), inQueue(queue)), outcome)
			}
			f.claim(f.accept(ofKind(kind), inQueue(queue)))
			id := f.accept(ofKind(kind), inQueue(queue))
			children := f.spawn(f.claim(id), upload(ofKind(kind)), upload(inQueue(queue)))
			f.run(children[0], jobs.RunFailed)
			parents = append(parents, id)
		}
	}
	var all []jobs.Job
	for _, listed := range f.list(store.JobFilter{}) {
		job := f.job(listed.ID)
		all = append(all, job)
	}
	if len(all) != 4*10 {
		f.Fatalf("%d jobs are listed, want 40", len(all))
	}
	files := []uuid.UUID{uuid.Nil, all[3].FileID, uuid.New()}
	for _, state := range append(jobs.States(), "") {
		for _, kind := range append(kinds, "none") {
			for _, queue := range append(queues, "none") {
				for _, file := range files {
					for _, parent := range []uuid.UUID{uuid.Nil, parents[1], uuid.New()} {
						filter := store.JobFilter{State: state, Kind: kind, Queue: queue, FileID: file, ParentID: parent}
						want := slices.DeleteFunc(slices.Clone(all), func(job jobs.Job) bool { return !fits(filter, job) })
						f.equal(fmt.Sprintf("jobs that fit %+v", filter), ids(want), ids(f.list(filter)))
					}
				}
			}
		}
	}
	for i := 1; i < len(all); i++ {
		if a, b := all[i-1].ID, all[i].ID; a.String() <= b.String() {
			f.Errorf("job %v is listed before %v: not the newest first", a, b)
		}
	}
}

// testListedFields: a listed job is the job, but for its result, artifacts and children.
func testListedFields(f *fixture) {
	id := f.accept()
	end := finish(f.claim(id), jobs.RunSucceeded)
	end.Artifacts, end.Children = []store.NewArtifact{artifact("a")}, []store.Upload{upload()}
	_, err := f.s.End(f.ctx(), end)
	f.ok(err)
	f.run(f.accept(), jobs.RunFailed)
	run := f.claim(f.accept())
	_, err = f.s.Progress(f.ctx(), []store.RunProgress{{JobID: run.JobID, Claim: run.Claim, Progress: 0.5}})
	f.ok(err)
	for _, listed := range f.list(store.JobFilter{}) {
		want := f.job(listed.ID)
		want.Result, want.Artifacts, want.Children = nil, nil, jobs.Children{}
		f.equal("listed job", want, listed)
	}
}

// testScan: what is in no index is found by looking at a bounded number of jobs for each page.
func testScan(f *fixture) {
	var rare []uuid.UUID
	for i := range 23 {
		if i%9 == 4 {
			rare = append(rare, f.accept(inQueue("rare")))
		} else {
			f.accept()
		}
	}
	slices.Reverse(rare)
	for _, c := range []struct {
		filter store.JobFilter
		limit  int
		scan   int
		want   []uuid.UUID
		pages  int
	}{
		{store.JobFilter{Queue: "rare"}, 10, 5, rare, 5},
		{store.JobFilter{Queue: "rare"}, 10, 23, rare, 2}, // the last of them was the last: that only the next page tells
		{store.JobFilter{Queue: "rare"}, 10, 24, rare, 1},
		{store.JobFilter{Queue: "rare"}, 1, 0, rare, 3},
		{store.JobFilter{Kind: "none", State: jobs.Pending}, 10, 10, nil, 3},
		{store.JobFilter{Kind: "none"}, 10, 0, nil, 1},
	} {
		var got []uuid.UUID
		page, pages := store.Page{Limit: c.limit, Scan: c.scan}, 0
		for {
			list, next, err := f.s.ListJobs(f.ctx(), f.tenant, c.filter, page)
			f.ok(err)
			got = append(got, ids(list)...)
			if pages++; next.IsZero() || pages > 23 {
				break
			}
			page.After = next
		}
		what := fmt.Sprintf("%+v, %d looked at for a page of %d", c.filter, c.scan, c.limit)
		f.equal(what, c.want, got)
		f.equal("pages of "+what, c.pages, pages)
	}
}

func testPages(f *fixture) {
	accepted := f.acceptMany(20)
	slices.Reverse(accepted)
	for _, limit := range []int{1, 3, 5, 10, 19, 20, 21, store.MaxLimit} {
		f.equal(fmt.Sprintf("pages of %d", limit), accepted, ids(f.pages(store.JobFilter{}, limit)))
	}
	f.equal("nothing to list", []jobs.Job(nil), f.pages(store.JobFilter{Kind: "none"}, 5))

	list, _, err := f.s.ListJobs(f.ctx(), f.tenant, store.JobFilter{}, store.Page{
		After: store.Cursor{ID: accepted[4]}, Limit: 3,
	})
	f.ok(err)
	f.equal("the page after a cursor", accepted[5:8], ids(list))
}

// testPagesWhileJobsArrive: whoever was there when the first page was read is seen once, however
// many come meanwhile.
func testPagesWhileJobsArrive(f *fixture) {
	before := f.acceptMany(60)
	slices.Reverse(before)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if _, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{upload(), upload()}); err != nil {
				f.Errorf("accept: %v", err)
				return
			}
		}
	})
	for range 5 {
		seen := map[uuid.UUID]bool{}
		var old []uuid.UUID
		for _, job := range f.pages(store.JobFilter{}, 7) {
			if seen[job.ID] {
				f.Errorf("job %v is listed twice", job.ID)
			}
			seen[job.ID] = true
			if slices.Contains(before, job.ID) {
				old = append(old, job.ID)
			}
		}
		f.equal("the jobs that were there", before, old)
	}
	close(stop)
	writer.Wait()
}
