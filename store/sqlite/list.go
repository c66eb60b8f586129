package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// ListJobs returns at most page.Limit jobs, newest first, and the cursor of the next page.
func (s *Store) ListJobs(
	ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, page store.Page,
) ([]jobs.Job, store.Cursor, error) {
	limit := min(max(page.Limit, 1), store.MaxLimit)
	var floor store.Cursor
	list, err := read(ctx, s, func(ctx context.Context, q *tx) ([]jobs.Job, error) {
		from, args := selection(tenant, filter)
		if !page.After.IsZero() {
			from, args = from+` AND j.id < ?`, append(args, key(page.After.ID))
		}
		var err error
		if floor, err = q.scanFloor(ctx, tenant, filter, page); err != nil {
			return nil, fmt.Errorf("list jobs: %w", err)
		}
		if !floor.IsZero() {
			from, args = from+` AND j.id >= ?`, append(args, key(floor.ID))
		}
		var list []jobs.Job
		err = q.each(ctx, func(row scanner) error {
			var r record
			err := r.scan(row)
			list = append(list, r.Job)
			return err
		}, `SELECT`+listColumns+from+` ORDER BY j.id DESC LIMIT ?`, append(args, limit+1)...)
		if err != nil {
			return nil, fmt.Errorf("list jobs: %w", err)
		}
		return list, nil
	})
	if err != nil || len(list) <= limit {
		return list, floor, err
	}
	return list[:limit], store.Cursor{ID: list[limit-1].ID}, nil
}

// scanFloor is the last job that a page of a filtered list looks at; zero when that is all of them.
func (t *tx) scanFloor(ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, page store.Page) (store.Cursor, error) {
	var floor store.Cursor
	if !filter.Scans() {
		return floor, nil
	}
	from, args := selection(tenant, store.JobFilter{State: filter.State})
	if !page.After.IsZero() {
		from, args = from+` AND j.id < ?`, append(args, key(page.After.ID))
	}
	err := t.row(ctx, `SELECT j.id`+from+` ORDER BY j.id DESC LIMIT 1 OFFSET ?`, append(args, page.Looks()-1)...).Scan(intoID{&floor.ID})
	if errors.Is(err, sql.ErrNoRows) {
		return store.Cursor{}, nil
	}
	return floor, err
}

// selection gives the FROM and WHERE of a tenant's jobs that fit a filter, by the index that serves
// it best. Most jobs are succeeded, so these are found along the list of all.
func selection(tenant jobs.Tenant, filter store.JobFilter) (from string, args []any) {
	index := "jobs_tenant"
	var more string
	and := func(column string, value any) {
		more += ` AND j.` + column + ` = ?`
		args = append(args, value)
	}
	and("tenant", string(tenant))
	if filter.State != "" {
		and("state", string(filter.State))
		if filter.State != jobs.Succeeded {
			index = "jobs_open"
			more += ` AND j.state <> 'succeeded'`
		}
	}
	if filter.Kind != "" {
		and("kind", filter.Kind)
	}
	if filter.Queue != "" {
		and("queue", filter.Queue)
	}
	if filter.ParentID != uuid.Nil {
		index = "jobs_parent"
		and("parent_id", key(filter.ParentID))
	}
	if filter.FileID != uuid.Nil {
		index = "jobs_file"
		and("file_id", key(filter.FileID))
	}
	return ` FROM jobs j INDEXED BY ` + index + ` WHERE true` + more, args
}
