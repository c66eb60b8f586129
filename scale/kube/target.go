package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/leat-dev/leat/scale"
)

// userAgent is who the scaler is to the API server, in its logs, in Events and in field managers.
const userAgent = "leat-scaler"

// callFor bounds one call to the API server, but for watches.
const callFor = 5 * time.Second

// Target is one resource with a scale subresource. Besides being used as one by the loop it must
// be run: [Target.Run] follows the pods, and [Target.Lead] leads.
type Target struct {
	name      string
	kind      schema.GroupVersionKind
	namespace string
	identity  string
	log       *slog.Logger

	http    *http.Client
	typed   kubernetes.Interface
	dynamic dynamic.Interface
	pods    *pods
	lease   leaseOptions

	mu       sync.Mutex
	resource schema.GroupVersionResource // empty until found
	uid      types.UID                   // as last read
	told     map[string]told             // the last Event of each reason
	rivals   rivals
	term     *term // the candidacy that goes on
}

// New makes a target. It does not call the API server, which may be away.
func New(o Options) (*Target, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	cfg, namespace, err := o.connect()
	if err != nil {
		return nil, err
	}
	t := &Target{
		name:      o.Name,
		kind:      schema.FromAPIVersionAndKind(o.APIVersion, o.Kind),
		namespace: namespace,
		identity:  o.Identity,
		log:       o.Log,
		lease:     leaseOptions{name: o.Lease, duration: o.LeaseDuration},
		told:      make(map[string]told),
	}
	if t.http, err = rest.HTTPClientFor(cfg); err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	if t.typed, err = kubernetes.NewForConfigAndClient(cfg, t.http); err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	if t.dynamic, err = dynamic.NewForConfigAndClient(cfg, t.http); err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	t.pods = newPods(t.typed.CoreV1().Pods(namespace), func(ctx context.Context) (string, error) {
		s, err := t.read(ctx)
		return s.selector, err
	}, o.Log)
	return t, nil
}

// Run follows the target's pods until the context ends. [Target.Size] needs it, in followers too,
// so that they know the fleet when they begin to lead.
func (t *Target) Run(ctx context.Context) error {
	t.pods.run(ctx)
	utilnet.CloseIdleConnectionsFor(t.http.Transport)
	return nil
}

// Name is the target's, such as worker.
func (t *Target) Name() string { return t.name }

// what is the target's kind and name, such as deployment/worker.
func (t *Target) what() string { return strings.ToLower(t.kind.Kind) + "/" + t.name }

// Size tells the replicas that the scale asks for, and the pods that are neither on their way out
// nor ended, in the order in which Kubernetes would remove them, all else being equal. It fails
// while the API server is away or the watch of the pods is broken. On the leader it also takes
// back marks that a shrink left, once no pod is left to be removed.
func (t *Target) Size(ctx context.Context) (scale.Size, error) {
	s, err := t.read(ctx)
	if err != nil {
		return scale.Size{}, err
	}
	members, err := t.pods.members(ctx, s.selector)
	if err != nil {
		return scale.Size{}, err
	}
	t.sweep(ctx, members, s.replicas)
	size := scale.Size{Replicas: s.replicas, Ordered: t.ordinals()}
	if rival := t.Rival(ctx); errors.Is(rival, scale.ErrRival) {
		size.Rival = rival
	} else if rival != nil {
		return scale.Size{}, rival
	}
	inOrder := plan{ordinals: size.Ordered}
	for _, m := range inOrder.order(members) {
		size.Members = append(size.Members, scale.Member{Name: m.name, Made: m.made})
	}
	return size, nil
}

// Grow sets a greater number of replicas. Where it finds that number it does nothing; where it
// finds a greater one the error is [ErrMoved].
func (t *Target) Grow(ctx context.Context, replicas int) error {
	if err := t.permitted(ctx); err != nil {
		return err
	}
	return t.resize(ctx, replicas, func(found int) error {
		if found > replicas {
			return fmt.Errorf("grow to %d replicas: %w: there are to be %d", replicas, ErrMoved, found)
		}
		return nil
	})
}

// permitted says why nothing may be written: this process does not lead, or something else scales
// the target.
func (t *Target) permitted(ctx context.Context) error {
	if err := t.Leading(); err != nil {
		return err
	}
	return t.findRivals(ctx)
}
