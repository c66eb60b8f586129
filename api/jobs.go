package api

import (
	"context"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

type idInput struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"Of the job."`
}

// answer is the body of what huma answers.
type answer[T any] struct{ Body T }

func (a *API) getJob(ctx context.Context, in *idInput) (*answer[wire.Job], error) {
	return oneJob(a.store.Job(ctx, tenantOf(ctx), in.ID))
}

func (a *API) cancelJob(ctx context.Context, in *idInput) (*answer[wire.Job], error) {
	return oneJob(a.store.Cancel(ctx, tenantOf(ctx), in.ID))
}

func (a *API) retryJob(ctx context.Context, in *idInput) (*answer[wire.Job], error) {
	return oneJob(a.store.Retry(ctx, tenantOf(ctx), in.ID))
}

func oneJob(job *jobs.Job, err error) (*answer[wire.Job], error) {
	if err != nil {
		return nil, err
	}
	return &answer[wire.Job]{wireJob(job)}, nil
}

func (a *API) attempts(ctx context.Context, in *idInput) (*answer[wire.Attempts], error) {
	found, err := a.store.Attempts(ctx, tenantOf(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := make([]wire.Attempt, len(found))
	for i := range found {
		out[i] = wireAttempt(&found[i])
	}
	return &answer[wire.Attempts]{wire.Attempts{Attempts: out}}, nil
}

// FilterParams narrow a list of jobs. The calls that change many jobs take the same ones, so that
// what a list shows is what they change. The type is exported because huma looks into no other.
type FilterParams struct {
	State    string    `query:"state" enum:"pending,running,retrying,waiting,succeeded,failed,cancelled" doc:"Only jobs in this state."`
	Kind     string    `query:"kind" maxLength:"63" doc:"Only jobs of this kind."`
	Queue    string    `query:"queue" maxLength:"63" doc:"Only jobs of this queue."`
	FileID   uuid.UUID `query:"file_id" format:"uuid" doc:"Only jobs on this file."`
	ParentID uuid.UUID `query:"parent_id" format:"uuid" doc:"Only jobs that this job spawned."`
}

func (in *FilterParams) filter() store.JobFilter {
	return store.JobFilter{
		State: jobs.State(in.State), Kind: in.Kind, Queue: in.Queue, FileID: in.FileID, ParentID: in.ParentID,
	}
}

type listInput struct {
	FilterParams
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Jobs on a page, at most."`
	Cursor string `query:"cursor" maxLength:"64" doc:"The next_cursor of the page before."`
}

func (a *API) listJobs(ctx context.Context, in *listInput) (*answer[wire.Jobs], error) {
	after, err := store.ParseCursor(in.Cursor)
	if err != nil {
		return nil, err
	}
	found, next, err := a.store.ListJobs(ctx, tenantOf(ctx), in.filter(), store.Page{After: after, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	page := wire.Jobs{Jobs: make([]wire.Job, len(found)), NextCursor: next.String()}
	for i := range found {
		page.Jobs[i] = wireJob(&found[i])
	}
	return &answer[wire.Jobs]{page}, nil
}

type bulkInput struct {
	FilterParams
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"Jobs to change in this call, at most."`
}

func (a *API) cancelJobs(ctx context.Context, in *bulkInput) (*answer[wire.Changed], error) {
	return a.bulk(ctx, in, a.store.CancelJobs)
}

func (a *API) retryJobs(ctx context.Context, in *bulkInput) (*answer[wire.Changed], error) {
	return a.bulk(ctx, in, a.store.RetryJobs)
}

func (a *API) bulk(ctx context.Context, in *bulkInput,
	change func(context.Context, jobs.Tenant, store.JobFilter, int) (int, error),
) (*answer[wire.Changed], error) {
	filter := in.filter()
	if filter == (store.JobFilter{}) {
		return nil, fail(wire.CodeFilterRequired, "Name at least one of state, kind, queue, file_id and parent_id in the query.")
	}
	n, err := change(ctx, tenantOf(ctx), filter, in.Limit)
	if err != nil {
		return nil, err
	}
	return &answer[wire.Changed]{wire.Changed{Changed: n, More: n >= in.Limit}}, nil
}
