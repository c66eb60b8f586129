package embedded_test

import (
	"context"
	"testing"

	"github.com/leat-dev/leat/queue"
)

// What is put first is first in the embedded Redis, too.
func TestArrange(t *testing.T) {
	t.Parallel()
	conn := open(t, start(t))
	ds := deliveries(1500, "q")
	enqueue(t, conn, ds)
	first := []queue.Delivery{ds[1499], ds[700]}
	if err := conn.Arrange(t.Context(), "q", first, ds[:500]); err != nil {
		t.Fatal(err)
	}
	got := make(chan queue.Delivery, len(ds))
	serve(t, conn, queue.ServerOptions{Queues: map[string]int{"q": 1}, Slots: 1, Handler: func(_ context.Context, d queue.Delivery) { got <- d }})
	for i := range 1000 {
		if d := <-got; i < 2 && d != first[i] {
			t.Errorf("number %d is %v, want %v", i, d, first[i])
		}
	}
}
