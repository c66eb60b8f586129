package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/store"
)

const (
	// placeEvery is how often a stream looks where a job stands that waits: less often where that takes
	// the store long, so that it is at most one part in placeShare of the time, and a thousand streams
	// keep no more than one connection of the store busy.
	placeEvery = 2 * time.Second
	placeShare = 1000
	// streamRetry is how long a client is to wait before it comes again, when the connection breaks.
	streamRetry = time.Second
	eventPage   = 200

	lastEventID    = "Last-Event-ID"
	maxLastEventID = 100
)

// stream is one answer of server-sent events.
type stream struct {
	api     *API
	request *http.Request
	w       http.ResponseWriter
	control *http.ResponseController
}

// openStream begins the answer.
func (a *API) openStream(w http.ResponseWriter, r *http.Request) *stream {
	s := &stream{a, r, w, http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Type", wire.EventStream)
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	return s
}

// write sends text to the client, who must take it in time.
func (s *stream) write(text string) error {
	// Where there is no connection to set a deadline on, there is none to be held either.
	_ = s.control.SetWriteDeadline(time.Now().Add(s.api.limits.BodyWait))
	if _, err := s.w.Write([]byte(text)); err != nil { //nolint:gosec // a stream of events is no page
		return err
	}
	return s.control.Flush()
}

// beat says that the stream is alive, if its reader may still read.
func (s *stream) beat() error {
	if err := s.api.gate.admit(&exchange{}, s.request, access.Read); err != nil {
		return err
	}
	return s.write(":\n\n")
}

// errStopping ends a stream of a server that stops.
var errStopping = errors.New("the server stops")

// wait waits until there is news, or it is time to look, and says meanwhile that the stream is alive.
func (s *stream) wait(ctx context.Context, sub *subscription, look <-chan time.Time, beat *time.Ticker) (news bool, err error) {
	for {
		select {
		case <-sub.news:
			return true, nil
		case <-look:
			return false, nil
		case <-beat.C:
			if err := s.beat(); err != nil {
				return false, err
			}
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-s.api.closing:
			return false, errStopping
		}
	}
}

// event sends one event.
func (s *stream) event(id string, e wire.Event) error { return s.write(eventText(id, e)) }

// eventText is one event as it is sent, under an ID where it can be resumed from.
func eventText(id string, e wire.Event) string {
	var b strings.Builder
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s", e.Type, mustJSON(&e)) // which ends its line
	b.WriteByte('\n')
	return b.String()
}

// resumeFrom is the last event that the client has, empty for none.
func resumeFrom(r *http.Request) (string, error) {
	id := r.Header.Get(lastEventID)
	if len(id) > maxLastEventID {
		return "", failField(wire.CodeInvalidParameter, lastEventID, "too long")
	}
	return id, nil
}

// streaming reports whether one more stream may be open, for which the caller calls done at its end.
func (a *API) streaming(ctx context.Context) (done func(), err error) {
	if !a.following.take(ctx, 0) {
		return nil, fail(wire.CodeTooManyStreams, "The limit is %d at a time.", a.limits.Streams)
	}
	a.metrics.streams.Inc()
	return func() { a.metrics.streams.Dec(); a.following.give() }, nil
}

// logStream says why a stream has ended before its time. Its client comes again, and goes on where it
// was. One that has left, or whose key is over, is nothing to worry about.
func (a *API) logStream(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil || errors.Is(err, errStopping) {
		return
	}
	level := slog.LevelDebug
	if f := failureOf(err); f.cause != nil {
		level = slog.LevelWarn
	}
	a.log.LogAttrs(ctx, level, "stream of events broken off", slog.String("request_id", exchangeOf(ctx).id), slog.Any("err", err))
}

// jobEvents tells what happens to a job until it has ended.
func (a *API) jobEvents(w http.ResponseWriter, r *http.Request) {
	js, err := a.beginJobStream(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	if js.over() {
		w.WriteHeader(http.StatusNoContent) // tells an EventSource not to come again
		return
	}
	done, err := a.streaming(r.Context())
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	defer done()
	js.stream = a.openStream(w, r)
	if r.Method == http.MethodHead {
		return
	}
	js.news = a.follower.follow(r.Context(), js.who.tenant, js.mark)
	defer js.news.close()
	a.logStream(r.Context(), js.run(r.Context()))
}

// jobStream is a stream of one job's events.
type jobStream struct {
	*stream
	who  identity
	news *subscription
	mark store.Mark
	sent int // the number of the latest event that the client has

	progress float64
	place    string // as it was told last
}

func (a *API) beginJobStream(r *http.Request) (*jobStream, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	js := &jobStream{stream: &stream{api: a}, who: exchangeOf(r.Context()).who, progress: -1}
	last, err := resumeFrom(r)
	if err != nil {
		return nil, err
	}
	if last != "" {
		if js.sent, err = strconv.Atoi(last); err != nil || js.sent < 0 {
			return nil, failField(wire.CodeInvalidParameter, lastEventID, "not the ID of an event of this job")
		}
	}
	return js, js.look(r.Context(), id)
}

// look reads how the job stands.
func (js *jobStream) look(ctx context.Context, id uuid.UUID) error {
	marks, err := js.api.store.Marks(ctx, js.who.tenant, []uuid.UUID{id})
	switch {
	case err != nil:
		return err
	case len(marks) == 0:
		return store.ErrNotFound
	}
	js.mark = marks[0]
	return nil
}

// over reports whether the client has everything that will come.
func (js *jobStream) over() bool { return js.mark.State.Ended() && js.sent >= js.mark.Events }

// run tells until the job has ended, the client leaves or the server stops.
func (js *jobStream) run(ctx context.Context) error {
	if err := js.write(fmt.Sprintf("retry: %d\n\n", streamRetry.Milliseconds())); err != nil {
		return err
	}
	beat := time.NewTicker(js.api.limits.StreamBeat)
	defer beat.Stop()
	places := time.NewTicker(placeEvery)
	defer places.Stop()
	for {
		if err := js.tell(ctx); err != nil || js.over() {
			return err
		}
		began := time.Now()
		if err := js.tellPlace(ctx); err != nil {
			return err
		}
		places.Reset(max(placeEvery, placeShare*time.Since(began)))
		news, err := js.wait(ctx, js.news, places.C, beat)
		if err == nil && news {
			err = js.look(ctx, js.mark.ID)
		}
		if err != nil {
			return err
		}
	}
}

// tell sends what the client does not have yet.
func (js *jobStream) tell(ctx context.Context) error {
	for js.sent < js.mark.Events {
		events, err := js.api.store.Events(ctx, js.who.tenant, js.mark.ID, js.sent, eventPage)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return errors.New("events are missing")
		}
		for i := range events {
			if err := js.event(strconv.Itoa(events[i].Seq), wireEvent(&events[i])); err != nil {
				return err
			}
			js.sent = events[i].Seq
		}
	}
	if js.mark.ProgressKnown && !js.mark.State.Ended() && js.mark.Progress != js.progress {
		js.progress = js.mark.Progress
		return js.state(wire.EventProgress, wire.Progress{Progress: js.progress})
	}
	return nil
}

// tellPlace tells a job that waits where it stands, if that has changed.
func (js *jobStream) tellPlace(ctx context.Context) error {
	if !js.mark.State.Ready() {
		return nil
	}
	now := js.api.now()
	place, err := js.api.store.Place(ctx, js.who.tenant, js.mark.ID)
	switch {
	case errors.Is(err, store.ErrNotFound): // it waits no more
		return nil
	case err != nil:
		return err
	}
	told := wirePlace(&place, now)
	if text := string(mustJSON(told)); text != js.place {
		js.place = text
		return js.state(wire.EventPlace, told)
	}
	return nil
}

// state tells how the job stands, which is no event of its own.
func (js *jobStream) state(kind string, data any) error {
	return js.event("", wire.Event{JobID: js.mark.ID, Type: kind, At: js.api.now().UTC(), Data: json.RawMessage(mustJSON(data))})
}

// tenantEvents tells what happens to all jobs of the tenant, until the client leaves.
func (a *API) tenantEvents(w http.ResponseWriter, r *http.Request) {
	position, err := a.beginTenantStream(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	done, err := a.streaming(r.Context())
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	defer done()
	s := a.openStream(w, r)
	if r.Method == http.MethodHead {
		return
	}
	news := a.follower.follow(r.Context(), tenantOf(r.Context()), store.Mark{})
	defer news.close()
	a.logStream(r.Context(), s.runTenant(r.Context(), news, position))
}

// beginTenantStream finds where a stream of all jobs begins: where the client was, or now.
func (a *API) beginTenantStream(r *http.Request) (string, error) {
	position, err := resumeFrom(r)
	if err != nil {
		return "", err
	}
	_, next, err := a.store.TenantEvents(r.Context(), tenantOf(r.Context()), position, 1)
	if errors.Is(err, store.ErrBadPosition) {
		return "", failField(wire.CodeInvalidParameter, lastEventID, "not the ID of an event that this server has sent")
	}
	if position == "" {
		position = next
	}
	return position, err
}

// runTenant tells what there is after a position, and what is news.
func (s *stream) runTenant(ctx context.Context, news *subscription, position string) error {
	if err := s.write(fmt.Sprintf("retry: %d\nid: %s\n\n", streamRetry.Milliseconds(), position)); err != nil {
		return err
	}
	beat := time.NewTicker(s.api.limits.StreamBeat)
	defer beat.Stop()
	for {
		var err error
		if position, err = s.tellAll(ctx, news.of, position); err != nil {
			return err
		}
		if _, err = s.wait(ctx, news, nil, beat); err != nil {
			return err
		}
	}
}

// tellAll sends what there is after a position, and returns the next.
func (s *stream) tellAll(ctx context.Context, from *followed, position string) (string, error) {
	for {
		p, err := from.read(ctx, position)
		if err == nil && p.text != "" {
			err = s.write(p.text)
		}
		if err != nil || p.next == position {
			return position, err
		}
		position = p.next
	}
}

// EndStreams ends the streams of events, for a server that is about to stop; their clients come again,
// and go on where they were.
func (a *API) EndStreams() { a.endStreams() }
