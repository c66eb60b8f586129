package postgres_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store/postgres"
)

// TestFeedGoesByNumbers: transaction 1000 comes after 999, also when one of them ends a page.
func TestFeedGoesByNumbers(t *testing.T) {
	t.Parallel()
	url := fresh(t)
	s := opened(t, postgres.Options{URL: url})
	conn := direct(t, url)
	xids := []int{9, 10, 99, 100, 101, 700}
	for i, xid := range xids {
		_, err := conn.Exec(t.Context(), `INSERT INTO events (job_id, seq, tenant, type, xid) VALUES (gen_random_uuid(), $1, 'default', 'accepted', $2)`, i+1, uint64(xid))
		if err != nil {
			t.Fatal(err)
		}
	}
	for limit := 1; limit <= len(xids)+1; limit++ {
		position, seen := "", 0
		for {
			page, next, err := s.EventsAfter(t.Context(), position, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				if seen++; e.Seq != seen {
					t.Fatalf("in pages of %d, event %d came where %d was due", limit, e.Seq, seen)
				}
			}
			position = next
		}
		if seen != len(xids) {
			t.Errorf("in pages of %d, %d events came", limit, seen)
		}
	}
}

// TestFeedWaitsForOpenTransactions: an event that is committed late is not passed by.
// Not beside others: the feed waits for what is open in the whole server.
func TestFeedWaitsForOpenTransactions(t *testing.T) { //nolint:paralleltest // as said
	url := fresh(t)
	s := opened(t, postgres.Options{URL: url})
	tx, err := direct(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late := uuid.New()
	if _, err := tx.Exec(t.Context(), `INSERT INTO events (job_id, seq, tenant, type) VALUES ($1, 1, 'default', 'accepted')`, [16]byte(late)); err != nil {
		t.Fatal(err)
	}
	early := accept(t, s, 1)[0]
	page, position, err := s.EventsAfter(t.Context(), "", 10)
	if err != nil || len(page) != 0 {
		t.Fatalf("with an older transaction open: %v, %v", page, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []uuid.UUID
	eventually(t, "both events appear", func() bool {
		page, next, err := s.EventsAfter(t.Context(), position, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			got = append(got, e.JobID)
		}
		position = next
		return len(got) >= 2
	})
	if len(got) != 2 || got[0] != late || got[1] != early {
		t.Errorf("got %v, want %v and %v", got, late, early)
	}
}

func TestFeedRefusesStrangePositions(t *testing.T) { //nolint:paralleltest // as above
	s := opened(t, postgres.Options{URL: fresh(t)})
	for _, position := range []string{"1", "1.2.3", "x." + uuid.NewString() + ".1", "1." + uuid.NewString() + ".x", "1." + uuid.NewString() + ".1.1"} {
		_, _, err := s.EventsAfter(t.Context(), position, 10)
		if err == nil || !strings.Contains(err.Error(), "position") {
			t.Errorf("%q: %v", position, err)
		}
	}
	accept(t, s, 1)
	eventually(t, "the event appears", func() bool { // once nothing older is open in the whole server
		page, _, err := s.EventsAfter(t.Context(), "", 10)
		return err == nil && len(page) == 1 && page[0].Tenant == jobs.DefaultTenant
	})
}
