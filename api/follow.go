package api

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// lookEvery is how often the jobs that are followed are looked at.
const lookEvery = 250 * time.Millisecond

// follower looks at the jobs that streams follow, once for all streams of a tenant, and tells each
// stream when there is something new.
type follower struct {
	store store.Follow
	log   *slog.Logger

	mu      sync.Mutex
	tenants map[jobs.Tenant]*followed
}

// followed is what streams of one tenant follow. It is looked at from the first of them to the last.
type followed struct {
	*follower
	tenant  jobs.Tenant
	stop    context.CancelFunc
	done    chan struct{}
	streams map[*subscription]struct{} // under the follower's lock

	looks atomic.Int64  // after which streams were told to read
	turn  chan struct{} // holds one message while a stream reads, which has parts and order
	parts map[string]part
	order []string // of the parts that are kept, oldest first
}

// keepPages is how many pages of a tenant's events are kept for streams that come to them a little
// later; of at most eventPage events each.
const keepPages = 16

// part is one page of a tenant's events as streams send it, and the position behind it.
type part struct {
	text string
	next string
	look int64 // before which it was read
}

// subscription is one stream's. News is told that there is something new; it holds one message, since
// a stream then reads all that there is.
type subscription struct {
	of   *followed
	job  uuid.UUID // uuid.Nil for all jobs
	news chan struct{}
	mark store.Mark // latest that was told of
}

func newFollower(s store.Follow, log *slog.Logger) *follower {
	return &follower{store: s, log: log, tenants: map[jobs.Tenant]*followed{}}
}

// follow begins to look at a job as it stands by mark, or at all jobs of the tenant.
func (f *follower) follow(ctx context.Context, tenant jobs.Tenant, mark store.Mark) *subscription {
	f.mu.Lock()
	defer f.mu.Unlock()
	of, ok := f.tenants[tenant]
	if !ok {
		ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // it goes on for others
		of = &followed{
			follower: f, tenant: tenant, stop: stop, done: make(chan struct{}),
			streams: map[*subscription]struct{}{}, turn: make(chan struct{}, 1), parts: map[string]part{},
		}
		f.tenants[tenant] = of
		go of.run(ctx)
	}
	s := &subscription{of: of, job: mark.ID, news: make(chan struct{}, 1), mark: mark}
	of.streams[s] = struct{}{}
	return s
}

// close ends a subscription. The last one of its tenant waits until nobody looks any more.
func (s *subscription) close() {
	s.of.mu.Lock()
	delete(s.of.streams, s)
	last := len(s.of.streams) == 0
	if last {
		delete(s.of.tenants, s.of.tenant)
	}
	s.of.mu.Unlock()
	if last {
		s.of.stop()
		<-s.of.done
	}
}

// tell has the stream look, unless it is about to.
func (s *subscription) tell() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// run looks until nobody follows.
func (of *followed) run(ctx context.Context) {
	defer close(of.done)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var position string
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var err error
		position, err = of.look(ctx, position)
		if err != nil && !failing && ctx.Err() == nil {
			of.log.WarnContext(ctx, "cannot follow jobs now; streams will go on where they were", slog.Any("err", err))
		}
		failing = err != nil
	}
}

// look tells the streams for which there is something new.
func (of *followed) look(ctx context.Context, position string) (string, error) {
	byJob, all := of.subscribers()
	for ids := range slices.Chunk(slices.Collect(maps.Keys(byJob)), store.MaxMarks) {
		marks, err := of.store.Marks(ctx, of.tenant, ids)
		if err != nil {
			return position, err
		}
		of.compare(byJob, marks)
	}
	if len(all) == 0 {
		return "", nil
	}
	events, next, err := of.store.TenantEvents(ctx, of.tenant, position, 1)
	if err != nil {
		return position, err
	}
	if len(events) == 0 && position != "" {
		return next, nil
	}
	of.looks.Add(1)
	for _, s := range all {
		s.tell()
	}
	if len(events) > 0 {
		return "", nil // the streams read on for themselves; look on from the next now, of which they are told
	}
	return next, nil
}

func (of *followed) subscribers() (byJob map[uuid.UUID][]*subscription, all []*subscription) {
	of.mu.Lock()
	defer of.mu.Unlock()
	byJob = map[uuid.UUID][]*subscription{}
	for s := range of.streams {
		if s.job == uuid.Nil {
			all = append(all, s)
		} else {
			byJob[s.job] = append(byJob[s.job], s)
		}
	}
	return byJob, all
}

func (of *followed) compare(byJob map[uuid.UUID][]*subscription, marks []store.Mark) {
	for _, mark := range marks {
		for _, s := range byJob[mark.ID] {
			if s.mark != mark {
				s.mark = mark
				s.tell()
			}
		}
	}
}

// read returns the page at a position: the one that another stream has just read, or the store's. That
// there was nothing holds until there was another look, which tells all streams to read again.
func (of *followed) read(ctx context.Context, position string) (part, error) {
	select {
	case of.turn <- struct{}{}:
		defer func() { <-of.turn }()
	case <-ctx.Done():
		return part{}, context.Cause(ctx)
	}
	look := of.looks.Load()
	if p, ok := of.parts[position]; ok && (p.next != position || p.look == look) {
		return p, nil
	}
	events, next, err := of.store.TenantEvents(ctx, of.tenant, position, eventPage)
	if err != nil {
		return part{}, err
	}
	var text strings.Builder
	for i := range events {
		id := ""
		if i == len(events)-1 {
			id = next // a page is had as a whole, or once more
		}
		text.WriteString(eventText(id, wireEvent(&events[i])))
	}
	p := part{text.String(), next, look}
	of.keep(position, p)
	return p, nil
}

// keep keeps a page for the streams that come next, and forgets the oldest.
func (of *followed) keep(position string, p part) {
	if _, again := of.parts[position]; !again {
		of.order = append(of.order, position)
	}
	of.parts[position] = p
	if len(of.order) > keepPages {
		delete(of.parts, of.order[0])
		of.order = slices.Delete(of.order, 0, 1)
	}
}
