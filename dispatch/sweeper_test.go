package dispatch_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/dispatch"
	"github.com/leat-dev/leat/store"
)

// ledger is a store's rows of blobs in memory.
type ledger struct {
	id     uuid.UUID
	owned  map[uuid.UUID]bool
	freed  [][]uuid.UUID // by pruning jobs, batch for batch
	given  [][]uuid.UUID // the same of transfers
	holds  []uuid.UUID
	pruned []time.Duration
	old    map[string]int // rows of other tables that are too old
	asked  map[string][]time.Duration
	broken map[string]error
}

// prune deletes rows of a table.
func (l *ledger) prune(table string, age time.Duration, limit int) (int, error) {
	if l.asked == nil {
		l.asked = map[string][]time.Duration{}
	}
	l.asked[table] = append(l.asked[table], age)
	n := min(l.old[table], limit)
	if n > 0 {
		l.old[table] -= n
	}
	return n, l.broken[table]
}

func (l *ledger) PruneJobs(_ context.Context, age time.Duration, _ int) (int, []uuid.UUID, error) {
	l.pruned = append(l.pruned, age)
	if len(l.freed) == 0 {
		return 0, nil, nil
	}
	freed := l.freed[0]
	l.freed = l.freed[1:]
	return 500, freed, nil
}

func (l *ledger) PruneRollups(_ context.Context, age time.Duration, limit int) (int, error) {
	return l.prune("rollups", age, limit)
}

func (l *ledger) PruneDecisions(_ context.Context, age time.Duration, limit int) (int, error) {
	return l.prune("decisions", age, limit)
}

func (l *ledger) PruneAudit(_ context.Context, age time.Duration, limit int) (int, error) {
	return l.prune("audit", age, limit)
}

func (l *ledger) PruneOnces(_ context.Context, age time.Duration, limit int) (int, error) {
	return l.prune("onces", age, limit)
}

func (l *ledger) PruneTransfers(_ context.Context, age time.Duration, limit int) (int, []uuid.UUID, error) {
	n, err := l.prune("transfers", age, limit)
	if len(l.given) == 0 {
		return n, nil, err
	}
	freed := l.given[0]
	l.given = l.given[1:]
	return n, freed, err
}

func (l *ledger) DropHolds(context.Context, time.Duration, int) ([]uuid.UUID, error) {
	holds := l.holds
	l.holds = nil
	return holds, nil
}

func (l *ledger) Unowned(_ context.Context, keys []uuid.UUID) ([]uuid.UUID, error) {
	return slices.DeleteFunc(slices.Clone(keys), func(k uuid.UUID) bool { return l.owned[k] }), nil
}

func (l *ledger) Identity(context.Context) (uuid.UUID, error) { return l.id, nil }

// folder is a blob store of the given owner with n objects, the first of which is owned.
func folder(t *testing.T, owner uuid.UUID, n int) (*fsblob.Store, []uuid.UUID) {
	t.Helper()
	blobs, err := fsblob.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := blobs.EnsureIdentity(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	var keys []uuid.UUID
	for range n {
		key := blob.NewKey()
		if _, err := blobs.Put(t.Context(), key, bytes.NewReader([]byte("bytes"))); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, uuid.UUID(key))
	}
	return blobs, keys
}

// left gives the keys of the objects that are there.
func left(t *testing.T, blobs blob.Store) []uuid.UUID {
	t.Helper()
	entries, err := blobs.List(t.Context(), blob.Key{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var keys []uuid.UUID
	for _, e := range entries {
		keys = append(keys, uuid.UUID(e.Key))
	}
	return keys
}

func sweep(t *testing.T, l *ledger, blobs blob.Store, now time.Time) error {
	t.Helper()
	keep := dispatch.Retention{Jobs: time.Hour, Transfers: time.Hour}
	return dispatch.NewSweeper(l, blobs, keep, time.Minute, quiet(), meter()).Sweep(t.Context(), now)
}

func TestSweeperRemovesOldObjectsWithoutARowAndNoOther(t *testing.T) {
	t.Parallel()
	l := &ledger{id: uuid.New()}
	blobs, keys := folder(t, l.id, 3)
	l.owned = map[uuid.UUID]bool{keys[0]: true}
	if err := sweep(t, l, blobs, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := left(t, blobs); len(got) != 3 {
		t.Errorf("%d objects are left of 3 fresh ones: an upload may be about to commit them", len(got))
	}
	if err := sweep(t, l, blobs, time.Now().Add(store.SweepGrace+time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := left(t, blobs); !slices.Equal(got, keys[:1]) {
		t.Errorf("left %v after the grace period, want the owned %v alone", got, keys[:1])
	}
}

// Without the check a database that was made anew, or a wrong setting, would empty another's folder.
func TestSweeperRefusesABlobStoreOfAnotherStore(t *testing.T) {
	t.Parallel()
	l := &ledger{id: uuid.New()}
	blobs, keys := folder(t, uuid.New(), 2)
	err := sweep(t, l, blobs, time.Now().Add(2*store.SweepGrace))
	if err == nil || !strings.Contains(err.Error(), "refusing to sweep") {
		t.Errorf("sweep: %v, want a refusal", err)
	}
	if got := left(t, blobs); len(got) != len(keys) {
		t.Errorf("%d of another store's %d objects are left", len(got), len(keys))
	}
}

func TestSweeperPrunesBatchForBatchAndUnlinksWhatWasFreed(t *testing.T) {
	t.Parallel()
	l := &ledger{id: uuid.New()}
	blobs, keys := folder(t, l.id, 5)
	l.freed = [][]uuid.UUID{keys[:1], keys[1:2]}
	l.holds = keys[2:3]
	l.old, l.given = map[string]int{"transfers": 501}, [][]uuid.UUID{keys[3:4], keys[4:]}
	if err := sweep(t, l, blobs, time.Now()); err != nil {
		t.Fatal(err)
	}
	if len(l.pruned) != 3 || len(l.asked["transfers"]) != 2 {
		t.Errorf("pruned jobs %d times and transfers %d, want again after each full batch", len(l.pruned), len(l.asked["transfers"]))
	}
	if got := left(t, blobs); len(got) != 0 {
		t.Errorf("left %v, want the freed objects gone", got)
	}
}

// What fails to be pruned does not keep the rest from it.
func TestSweeperPrunesEachTableByItsOwnAge(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	l := &ledger{id: uuid.New(), old: map[string]int{"rollups": 1, "decisions": 1200}, broken: map[string]error{"rollups": gone}}
	blobs, _ := folder(t, l.id, 0)
	run := func(keep dispatch.Retention) error {
		return dispatch.NewSweeper(l, blobs, keep, time.Minute, quiet(), meter()).Sweep(t.Context(), time.Now())
	}
	if err := run(dispatch.DefaultRetention()); !errors.Is(err, gone) {
		t.Errorf("sweep: %v, want the error of the roll-ups", err)
	}
	const day = 24 * time.Hour
	want := map[string][]time.Duration{"rollups": {14 * day}, "decisions": {7 * day, 7 * day, 7 * day}, "onces": {day}, "audit": {365 * day}, "transfers": {2 * day}}
	if diff := cmp.Diff(want, l.asked); diff != "" || l.old["decisions"] != 0 || !slices.Equal(l.pruned, []time.Duration{30 * day}) {
		t.Errorf("jobs %v, and (-want +got):\n%s", l.pruned, diff)
	}
	l.asked, l.pruned = nil, nil
	want = map[string][]time.Duration{"onces": {day}} // which nobody may keep for longer
	if err := run(dispatch.Retention{}); err != nil || !cmp.Equal(want, l.asked) || len(l.pruned) > 0 {
		t.Errorf("kept for good, still asked for %v and %v, %v", l.asked, l.pruned, err)
	}
}
