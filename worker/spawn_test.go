package worker_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// children lists a job's children, oldest first.
func (r *rig) children(parent *jobs.Job) []jobs.Job {
	r.t.Helper()
	list, _, err := r.store.ListJobs(r.t.Context(), tenant, store.JobFilter{ParentID: parent.ID}, store.Page{Limit: 100})
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

// What a run spawns is there with its success, once however often the run was repeated, and shares
// the budget; the job waits for it.
func TestChildrenAppearWithSuccessOrNever(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		large := bytes.Repeat([]byte("0123456789"), 10_000)
		r := start(t, setup{
			store: s,
			specs: []jobs.Spec{{Name: "work", Version: 1}, {Name: "pack", Version: 1}},
			handler: func(ctx context.Context, run *jobs.Run) (any, error) {
				text, err := io.ReadAll(run.Input)
				if err != nil || !bytes.HasPrefix(text, []byte("pack")) {
					return nil, err
				}
				err = errors.Join(
					run.Spawn(ctx, jobs.Child{Name: "dir/a.txt"}, bytes.NewReader([]byte("small"))),
					run.Spawn(ctx, jobs.Child{Name: "b.txt", Kind: "work"}, bytes.NewReader(large)),
				)
				if err == nil && run.Attempt == 1 {
					err = jobs.RetryAfter(0, errors.New("fails once it has spawned"))
				}
				return nil, err
			},
		})
		d := r.accept("pack", []byte("pack"))
		<-r.source.deliver(d)
		first := r.job(d.JobID)
		r.want(first, jobs.Retrying, jobs.CodeHandlerError)
		if n := len(r.children(first)); n != 0 {
			t.Fatalf("%d children of a run that failed", n)
		}
		d.Generation++
		<-r.source.deliver(d)
		parent := r.job(d.JobID)
		r.want(parent, jobs.Waiting, "")
		children := r.children(parent)
		if len(children) != 2 {
			t.Fatalf("%d children, want 2", len(children))
		}
		whole := jobs.DefaultBudget(parent.StartedAt)
		for _, child := range children {
			b := child.Budget
			if child.Kind != "work" || b == nil || b.Depth != whole.Depth-1 || b.Jobs != (whole.Jobs-2)/2 || b.Bytes != (whole.Bytes-int64(len(large)+5))/2 {
				t.Errorf("child of kind %s with budget %+v", child.Kind, b)
			}
			<-r.source.deliver(jobs.Delivery{JobID: child.ID, Generation: child.Generation, Queue: child.Queue})
			r.want(r.job(child.ID), jobs.Succeeded, "")
		}
		r.want(r.job(d.JobID), jobs.Succeeded, "")
	})
}

// A job that may not spawn, or names what there is not, ends failed with a code, at once.
func TestSpawnsThatAreRefused(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, s store.Store) {
		var child jobs.Child
		r := start(t, setup{store: s, handler: func(ctx context.Context, run *jobs.Run) (any, error) {
			return nil, run.Spawn(ctx, child, bytes.NewReader(make([]byte, 20_000)))
		}})
		for name, c := range map[string]struct {
			child  jobs.Child
			budget jobs.Budget
			want   jobs.Code
		}{
			"too deep":     {jobs.Child{Name: "f"}, jobs.Budget{Jobs: 1, Bytes: 1 << 20}, jobs.CodeLimitOutput},
			"too large":    {jobs.Child{Name: "f"}, jobs.Budget{Depth: 1, Jobs: 1, Bytes: 10_000}, jobs.CodeLimitOutput},
			"unknown kind": {jobs.Child{Name: "f", Kind: "nothing"}, jobs.Budget{Depth: 1, Jobs: 1, Bytes: 1 << 20}, jobs.CodeInvalidParams},
			"parameters":   {jobs.Child{Name: "f", Params: []byte(`{"x":1}`)}, jobs.Budget{Depth: 1, Jobs: 1, Bytes: 1 << 20}, jobs.CodeInvalidParams},
		} {
			child = c.child
			d := r.acceptWith("work", []byte("x"), func(u *store.Upload) { u.Job.Budget = &c.budget })
			<-r.source.deliver(d)
			job := r.job(d.JobID)
			r.want(job, jobs.Failed, c.want)
			if n := len(r.children(job)); n != 0 {
				t.Errorf("%s: %d children", name, n)
			}
		}
	})
}
