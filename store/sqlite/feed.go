package sqlite

import (
	"context"
	"fmt"
	"strconv"

	"github.com/leat-dev/leat/store"
)

// EventsAfter returns at most limit events after the position, and the position to go on from. A
// position is the number that the event was given when it was written.
func (s *Store) EventsAfter(ctx context.Context, position string, limit int) ([]store.FeedEvent, string, error) {
	var after int64
	if position != "" {
		var err error
		if after, err = strconv.ParseInt(position, 10, 64); err != nil {
			return nil, "", fmt.Errorf("read position of the feed: %w", err)
		}
	}
	events, err := read(ctx, s, func(ctx context.Context, q *tx) ([]store.FeedEvent, error) {
		var events []store.FeedEvent
		err := q.each(ctx, func(row scanner) error {
			var e store.FeedEvent
			err := row.Scan(&after, intoID{&e.JobID}, &e.Seq, &e.Tenant, &e.Type, intoTime{&e.At}, intoRaw(&e.Data))
			events = append(events, e)
			return err
		}, `
			SELECT position, job_id, seq, tenant, type, at, data FROM events
			WHERE position > ? ORDER BY position LIMIT ?`, after, max(limit, 0))
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		return events, nil
	})
	if err != nil {
		return nil, "", err
	}
	if len(events) == 0 {
		return nil, position, nil
	}
	return events, strconv.FormatInt(after, 10), nil
}
