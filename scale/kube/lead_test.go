package kube_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/kube"
)

const timeout = 30 * time.Second

// scaler is a process that stands for election, with connections of its own.
type scaler struct {
	*kube.Target
	began, ended chan time.Time // of each run
	let          func()         // lets a run return that was told to linger
	stop         func()
}

func newScaler(t *testing.T, s *apiServer, name string, lease time.Duration, lingers bool) *scaler {
	t.Helper()
	linger := make(chan struct{})
	c := &scaler{
		let:    sync.OnceFunc(func() { close(linger) }),
		Target: newTarget(t, s, kube.Options{Kubeconfig: s.kubeconfig(name), Identity: name, LeaseDuration: lease}),
		began:  make(chan time.Time, 10), ended: make(chan time.Time, 10),
	}
	if !lingers {
		c.let()
	}
	c.stop = background(t, func(ctx context.Context) error {
		return c.Lead(ctx, func(ctx context.Context) error {
			c.began <- time.Now()
			<-ctx.Done()
			c.ended <- time.Now()
			<-linger
			return ctx.Err()
		})
	})
	t.Cleanup(c.let) // ahead of stop
	return c
}

// holder is who holds the Lease.
func holder(s *apiServer) string {
	name, _ := sub(s.get("leases/worker-scaler"), "spec")["holderIdentity"].(string)
	name, _, _ = strings.Cut(name, "_")
	return name
}

// cut breaks all connections of one scaler, or none.
func cut(s *apiServer, caller string) {
	s.hook(func(c call) int {
		if c.caller == caller {
			return away
		}
		return 0
	})
}

func TestOnlyTheLeaderWrites(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 1)
	bystander := newTarget(t, s, kube.Options{})
	const lease = 10 * time.Second
	a := newScaler(t, s, "a", lease, false)
	receive(t, a.began, timeout)
	b := newScaler(t, s, "b", lease, false)
	if err := a.Grow(t.Context(), 2); err != nil {
		t.Errorf("the leader cannot write: %v", err)
	}
	for name, err := range map[string]error{
		"bystander": bystander.Grow(t.Context(), 3),
		"follower":  b.Grow(t.Context(), 3),
		"shrinking": b.Shrink(t.Context(), 0, nil, nil),
		"asked":     b.Leading(),
	} {
		if !errors.Is(err, scale.ErrNotLeader) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The leader gives up the Lease on its way out, so that the follower need not wait.
	left := time.Now()
	a.stop()
	if took := receive(t, b.began, timeout).Sub(left); took > lease*9/10 {
		t.Errorf("the follower took over after %v", took)
	}
	if err := a.Grow(t.Context(), 3); !errors.Is(err, scale.ErrNotLeader) {
		t.Errorf("the old leader: %v", err)
	}
	if err := b.Grow(t.Context(), 3); err != nil || replicas(s) != 3 {
		t.Errorf("the new leader: %v; %d", err, replicas(s))
	}
}

// TestCutOffLeader: a leader that cannot renew its Lease stops before another begins, and does not
// take the Lease from that one when it is back.
func TestCutOffLeader(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 1)
	a := newScaler(t, s, "a", time.Second, true)
	receive(t, a.began, timeout)
	b := newScaler(t, s, "b", time.Second, false)
	cut(s, "a")
	ended := receive(t, a.ended, timeout)
	if err := a.Leading(); !errors.Is(err, scale.ErrNotLeader) {
		t.Errorf("it does not know that it lost: %v", err)
	}
	if began := receive(t, b.began, timeout); began.Before(ended) {
		t.Errorf("the second began %v before the first had ended", ended.Sub(began))
	}
	cut(s, "")
	a.let()
	// It follows again: it has looked at the Lease, and left it alone.
	looked := len(s.called("get", "leases"))
	eventually(t, timeout, func() error {
		if n := len(s.called("get", "leases")) - looked; n < 5 {
			return fmt.Errorf("the Lease was looked at %d times", n)
		}
		return nil
	})
	if holder(s) != "b" || len(b.ended) > 0 {
		t.Errorf("the Lease is %s's, and b's run ended %d times", holder(s), len(b.ended))
	}
	b.stop()
	receive(t, a.began, timeout)
	if err := a.Grow(t.Context(), 2); err != nil {
		t.Errorf("leading again: %v", err)
	}
}

// TestLeaseOutlivesRun: as long as run has not returned nobody else may begin.
func TestLeaseOutlivesRun(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 1)
	a := newScaler(t, s, "a", time.Second, true)
	receive(t, a.began, timeout)
	b := newScaler(t, s, "b", time.Second, false)
	stopped := make(chan struct{})
	go func() { defer close(stopped); a.stop() }()
	receive(t, a.ended, timeout)
	select {
	case <-b.began:
		t.Error("b began while a's run went on")
	case <-stopped:
		t.Error("Lead returned while run went on")
	case <-time.After(1500 * time.Millisecond): // more than the Lease lasts
	}
	a.let()
	receive(t, stopped, timeout)
	receive(t, b.began, timeout)
}

// TestRunFails: another try, a while later.
func TestRunFails(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 1)
	target := newTarget(t, s, kube.Options{LeaseDuration: time.Second})
	var runs atomic.Int32
	again := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := target.Lead(ctx, func(context.Context) error {
		switch runs.Add(1) {
		case 1:
			return errors.New("it failed")
		default:
			close(again)
			cancel()
			return fmt.Errorf("the %w", errLast)
		}
	})
	receive(t, again, timeout)
	if !errors.Is(err, errLast) {
		t.Errorf("Lead returned %v", err)
	}
	if err := target.Leading(); !errors.Is(err, scale.ErrNotLeader) {
		t.Errorf("after the end: %v", err)
	}
}

var errLast = errors.New("last error")
