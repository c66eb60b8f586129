package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// takeOver gives a job that was just inserted the result and artifacts of the newest one with its key
// that has succeeded, and returns which that is, uuid.Nil for none.
func (t *tx) takeOver(ctx context.Context, tenant jobs.Tenant, up *store.Upload) (uuid.UUID, error) {
	if !up.Job.TakesOver() {
		return uuid.Nil, nil
	}
	var (
		twin   uuid.UUID
		result json.RawMessage
	)
	err := t.row(ctx, `
		SELECT id, result FROM jobs INDEXED BY jobs_reuse
		WHERE reuse_key = ? AND state = 'succeeded' ORDER BY id DESC LIMIT 1`, up.ReuseKey(tenant)).
		Scan(intoID{&twin}, intoRaw(&result))
	if errors.Is(err, sql.ErrNoRows) {
		return uuid.Nil, nil
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("look for a result for job %s: %w", up.Job.ID, err)
	}
	_, err = t.exec(ctx, `
		INSERT INTO artifacts (job_id, name, media_type, size, sha256, content, blob_key)
		SELECT ?, name, media_type, size, sha256, content, blob_key FROM artifacts WHERE job_id = ?`, key(up.Job.ID), key(twin))
	if err != nil {
		return uuid.Nil, fmt.Errorf("share artifacts of job %s: %w", twin, err)
	}
	_, err = t.exec(ctx, `UPDATE jobs SET state = 'succeeded', finished_at = ?, events = 2, result = ?, result_of = ? WHERE id = ?`,
		micros(t.now), jsonOrNull(result), key(twin), key(up.Job.ID))
	if err != nil {
		return uuid.Nil, fmt.Errorf("give job %s the result of %s: %w", up.Job.ID, twin, err)
	}
	data, err := encode(reusedData{ResultOf: twin})
	if err != nil {
		return uuid.Nil, fmt.Errorf("encode event of job %s: %w", up.Job.ID, err)
	}
	t.countState(up.Job.Queue, jobs.Succeeded, 0)
	return twin, t.addEvent(ctx, up.Job.ID, 2, tenant, store.EventReused, data)
}

// keep makes sure that nobody is given the result of a job that has spawned others.
func (t *tx) keep(ctx context.Context, job uuid.UUID) error {
	if _, err := t.exec(ctx, `UPDATE jobs SET reuse_key = NULL WHERE id = ?`, key(job)); err != nil {
		return fmt.Errorf("keep the result of job %s: %w", job, err)
	}
	return nil
}
