package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/leat-dev/leat/scale"
)

// leaseOptions are of the Lease by which a leader is elected.
type leaseOptions struct {
	name     string
	duration time.Duration
}

// renewFor is how long after a renewal began the leader may lead.
func (o leaseOptions) renewFor() time.Duration { return o.duration * 7 / 10 }

// retry is how long it waits between renewals; followers, 1 to 2.2 times as long between looks.
func (o leaseOptions) retry() time.Duration { return o.duration / 10 }

// Lead follows until this process is elected, calls run while it leads, and follows again when it
// has lost the lead or run has returned. Run's context ends when leadership is lost or ctx ends.
// The Lease is given up only after run has returned; where run takes too long, it runs out. Lead
// returns once ctx has ended and run has returned, with run's last error unless that tells of the
// context's end. Errors of run while ctx lasts are logged.
func (t *Target) Lead(ctx context.Context, run func(ctx context.Context) error) error {
	for {
		err := t.candidate(ctx, run)
		if ctx.Err() != nil {
			if errors.Is(err, ctx.Err()) {
				return nil
			}
			return err
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.log.ErrorContext(ctx, "leading ended", "target", t.what(), "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(t.lease.retry()):
		}
	}
}

// Leading returns nil while this process leads and its last successful renewal of the Lease began
// less than 70 % of its duration ago by the local clock; otherwise a [scale.ErrNotLeader]. It may
// be called concurrently with all other methods.
func (t *Target) Leading() error {
	t.mu.Lock()
	term := t.term
	t.mu.Unlock()
	if term == nil {
		return fmt.Errorf("%w: it does not take part in the election", scale.ErrNotLeader)
	}
	return term.leading()
}

// candidate takes part in the election until this process has led and does no more, or ctx ends.
func (t *Target) candidate(ctx context.Context, run func(ctx context.Context) error) error {
	runCtx, lose := context.WithCancel(ctx)
	defer lose()
	term := &term{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: t.namespace, Name: t.lease.name},
			Client:     t.typed.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: t.identity},
		},
		lease: t.lease, lose: lose, ran: make(chan struct{}),
	}
	elected := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: term, Name: t.lease.name, ReleaseOnCancel: true,
		LeaseDuration: t.lease.duration, RenewDeadline: t.lease.renewFor(), RetryPeriod: t.lease.retry(),
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(elected) },
			OnStoppedLeading: lose,
		},
	})
	if err != nil {
		return fmt.Errorf("stand for election: %w", err)
	}
	t.mu.Lock()
	t.term = term
	t.mu.Unlock()

	// The elector outlives ctx, to renew the Lease until run has returned.
	hold, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(klog.NewContext(hold, logr.FromSlogHandler(t.log.Handler())))
	}()
	select {
	case <-elected:
		t.log.InfoContext(ctx, "leading", "target", t.what(), "identity", t.identity)
		err = run(runCtx)
		t.log.InfoContext(ctx, "leading no more", "target", t.what())
	case <-ctx.Done():
	}
	term.end()
	release()
	<-ended
	return err
}

// term is a candidacy and what may come of it: the elector's lock, of which it notes when it was
// last renewed, and which it gives up only after run has returned.
type term struct {
	resourcelock.Interface
	lease  leaseOptions
	lose   context.CancelFunc // ends run's context
	holder string             // as last read or written; the elector's alone

	mu      sync.Mutex
	renewed time.Time     // when the last successful renewal began; zero: none
	expire  *time.Timer   // loses when the renewal is too old
	ran     chan struct{} // closed when run has returned, or will not be called
	over    bool
}

var errNotHeld = errors.New("the lease is not ours to release")

// leading is Target.Leading.
func (e *term) leading() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over || e.renewed.IsZero() {
		return fmt.Errorf("%w: it does not hold the lease", scale.ErrNotLeader)
	}
	if age := time.Since(e.renewed); age >= e.lease.renewFor() {
		return fmt.Errorf("%w: its lease was last renewed %v ago", scale.ErrNotLeader, age.Round(time.Millisecond))
	}
	return nil
}

// end tells that run has returned, or will not be called.
func (e *term) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	if e.expire != nil {
		e.expire.Stop()
	}
	close(e.ran)
}

// Get reads the Lease.
func (e *term) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, e.lease.renewFor()/2)
	defer cancel()
	record, raw, err := e.Interface.Get(ctx)
	if err == nil {
		e.holder = record.HolderIdentity
	}
	return record, raw, err
}

// Create makes the Lease, and holds it.
func (e *term) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return e.put(ctx, record, e.Interface.Create)
}

// Update takes, renews or releases the Lease.
func (e *term) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity != "" {
		return e.put(ctx, record, e.Interface.Update)
	}
	// The elector releases whatever Lease it finds. When it could not renew its own for long,
	// that may be another's by now.
	if e.holder != e.Identity() {
		return errNotHeld
	}
	e.lose()
	select {
	case <-e.ran:
		return e.Interface.Update(ctx, record)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *term) put(
	ctx context.Context, record resourcelock.LeaderElectionRecord,
	put func(context.Context, resourcelock.LeaderElectionRecord) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, e.lease.renewFor()/2)
	defer cancel()
	began := time.Now()
	if err := put(ctx, record); err != nil {
		return err
	}
	e.holder = record.HolderIdentity
	e.mu.Lock()
	defer e.mu.Unlock()
	e.renewed = began
	if e.over {
		return nil
	}
	left := e.lease.renewFor() - time.Since(began)
	if e.expire == nil {
		e.expire = time.AfterFunc(left, e.lose)
	} else {
		e.expire.Reset(left)
	}
	return nil
}
