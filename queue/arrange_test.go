package queue_test

import (
	"context"
	"slices"
	"testing"

	"github.com/leat-dev/leat/queue"
)

// Without it what was enqueued last waits for all that was before it. asynq's own server says which
// end of its list is the front.
func TestArrangedDeliveriesComeFirst(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	ds := deliveries(2500) // over the thousand that go back at once
	enqueue(t, conn, ds...)
	unknown := deliveries(2)
	last := ds[len(ds)-1]
	first := []queue.Delivery{last, unknown[0], ds[1200], ds[7]}
	gone := slices.Concat(ds[100:150], unknown[1:])
	if err := conn.Arrange(t.Context(), "q", first, gone); err != nil {
		t.Fatal(err)
	}
	if waiting := depths(t, conn).Pending; waiting != 2450 {
		t.Errorf("%d wait, want 2450", waiting)
	}
	for _, d := range gone {
		if taskInfo(t, conn, d) != nil {
			t.Fatalf("%v is still there", d)
		}
	}
	enqueue(t, conn, ds[100]) // what is gone can come again
	want := map[queue.Delivery]bool{}
	for _, d := range slices.Concat(ds[:101], ds[150:]) {
		want[d] = true
	}

	handler, got := collect()
	start(t, newServer(t, conn, queue.ServerOptions{Slots: 1, Handler: handler}))
	for i := range len(want) {
		d := receive(t, got, "a delivery")
		if place := slices.Index([]queue.Delivery{last, ds[1200], ds[7]}, d); i < 3 && place != i || i >= 3 && place >= 0 {
			t.Errorf("%v came as number %d", d, i)
		}
		if !want[d] {
			t.Errorf("%v came again, or is gone", d)
		}
		delete(want, d)
	}
	eventually(t, "all have left Redis", func() bool { return depths(t, conn) == queue.Lengths{} })
}

// A task that a worker has taken is its own: the list of those that wait is all that is arranged.
func TestArrangeLeavesWhatRuns(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	begun, release := make(chan queue.Delivery), make(chan struct{})
	start(t, newServer(t, conn, queue.ServerOptions{Slots: 1, Handler: func(_ context.Context, d queue.Delivery) {
		begun <- d
		<-release
	}}))
	d := deliveries(1)[0]
	enqueue(t, conn, d)
	receive(t, begun, "the delivery")
	for _, list := range [][][]queue.Delivery{{{d}, nil}, {nil, {d}}} {
		if err := conn.Arrange(t.Context(), "q", list[0], list[1]); err != nil {
			t.Fatal(err)
		}
		if l := depths(t, conn); l.Active != 1 || l.Pending != 0 {
			t.Errorf("while one runs Redis has %+v", l)
		}
	}
	close(release)
	eventually(t, "it leaves Redis", func() bool { return depths(t, conn) == queue.Lengths{} })
}
