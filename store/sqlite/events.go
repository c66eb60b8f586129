package sqlite

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// The data of the events that have any.
type (
	startedData struct {
		Run     int       `json:"run"`
		Worker  uuid.UUID `json:"worker"`
		Attempt int       `json:"attempt"`
	}
	endedData struct {
		Outcome jobs.Outcome `json:"outcome"`
		State   jobs.State   `json:"state"`
		Code    jobs.Code    `json:"code,omitempty"`
		DelayMS *int64       `json:"delay_ms,omitempty"`
	}
	reusedData struct {
		ResultOf uuid.UUID `json:"result_of"`
	}
	settledData struct {
		State jobs.State `json:"state"`
	}
)

// tell appends an event to a job, which is to be saved afterwards. data may be nil.
func (t *tx) tell(ctx context.Context, r *record, what store.EventType, data any) error {
	r.events++
	var stored any
	if data != nil {
		text, err := encode(data)
		if err != nil {
			return fmt.Errorf("encode event of job %s: %w", r.ID, err)
		}
		stored = text
	}
	return t.addEvent(ctx, r.ID, r.events, r.Tenant, what, stored)
}

func (t *tx) addEvent(ctx context.Context, job uuid.UUID, seq int, tenant jobs.Tenant, what store.EventType, data any) error {
	_, err := t.exec(ctx, `INSERT INTO events (job_id, seq, tenant, type, at, data) VALUES (?, ?, ?, ?, ?, ?)`,
		key(job), seq, string(tenant), string(what), micros(t.now), data)
	if err != nil {
		return fmt.Errorf("append event of job %s: %w", job, err)
	}
	return nil
}
