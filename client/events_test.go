package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/client"
	"github.com/leat-dev/leat/jobs"
)

// breaking is a server whose streams break off: each request gets what its turn says.
type breaking struct {
	turns []func(w http.ResponseWriter, r *http.Request)
	asked []string // with which Last-Event-ID
}

func (b *breaking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.asked = append(b.asked, r.Header.Get("Last-Event-ID"))
	turn := b.turns[0]
	b.turns = b.turns[1:]
	turn(w, r)
}

// events sends numbered events, and ends the stream well.
func events(seqs ...int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", wire.EventStream)
		fmt.Fprint(w, "retry: 10\n\n:\n\n")
		for _, seq := range seqs {
			fmt.Fprintf(w, "id: %d\nevent: started\ndata: {\"seq\":%d,\"type\":\"started\"}\n\n", seq, seq)
		}
	}
}

func broken(w http.ResponseWriter, r *http.Request) {
	events(3)(w, r)
	http.NewResponseController(w).Flush() //nolint:errcheck // the client sees it, or not
	panic(http.ErrAbortHandler)
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestFollowJobGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	server := &breaking{turns: []func(http.ResponseWriter, *http.Request){
		status(503), events(1, 2), broken, status(502), status(502), events(4), status(204),
	}}
	var n naps
	c := newClient(t, server, client.Options{Sleep: n.sleep, Retries: 3})
	var seen []int
	err := c.FollowJob(t.Context(), jobs.NewID(), func(e wire.Event) error { seen = append(seen, e.Seq); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4}, seen); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"", "", "2", "3", "3", "3", "4"}, server.asked); diff != "" {
		t.Errorf("asked after (-want +got):\n%s", diff)
	}
	const ms = time.Millisecond
	if diff := cmp.Diff([]time.Duration{1000 * ms, 250 * ms, 250 * ms, 500 * ms, 1000 * ms, 250 * ms}, n.took); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
}

func TestFollowJobGivesUp(t *testing.T) {
	t.Parallel()
	nothing := func(wire.Event) error { return nil }
	follow := func(ctx context.Context, handle func(wire.Event) error, turns ...func(http.ResponseWriter, *http.Request)) (int, error) {
		server := &breaking{turns: turns}
		var n naps
		c := newClient(t, server, client.Options{Sleep: n.sleep, Retries: 1})
		err := c.FollowJob(ctx, uuid.New(), handle)
		return len(server.asked), err
	}
	var problem *wire.Problem
	if asked, err := follow(t.Context(), nothing, status(404)); !errors.As(err, &problem) || problem.Status != 404 || asked != 1 {
		t.Errorf("no such job: %v after %d requests", err, asked)
	}
	if asked, err := follow(t.Context(), nothing, status(502), status(502)); !errors.As(err, &problem) || problem.Status != 502 || asked != 2 {
		t.Errorf("a server that is out of order: %v after %d requests", err, asked)
	}
	enough := errors.New("enough")
	if asked, err := follow(t.Context(), func(wire.Event) error { return enough }, events(1)); !errors.Is(err, enough) || asked != 1 {
		t.Errorf("stopped by its caller: %v after %d requests", err, asked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := follow(ctx, func(wire.Event) error { cancel(); return nil }, events(1), events(2), events(3)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
