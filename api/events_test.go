package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/tmaxmax/go-sse"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// stream is a stream of events that a test reads.
type stream struct {
	*fixture
	body  io.ReadCloser
	event func() (sse.Event, error, bool)
	last  string // ID
}

// stream opens a stream, which is closed with the test.
func (f *fixture) stream(path string, headers ...string) *stream {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Context()), patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+path, nil)
	f.ok(err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	f.ok(err)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != wire.EventStream {
		text, _ := io.ReadAll(res.Body)
		f.Fatalf("status %d, %s: %s", res.StatusCode, res.Header.Get("Content-Type"), text)
	}
	next, stop := iter.Pull2(iter.Seq2[sse.Event, error](sse.Read(res.Body, nil)))
	f.Cleanup(func() { cancel(); stop(); _ = res.Body.Close() })
	return &stream{f, res.Body, next, ""}
}

// next reads an event.
func (s *stream) next() wire.Event {
	s.Helper()
	e, ok := s.read()
	if !ok {
		s.Fatal("no more events")
	}
	var event wire.Event
	s.ok(json.Unmarshal([]byte(e.Data), &event))
	s.equal("type", event.Type, e.Type)
	return event
}

// read reads an event, if one more comes. The first message of a stream of all jobs only tells where it
// begins; browsers make no event of it.
func (s *stream) read() (sse.Event, bool) {
	s.Helper()
	for {
		e, err, ok := s.event()
		if err != nil || !ok {
			return e, false
		}
		s.last = e.LastEventID
		if e.Type != "" {
			return e, true
		}
	}
}

// until reads events up to one of a type, and returns it.
func (s *stream) until(kind string) wire.Event {
	s.Helper()
	for {
		if e := s.next(); e.Type == kind {
			return e
		}
	}
}

// ends checks that there is nothing more.
func (s *stream) ends() {
	s.Helper()
	if e, ok := s.read(); ok {
		s.Errorf("one more event: %+v", e)
	}
}

func TestEventsOfAJobFromBeginToEnd(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		f.uploadRaw("before it", "")
		u := f.uploadRaw("it", "")
		path := "/v1/jobs/" + u.JobID.String() + "/events"
		st := f.stream(path)
		first := st.next()
		f.equal("first", wire.Event{JobID: u.JobID, Seq: 1, Type: "accepted", At: first.At}, first)
		f.equal("ID", "1", st.last)
		var place wire.Place
		f.ok(json.Unmarshal(st.until(wire.EventPlace).Data, &place))
		f.equal("place", wire.Place{Queue: "default", Ahead: 1}, place)
		f.equal("ID of a place", "1", st.last)

		claim := f.claim(u.JobID, 1, f.worker())
		f.equal("number", 2, st.until("started").Seq)
		_, err := s.Progress(t.Context(), []store.RunProgress{{JobID: u.JobID, Claim: claim, Progress: 0.25}})
		f.ok(err)
		var progress wire.Progress
		f.ok(json.Unmarshal(st.until(wire.EventProgress).Data, &progress))
		f.equal("progress", 0.25, progress.Progress)
		_, err = s.End(t.Context(), store.RunEnd{JobID: u.JobID, Claim: claim, Outcome: jobs.RunSucceeded})
		f.ok(err)
		f.equal("number", 3, st.until("ended").Seq)
		st.ends()

		resumed := f.stream(path, "Last-Event-ID: 1")
		f.equal("resumed", "started", resumed.next().Type)
		f.equal("resumed", "ended", resumed.next().Type)
		resumed.ends()
		f.get(path, "Last-Event-ID: 3").is(http.StatusNoContent)
	})
}

func TestEventsOfATenant(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		f.uploadRaw("before", "")
		st := f.stream("/v1/events")
		u := f.uploadRaw("after", "")
		for { // what was accepted just before may not have been told to anybody yet
			if e := st.next(); e.JobID == u.JobID {
				f.equal("type", "accepted", e.Type)
				break
			}
		}
		seen := st.last
		claim := f.claim(u.JobID, 1, f.worker())
		f.equal("type", "started", st.next().Type)
		f.ok(st.body.Close())
		_, err := s.End(t.Context(), store.RunEnd{JobID: u.JobID, Claim: claim, Outcome: jobs.RunSucceeded})
		f.ok(err)
		resumed := f.stream("/v1/events", "Last-Event-ID: "+seen)
		f.equal("resumed", "started", resumed.next().Type)
		f.equal("resumed", "ended", resumed.next().Type)
		more := f.uploadRaw("more", "")
		f.equal("more", more.JobID, resumed.next().JobID)
	})
}

// pageStore counts the pages that streams read.
type pageStore struct {
	store.Store
	pages atomic.Int64
}

func (s *pageStore) TenantEvents(ctx context.Context, tenant jobs.Tenant, position string, limit int) ([]store.Event, string, error) {
	if limit > 1 {
		s.pages.Add(1)
	}
	return s.Store.TenantEvents(ctx, tenant, position, limit)
}

// What one stream of a tenant reads, the others need not read again.
func TestStreamsShareWhatTheyRead(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		counting := &pageStore{Store: s}
		f := newFixture(t, counting)
		streams := make([]*stream, 50)
		for i := range streams {
			streams[i] = f.stream("/v1/events")
		}
		f.uploadRaw("first", "") // all are at the same position behind it
		for _, st := range streams {
			f.equal("type", "accepted", st.next().Type)
		}
		before := counting.pages.Load()
		second := f.uploadRaw("second", "")
		for _, st := range streams {
			f.equal("second", second.JobID, st.next().JobID)
		}
		if pages := counting.pages.Load() - before; pages >= int64(len(streams))/2 {
			t.Errorf("%d streams read %d pages for one event", len(streams), pages)
		}
	})
}

func TestEventsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s, limit(func(l *api.Limits) { l.Streams = 1 }))
		u := f.uploadRaw("x", "")
		path := "/v1/jobs/" + u.JobID.String() + "/events"
		f.get("/v1/jobs/" + uuid.NewString() + "/events").is(http.StatusNotFound).fails(wire.CodeNotFound)
		f.get("/v1/jobs/x/events").is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
		for _, id := range []string{"-1", "x", "1.2", strings.Repeat("1", 101)} {
			f.get(path, "Last-Event-ID: "+id).is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
			f.get("/v1/events", "Last-Event-ID: "+id+"x").is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
		}
		st := f.stream(path)
		st.next()
		f.get("/v1/events").is(http.StatusServiceUnavailable).fails(wire.CodeTooManyStreams)
		f.ok(st.body.Close())
		f.within("the place is free", func() bool { return f.send(http.MethodHead, "/v1/events", nil).status == http.StatusOK })
	})
}

func TestStreamEndsWithItsKey(t *testing.T) {
	t.Parallel()
	s := openSQLite(t)
	clock := time.Now()
	f := newFixture(t, s, withKeys, limit(func(l *api.Limits) { l.StreamBeat = 20 * time.Millisecond }),
		func(o *api.Options) { o.Now = func() time.Time { clock = clock.Add(time.Second); return clock } })
	key, name := f.namedKey("acme", 0, access.Read)
	st := f.stream("/v1/events", key)
	_, err := s.RevokeKey(t.Context(), name, store.Actor{Name: "test"})
	f.ok(err)
	st.ends()
}

// A server that stops does not wait for those who only listen.
func TestStreamEndsWithTheServer(t *testing.T) {
	t.Parallel()
	s := openSQLite(t)
	o := api.DefaultOptions()
	o.Store, o.Blobs, o.Specs, o.Auth = s, emptyBlobs{}, testSpecs(t), api.AuthLoopback
	server := httptest.NewUnstartedServer(nil)
	server.Config = api.NewServer(mustAPI(t, o), o.Logger)
	server.Start()
	defer server.Close()
	f := &fixture{T: t, store: s, url: server.URL}
	st := f.stream("/v1/events")
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	f.ok(server.Config.Shutdown(ctx))
	st.ends()
}

// Streams say that they are alive, or what lies between would cut them off.
func TestStreamBeats(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), limit(func(l *api.Limits) { l.StreamBeat, l.BodyWait = 20*time.Millisecond, 200*time.Millisecond }))
	st := f.stream("/v1/events")
	lines := bufio.NewScanner(st.body)
	beats := 0
	for began := time.Now(); time.Since(began) < time.Second && lines.Scan(); {
		if lines.Text() == ":" {
			beats++
		}
	}
	if beats < 5 {
		t.Errorf("%d beats, want many, and for longer than a reader may take for one", beats)
	}
}
