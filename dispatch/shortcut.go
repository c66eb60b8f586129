package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/leat-dev/leat/jobs"
)

const (
	roomEvery     = 500 * time.Millisecond
	shortcutQueue = 256 // calls of HandOver that may wait for the delivery layer
	shortcutTime  = time.Second
)

// RoomReader tells how many more jobs each queue's window would take.
type RoomReader interface {
	Room(ctx context.Context, lease string) (map[string]int, error)
}

// Shortcut hands fresh jobs to the delivery layer beside the request that brought them, when the
// leader says that their queue's window has room. It is only that: whatever it drops, the relay
// delivers with its next tick.
type Shortcut struct {
	rooms  RoomReader
	queue  Enqueuer
	log    *slog.Logger
	offers chan []jobs.Delivery

	mu   sync.Mutex
	room map[string]int
}

// NewShortcut makes a shortcut, which does nothing until Run.
func NewShortcut(rooms RoomReader, queue Enqueuer, log *slog.Logger) *Shortcut {
	return &Shortcut{rooms: rooms, queue: queue, log: log, offers: make(chan []jobs.Delivery, shortcutQueue)}
}

// HandOver offers jobs that are due. It never blocks.
func (s *Shortcut) HandOver(deliveries []jobs.Delivery) {
	taken := s.take(deliveries)
	if len(taken) == 0 {
		return
	}
	select {
	case s.offers <- taken:
	default: // the delivery layer is slow; the relay will do it
	}
}

// take keeps those deliveries for which there is room, and uses the room up.
func (s *Shortcut) take(deliveries []jobs.Delivery) []jobs.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var taken []jobs.Delivery
	for _, d := range deliveries {
		if s.room[d.Queue] > 0 {
			s.room[d.Queue]--
			taken = append(taken, d)
		}
	}
	return taken
}

// Run serves offers until ctx ends.
func (s *Shortcut) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	defer senders.Wait()
	senders.Go(func() { s.send(ctx) })
	ticker := time.NewTicker(roomEvery)
	defer ticker.Stop()
	for {
		room, err := s.rooms.Room(ctx, LeaseName)
		if err != nil {
			room = nil // without knowing, leave it to the relay
			s.log.DebugContext(ctx, "cannot read the room in the windows", "error", err)
		}
		s.mu.Lock()
		s.room = room
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// send enqueues offers, taking those that have gathered meanwhile together.
func (s *Shortcut) send(ctx context.Context) {
	for {
		var batch []jobs.Delivery
		select {
		case <-ctx.Done():
			return
		case batch = <-s.offers:
		}
		for more := true; more; {
			select {
			case offer := <-s.offers:
				batch = append(batch, offer...)
			default:
				more = false
			}
		}
		call, cancel := context.WithTimeout(ctx, shortcutTime)
		if err := s.queue.Enqueue(call, batch); err != nil {
			s.log.DebugContext(ctx, "shortcut failed, the relay will deliver", "jobs", len(batch), "error", err)
		}
		cancel()
	}
}
