package dispatch_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leat-dev/leat/dispatch"
	"github.com/leat-dev/leat/store"
)

// term runs an elector whose one duty reports when it leads.
type term struct {
	leading atomic.Int64 // epoch, 0 while not leading
	stop    context.CancelFunc
	done    chan struct{}
}

func elect(t *testing.T, l store.Leases, duty dispatch.Duty) *term {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	e := &term{stop: stop, done: make(chan struct{})}
	if duty == nil {
		duty = func(ctx context.Context, fence store.Lease) error {
			e.leading.Store(fence.Epoch)
			<-ctx.Done()
			e.leading.Store(0)
			return nil
		}
	}
	elector := dispatch.NewElector(l, quiet(), map[string]dispatch.Duty{"duty": duty})
	go func() {
		defer close(e.done)
		if err := elector.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return e
}

func TestOneLeadsAndAnotherFollowsAtOnceWhenItLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &leases{}
		first := elect(t, l, nil)
		synctest.Wait()
		second := elect(t, l, nil)
		settle(time.Minute)
		if first.leading.Load() != 1 || second.leading.Load() != 0 {
			t.Fatalf("leading: first %d, second %d; want the first alone, at epoch 1", first.leading.Load(), second.leading.Load())
		}
		first.stop()
		<-first.done
		settle(time.Second)
		if got := second.leading.Load(); got != 2 {
			t.Fatalf("second leads at epoch %d a second after the first left, want 2", got)
		}
		second.stop()
		<-second.done
	})
}

// Without the fallback to the lease's own end, a leader that cannot reach the store would go on
// for ever beside its follower.
func TestLeaderStopsBeforeALeaseThatItCannotRenewEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &leases{}
		e := elect(t, l, nil)
		settle(10 * time.Second)
		var expires time.Time
		l.set(func() { l.away = true; expires = l.expires })
		for e.leading.Load() != 0 {
			settle(10 * time.Millisecond)
			if time.Now().After(expires) {
				t.Fatal("still leading although the lease has ended")
			}
		}
		l.set(func() { l.away = false })
		settle(dispatch.LeaseTTL)
		if e.leading.Load() == 0 {
			t.Fatal("does not lead again after the store came back")
		}
		e.stop()
		<-e.done
	})
}

func TestLeaderGivesUpALeaseThatAnotherTook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &leases{}
		e := elect(t, l, nil)
		synctest.Wait()
		l.set(func() { l.holder = [16]byte{1}; l.epoch++; l.expires = time.Now().Add(time.Hour) })
		settle(dispatch.LeaseTTL)
		if e.leading.Load() != 0 {
			t.Fatal("still leading although the lease is another's")
		}
		e.stop()
		<-e.done
	})
}

func TestFailedDutyEndsTheTermAndAnotherBegins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var terms atomic.Int64
		e := elect(t, &leases{}, func(context.Context, store.Lease) error {
			terms.Add(1)
			return errors.New("broken")
		})
		settle(10 * time.Second)
		if n := terms.Load(); n < 2 {
			t.Fatalf("the duty ran %d times in 10 s, want it to be tried again", n)
		}
		e.stop()
		<-e.done
	})
}
