package apirole

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/api/wire"
)

// slow is a part that answers after a time, unless the one who asks gives up.
type slow time.Duration

func (s slow) Ping(ctx context.Context) error {
	select {
	case <-time.After(time.Duration(s)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A Redis that hangs is told of well before a probe gives up, or no process would be ready for uploads,
// which go on without it.
func TestP1RedisThatHangsDoesNotHoldUpReadiness(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		store, redis time.Duration
		ok           [2]bool
		took         time.Duration
	}{
		{"both answer", 0, 0, [2]bool{true, true}, 0},
		{"Redis is slow", time.Millisecond, 400 * time.Millisecond, [2]bool{true, true}, 400 * time.Millisecond},
		{"Redis hangs", time.Millisecond, time.Hour, [2]bool{true, false}, redisPing},
		{"both hang", time.Hour, time.Hour, [2]bool{false, false}, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				began := time.Now()
				got := ready(slow(c.store), slow(c.redis))(ctx)
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				want := []wire.Check{{Name: "store", Required: true, OK: c.ok[0]}, {Name: "redis", OK: c.ok[1]}}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("checks (-want +got):\n%s", diff)
				}
			})
		})
	}
}
