package queue_test

import (
	"net"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/leat-dev/leat/queue"
)

// A cluster asks for scripts that keep to one slot, and for pipelines that it
// splits.
func TestCluster(t *testing.T) {
	t.Parallel()
	node := miniredis.RunT(t)
	deliverOver(t, "redis://"+node.Addr()+","+node.Addr())
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	master := miniredis.RunT(t)
	master.RequireAuth("data")
	sentinel := miniredis.RunT(t)
	sentinel.RequireAuth("watch")
	err := sentinel.Server().Register("SENTINEL", func(c *server.Peer, _ string, args []string) {
		if args[0] == "get-master-addr-by-name" && args[1] == "m" {
			host, port, err := net.SplitHostPort(master.Addr())
			if err != nil {
				t.Error(err)
			}
			c.WriteStrings([]string{host, port})
			return
		}
		c.WriteLen(0) // no other sentinels
	})
	if err != nil {
		t.Fatal(err)
	}
	deliverOver(t, "redis-sentinel://:data@"+sentinel.Addr()+"/0?master=m&sentinel_password=watch")
}

// deliverOver delivers through several queues at the URL.
func deliverOver(t *testing.T, url string) {
	t.Helper()
	conn := open(t, url)
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	handler, got := collect()
	s := newServer(t, conn, queue.ServerOptions{
		Queues:  map[string]int{"high": 6, "q": 3, "low": 1},
		Servers: 2,
		Handler: handler,
	})
	ds := deliveries(60)
	names := []string{"high", "q", "low"}
	for i := range ds {
		ds[i].Queue = names[i%3]
	}
	enqueue(t, conn, ds...)
	lengths, err := conn.Depths(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if lengths[name].Pending != 20 {
			t.Errorf("queue %s: %+v", name, lengths[name])
		}
	}
	missing := map[queue.Delivery]bool{}
	for _, d := range ds {
		missing[d] = true
	}
	first, gone := ds[58], ds[31] // of the queue "q"
	if err := conn.Arrange(t.Context(), "q", []queue.Delivery{first}, []queue.Delivery{gone}); err != nil {
		t.Fatal(err)
	}
	delete(missing, gone)
	if pending := depths(t, conn).Pending; pending != 19 {
		t.Errorf("after one was taken out, %d of 20 wait", pending)
	}
	start(t, s)
	for len(missing) > 0 {
		delete(missing, receive(t, got, "the deliveries of all queues"))
	}
}
