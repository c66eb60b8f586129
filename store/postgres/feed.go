package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/store"
)

// place is where a reader of the feed stands: behind an event of a transaction.
type place struct {
	xid uint64
	job uuid.UUID
	seq int
}

// errPosition: a text is not a position that EventsAfter gave out.
var errPosition = errors.New("not a position in the events")

func (p place) String() string { return fmt.Sprintf("%d.%s.%d", p.xid, p.job, p.seq) }

func parsePlace(text string) (p place, err error) {
	if text == "" {
		return p, nil
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return p, errPosition
	}
	if p.xid, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return p, errPosition
	}
	if p.job, err = uuid.Parse(parts[1]); err != nil {
		return p, errPosition
	}
	if p.seq, err = strconv.Atoi(parts[2]); err != nil {
		return p, errPosition
	}
	return p, nil
}

// EventsAfter returns events in the order of the transactions that wrote them, up to the oldest that
// is still open: one with a smaller number can no longer appear.
func (s *Store) EventsAfter(ctx context.Context, position string, limit int) ([]store.FeedEvent, string, error) {
	const sql = `
		SELECT e.xid, e.job_id, e.seq, e.tenant, e.type, e.at, e.data FROM events e
		WHERE e.xid >= $1 AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
			AND (e.xid, e.job_id, e.seq) > ($1, $2, $3)
		ORDER BY e.xid, e.job_id, e.seq LIMIT $4`
	at, err := parsePlace(position)
	if err != nil {
		return nil, "", fmt.Errorf("postgres: %w: %q", err, position)
	}
	list, err := read(ctx, s, "feed", func(row pgx.CollectableRow) (store.FeedEvent, error) {
		var (
			e    store.FeedEvent
			data []byte
		)
		err := row.Scan(&at.xid, (*[16]byte)(&e.JobID), &e.Seq, (*string)(&e.Tenant), (*string)(&e.Type), &e.At, &data)
		e.Data = json.RawMessage(data)
		at.job, at.seq = e.JobID, e.Seq
		return e, err
	}, sql, at.xid, [16]byte(at.job), at.seq, limit)
	if err != nil || len(list) == 0 {
		return nil, position, err
	}
	return list, at.String(), nil
}
