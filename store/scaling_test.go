package store_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestUsed: the time since the last decision, up to a minute, is split at the hour.
func TestUsed(t *testing.T) {
	t.Parallel()
	const hour = 60. // minutes, of which all figures below are
	id := uuid.New()
	for name, tc := range map[string]struct {
		last store.LastDecision
		now  time.Time
		want []store.UsedHours
	}{
		"within an hour":    {store.LastDecision{ID: id, At: noon.Add(time.Minute), Current: 6}, noon.Add(90 * time.Second), []store.UsedHours{{noon, 3 / hour}}},
		"over the hour":     {store.LastDecision{ID: id, At: noon.Add(-15 * time.Second), Current: 4}, noon.Add(30 * time.Second), []store.UsedHours{{noon.Add(-time.Hour), 1 / hour}, {noon, 2 / hour}}},
		"up to the hour":    {store.LastDecision{ID: id, At: noon.Add(-30 * time.Second), Current: 2}, noon, []store.UsedHours{{noon.Add(-time.Hour), 1 / hour}}},
		"long ago":          {store.LastDecision{ID: id, At: noon.Add(-30 * time.Second), Current: 2}, noon.Add(48 * time.Hour), []store.UsedHours{{noon.Add(-time.Hour), 1 / hour}, {noon, 1 / hour}}},
		"elsewhere":         {store.LastDecision{ID: id, At: noon.In(time.FixedZone("", 1800)), Current: 1}, noon.Add(time.Minute), []store.UsedHours{{noon, 1 / hour}}},
		"at once":           {store.LastDecision{ID: id, At: noon, Current: 2}, noon, nil},
		"clock went back":   {store.LastDecision{ID: id, At: noon, Current: 2}, noon.Add(-time.Hour), nil},
		"no replicas":       {store.LastDecision{ID: id, At: noon}, noon.Add(time.Minute), nil},
		"no decision ended": {store.LastDecision{}, noon, nil},
	} {
		near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
		if diff := cmp.Diff(tc.want, tc.last.Used(tc.now), near); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestDecisionIDs: they rise whatever the clock does, and tell how old a decision is.
func TestDecisionIDs(t *testing.T) {
	t.Parallel()
	var last store.LastDecision
	for i, at := range []time.Time{noon, noon, noon.Add(time.Second), noon.Add(-time.Hour), noon.Add(-time.Hour), noon.Add(time.Minute)} {
		id := last.NextID(at)
		if bytes.Compare(id[:], last.ID[:]) <= 0 || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Errorf("ID %d, %v, comes after %v", i, id, last.ID)
		}
		if seconds, _ := id.Time().UnixTime(); at.After(noon) && seconds != at.Unix() {
			t.Errorf("ID %d, %v, is of %d, want %d", i, id, seconds, at.Unix())
		}
		last.ID = id
	}
	last.ID = last.NextID(noon.Add(time.Hour))
	for _, tc := range []struct {
		after time.Duration
		same  string
		want  bool
	}{
		{0, "x", true},
		{59 * time.Second, "x", true},
		{time.Minute, "x", false},
		{0, "", false},
		{-59 * time.Second, "x", true},
		{-2 * time.Minute, "x", false},
	} {
		if got := last.MayLast(noon.Add(time.Hour+tc.after), tc.same); got != tc.want {
			t.Errorf("%v later, saying %q: %v, want %v", tc.after, tc.same, got, tc.want)
		}
	}
	if (store.LastDecision{}).MayLast(noon, "x") {
		t.Error("what never was lasts")
	}
	if floor := store.IDAt(noon.Add(time.Hour), uuid.Nil); bytes.Compare(floor[:], last.ID[:]) > 0 {
		t.Errorf("%v is not the least ID of its time, %v is less", floor, last.ID)
	}
}

// TestGatherArrivals: whole hours are asked for, a day at a time, from where there is something on.
func TestGatherArrivals(t *testing.T) {
	t.Parallel()
	at := func(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }
	type span struct{ From, To time.Time }
	for name, tc := range map[string]struct {
		since, first time.Time
		want         []span
	}{
		"whole hours":      {at(-3), at(-100), []span{{at(-3), at(0)}}},
		"amid an hour":     {at(-3).Add(time.Nanosecond), at(-100), []span{{at(-2), at(0)}}},
		"days":             {at(-50), at(-100), []span{{at(-50), at(-26)}, {at(-26), at(-2)}, {at(-2), at(0)}}},
		"before the first": {time.Time{}, at(-5), []span{{at(-5), at(0)}}},
		"the present hour": {at(0), at(-5), nil},
		"later":            {at(7), at(-5), nil},
	} {
		var asked []span
		got, err := store.GatherArrivals(tc.since, tc.first, at(0), func(from, to time.Time) ([]store.HourlyArrivals, error) {
			asked = append(asked, span{from, to})
			return []store.HourlyArrivals{{Queue: "b", Hour: from, Jobs: 1}, {Queue: "a", Hour: from, Jobs: 1}}, nil
		})
		if diff := cmp.Diff(tc.want, asked); diff != "" || err != nil {
			t.Errorf("%s (-want +got), %v:\n%s", name, err, diff)
		}
		if !slices.IsSortedFunc(got, func(a, b store.HourlyArrivals) int {
			return bytes.Compare([]byte(a.Queue+a.Hour.String()), []byte(b.Queue+b.Hour.String()))
		}) || len(got) != 2*len(asked) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	gone := errors.New("gone")
	if _, err := store.GatherArrivals(at(-3), at(-5), at(0), func(time.Time, time.Time) ([]store.HourlyArrivals, error) { return nil, gone }); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
