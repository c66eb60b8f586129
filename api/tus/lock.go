package tus

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	tusd "github.com/tus/tusd/v2/pkg/handler"
)

// lockWait is how long a request waits for the one before it, which it has interrupted, to let go of
// the object.
const lockWait = 10 * time.Second

// NewLock gives the lock of a transfer, as tusd asks for it.
func (h *Handler) NewLock(id string) (tusd.Lock, error) { return &lock{handler: h, text: id}, nil }

// lock is the right to write to a transfer: its latest epoch. It is given to whoever asks last, at
// once; the one before it can write no more, and is told so if it is of this process. Those who only
// read, and who only delete, need none.
type lock struct {
	handler *Handler
	text    string
	id      uuid.UUID
	writer  *writer // nil unless it was given
}

// Lock takes the next epoch for a request that fits. One that does not gets the transfer to see, and
// is refused by tusd.
func (l *lock) Lock(ctx context.Context, _ func()) error {
	q := requestOf(ctx)
	if q.method != http.MethodPatch && q.method != http.MethodPost {
		return nil
	}
	var err error
	if l.id, err = parseID(l.text); err != nil {
		return err
	}
	if q.transfer.ID != l.id { // not one that the request has just begun
		if q.transfer, err = l.handler.find(ctx, q, l.id); err != nil {
			return err
		}
		if q.transfer.Offset != q.offset {
			return nil
		}
		if q.transfer, q.owned, err = l.handler.Store.ClaimTransfer(ctx, q.Tenant, l.id, q.offset); err != nil {
			return q.failed(err)
		}
	}
	if q.owned {
		l.writer = l.handler.writers.enter(l.id, q.transfer.Epoch, q.Stop)
		q.writer = l.writer
	}
	return nil
}

// Unlock ends the writing.
func (l *lock) Unlock() error {
	if l.writer != nil {
		l.handler.writers.leave(l.id, l.writer)
	}
	return nil
}

// writers knows the requests of this process that write, to interrupt them. One that has left is not
// interrupted any more: its connection may be another request's by then.
type writers struct {
	mu    sync.Mutex
	byID  map[uuid.UUID]*writer
	ended bool
}

// writer is a request that writes to a transfer.
type writer struct {
	epoch  int64
	stop   func()
	mu     sync.Mutex
	reason error // why it was interrupted; nil while it was not
}

func newWriters() *writers { return &writers{byID: map[uuid.UUID]*writer{}} }

// enter makes a request the one that writes, and interrupts the one before it, or itself if it comes
// later than one whose epoch is higher.
func (ws *writers) enter(id uuid.UUID, epoch int64, stop func()) *writer {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := &writer{epoch: epoch, stop: stop}
	other := ws.byID[id]
	if other != nil && other.epoch > epoch {
		w.interrupt(ErrLocked)
		return w
	}
	if other != nil {
		other.interrupt(ErrLocked)
	}
	ws.byID[id] = w
	if ws.ended {
		w.interrupt(ErrInterrupted)
	}
	return w
}

func (ws *writers) leave(id uuid.UUID, w *writer) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.byID[id] == w {
		delete(ws.byID, id)
	}
}

// lost interrupts the request that writes to a transfer which is another's, or gone.
func (ws *writers) lost(id uuid.UUID) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w := ws.byID[id]; w != nil {
		w.interrupt(ErrLocked)
	}
}

// end interrupts all requests, now and from now on.
func (ws *writers) end() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.ended = true
	for _, w := range ws.byID {
		w.interrupt(ErrInterrupted)
	}
}

// interrupt ends the reading of the body.
func (w *writer) interrupt(reason error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason == nil {
		w.reason = reason
		w.stop()
	}
}

// interrupted reports whether the request was.
func (w *writer) interrupted() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason != nil
}

// why is what a request is told whose body broke off.
func (w *writer) why() error {
	if w == nil {
		return ErrInterrupted
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil {
		return w.reason
	}
	return ErrInterrupted
}
