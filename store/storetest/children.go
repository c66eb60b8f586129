package storetest

import (
	"encoding/json"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func childrenTests() []test {
	return []test{
		{"AreJobs", testChildrenAreJobs},
		{"SettleTheirParent", testChildrenSettle},
		{"OfAStrictParent", testChildrenOfStrictParent},
		{"LastTwoAtOnce", testLastTwoChildrenAtOnce},
		{"ManyAtOnce", testManyChildrenAtOnce},
		{"Nested", testNestedChildren},
		{"EveryWayToEnd", testEveryWayForAChildToEnd},
		{"CancelledWithTheirParent", testCancelBelow},
		{"RetriedWhileTheirParentWaits", testRetriedChild},
		{"OfARetriedParent", testRetriedParent},
		{"OfARetriedParentWithASharedBlob", testRetriedParentSharesItsBlob},
		{"OfAParentAskedToStop", testChildrenOfStoppingParent},
		{"SafetyNet", testSettleParentsIsASafetyNet},
		{"SafetyNetCancels", testSettleParentsCancels},
		{"SafetyNetIsFenced", testSettleParentsFenced},
	}
}

func testChildrenAreJobs(f *fixture) {
	id := f.accept()
	blob := uuid.New()
	run := f.claim(id)
	f.ok(f.s.HoldBlob(f.ctx(), id, run.Claim, blob))
	children := []store.Upload{
		upload(inQueue("never-heard-of"), ofKind("image"), withBudget), upload(later), upload(inBlob(blob)),
	}
	ids := f.spawn(run, children...)
	for i, child := range ids {
		job := f.job(child)
		want := children[i]
		f.sameJSON("parameters", want.Job.Params, job.Params)
		runAt := want.Job.RunAt
		if runAt.IsZero() {
			runAt = job.RunAt
		}
		f.equal("child", jobs.Job{
			ID: child, Tenant: f.tenant, FileID: want.File.ID, ParentID: id, Kind: want.Job.Kind, KindVersion: 1,
			Queue: want.Job.Queue, Params: job.Params, ParamsHash: want.Job.ParamsHash, Budget: want.Job.Budget, State: jobs.Pending,
			Generation: 1, MaxAttempts: 5, RunAt: runAt, CreatedAt: job.CreatedAt,
		}, job)
		f.equal("events of a child", []store.EventType{store.EventAccepted}, f.eventTypes(child))
		_, content, err := f.s.File(f.ctx(), f.tenant, want.File.ID)
		f.ok(err)
		f.equal("content of a child", store.Content{Inline: want.File.Content, BlobKey: want.File.BlobKey}, content)
	}
	f.equal("children", jobs.Children{Pending: 3}, f.job(id).Children)
	if job := f.job(id); !job.FinishedAt.IsZero() || len(job.Result) == 0 {
		f.Errorf("while it waits, the parent is %+v", job)
	}

	heads := map[uuid.UUID]string{}
	for _, d := range f.heads() {
		heads[d.JobID] = d.Queue
	}
	f.equal("heads", map[uuid.UUID]string{ids[0]: "never-heard-of", ids[2]: jobs.DefaultQueue}, heads)
	granted := f.grant(f.request(ids[0]))
	f.equal("budget that a run is given", children[0].Job.Budget, granted.Job.Budget)
	f.equal("children", jobs.Children{Pending: 2, Running: 1}, f.job(id).Children)
}

func testChildrenSettle(f *fixture) {
	id, children := f.parent(4)
	f.run(children[0], jobs.RunSucceeded)
	f.run(children[1], jobs.RunFailed)
	f.run(children[2], jobs.RunRetry)
	_, err := f.s.Cancel(f.ctx(), f.tenant, children[3])
	f.ok(err)
	f.state(id, jobs.Waiting)
	f.equal("children", jobs.Children{Pending: 1, Succeeded: 1, Failed: 1, Cancelled: 1}, f.job(id).Children)

	f.run(children[2], jobs.RunSucceeded)
	f.becomes(id, jobs.Succeeded)
	job := f.job(id)
	f.equal("children", jobs.Children{Succeeded: 2, Failed: 1, Cancelled: 1}, job.Children)
	if job.FinishedAt.IsZero() || job.Error != nil || len(job.Result) == 0 {
		f.Errorf("settled, the parent is %+v", job)
	}
	f.equal("events", []store.EventType{
		store.EventAccepted, store.EventStarted, store.EventEnded, store.EventSettled,
	}, f.eventTypes(id))
}

func testChildrenOfStrictParent(f *fixture) {
	id, children := f.parent(2, failsWithChildren)
	f.run(children[0], jobs.RunFailed)
	f.state(id, jobs.Waiting)
	f.run(children[1], jobs.RunSucceeded)
	f.becomes(id, jobs.Failed)
	job := f.job(id)
	if job.FinishedAt.IsZero() || job.Error == nil || job.Error.Code != jobs.CodeChildren || job.Error.Message == "" {
		f.Errorf("failed with its child, the parent is %+v", job)
	}

	id, children = f.parent(2, failsWithChildren)
	f.run(children[0], jobs.RunCancelled)
	f.run(children[1], jobs.RunSucceeded)
	f.becomes(id, jobs.Succeeded)
}

// testLastTwoChildrenAtOnce: neither of two ends sees the other's child as ended when both commit
// together, yet the parent must not be forgotten.
func testLastTwoChildrenAtOnce(f *fixture) {
	for round := range 40 {
		id, children := f.parent(2)
		runs := []store.RunRef{f.claim(children[0]), f.claim(children[1])}
		together(2, func(i int) {
			if round%2 == 0 || i == 0 {
				if _, err := f.s.End(f.ctx(), finish(runs[i], jobs.RunSucceeded)); err != nil {
					f.Errorf("end: %v", err)
				}
				return
			}
			if _, err := f.s.End(f.ctx(), finish(runs[i], jobs.RunFailed)); err != nil {
				f.Errorf("end: %v", err)
			}
		})
		f.becomes(id, jobs.Succeeded)
		if n := len(f.events(id)); n != 4 {
			f.Errorf("settled once, the parent has %d events", n)
		}
	}
}

func testManyChildrenAtOnce(f *fixture) {
	const parents, each = 6, 12
	ids := make([]uuid.UUID, parents)
	var runs []store.RunRef
	for p := range ids {
		id, children := f.parent(each, failsWithChildren)
		ids[p] = id
		for _, c := range children {
			runs = append(runs, f.claim(c))
		}
	}
	together(len(runs), func(i int) {
		outcome := jobs.RunSucceeded
		if i == 2*each+5 || i == parents*each-1 { // of the third parent and of the last
			outcome = jobs.RunFailed
		}
		if _, err := f.s.End(f.ctx(), finish(runs[i], outcome)); err != nil {
			f.Errorf("end: %v", err)
		}
	})
	for p, id := range ids {
		want := jobs.Succeeded
		if p == 2 || p == parents-1 {
			want = jobs.Failed
		}
		f.becomes(id, want)
	}
}

func testNestedChildren(f *fixture) {
	const depth = 6
	for _, tc := range []struct {
		outcome jobs.Outcome
		want    jobs.State
	}{{jobs.RunSucceeded, jobs.Succeeded}, {jobs.RunFailed, jobs.Failed}} {
		chain := []uuid.UUID{f.accept(failsWithChildren)}
		for range depth {
			chain = append(chain, f.spawn(f.claim(chain[len(chain)-1]), upload(failsWithChildren))...)
		}
		for _, id := range chain[:depth] {
			f.state(id, jobs.Waiting)
		}
		f.run(chain[depth], tc.outcome)
		for i := depth - 1; i >= 0; i-- {
			f.becomes(chain[i], tc.want)
		}
	}
}

// testEveryWayForAChildToEnd: the parent is settled in whichever way its last child ends.
func testEveryWayForAChildToEnd(f *fixture) {
	lease := f.lead()
	ways := map[string]func(child uuid.UUID){
		"cancelled while pending": func(child uuid.UUID) {
			_, err := f.s.Cancel(f.ctx(), f.tenant, child)
			f.ok(err)
		},
		"cancelled in bulk": func(child uuid.UUID) {
			_, err := f.s.CancelJobs(f.ctx(), f.tenant, store.JobFilter{ParentID: f.job(child).ParentID}, 10)
			f.ok(err)
		},
		"asked to stop, then drained": func(child uuid.UUID) {
			run := f.claim(child)
			_, err := f.s.Cancel(f.ctx(), f.tenant, child)
			f.ok(err)
			f.end(run, jobs.RunDrained)
		},
		"with an invalid result": func(child uuid.UUID) {
			end := finish(f.claim(child), jobs.RunSucceeded)
			end.Result = json.RawMessage(`"\u0000"`)
			_, err := f.s.End(f.ctx(), end)
			f.ok(err)
		},
	}
	for name, end := range ways {
		id, children := f.parent(1)
		end(children[0])
		f.eventually(name, func() bool { return f.job(id).State == jobs.Succeeded })
	}

	id, children := f.parent(1, failsWithChildren)
	for range jobs.AloneAfter {
		f.lose(lease, f.claim(children[0]))
	}
	f.lose(lease, f.claimAlone(children[0]))
	f.state(children[0], jobs.Failed)
	f.eventually("lost alone", func() bool {
		_, err := f.s.SettleParents(f.ctx(), lease, 10)
		f.ok(err)
		return f.job(id).State == jobs.Failed
	})
}

// testCancelBelow cancels a waiting job whose children and grandchildren are in every state.
func testCancelBelow(f *fixture) {
	id := f.accept()
	names := []string{"pending", "later", "running", "retrying", "waiting", "succeeded", "failed"}
	children := make([]store.Upload, len(names))
	child := map[string]uuid.UUID{}
	for i, name := range names {
		children[i] = upload()
		if name == "later" {
			later(&children[i])
		}
		child[name] = children[i].Job.ID
	}
	f.spawn(f.claim(id), children...)
	running := f.claim(child["running"])
	f.run(child["retrying"], jobs.RunRetry)
	grandchildren := f.spawn(f.claim(child["waiting"]), upload(), upload())
	below := f.claim(grandchildren[1])
	f.run(child["succeeded"], jobs.RunSucceeded)
	f.run(child["failed"], jobs.RunFailed)

	job, err := f.s.Cancel(f.ctx(), f.tenant, id)
	f.ok(err)
	if job.State != jobs.Cancelled || job.FinishedAt.IsZero() {
		f.Errorf("Cancel answers %+v", job)
	}
	f.equal("last event of the parent", store.EventCancelled, f.eventTypes(id)[3])
	for name, want := range map[string]jobs.State{
		"pending": jobs.Cancelled, "later": jobs.Cancelled, "running": jobs.Running, "retrying": jobs.Cancelled,
		"waiting": jobs.Cancelled, "succeeded": jobs.Succeeded, "failed": jobs.Failed,
	} {
		if got := f.job(child[name]).State; got != want {
			f.Errorf("the child that was %s is %s, want %s", name, got, want)
		}
	}
	f.state(grandchildren[0], jobs.Cancelled)
	for _, run := range []store.RunRef{running, below} {
		if job := f.job(run.JobID); job.State != jobs.Running || !job.CancelRequested {
			f.Errorf("a run below is %s, cancel requested: %v", job.State, job.CancelRequested)
		}
		f.end(run, jobs.RunCancelled)
	}
	f.state(id, jobs.Cancelled)
	f.state(child["waiting"], jobs.Cancelled)
}
