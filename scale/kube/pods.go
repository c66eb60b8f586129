package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// The least and the greatest time between two tries to follow the pods.
const (
	retryAfter   = 250 * time.Millisecond
	retryAtLeast = 4 * time.Second
)

// syncFor is how long members waits for the pods to become known.
const syncFor = time.Second

// pod is what matters of a pod that is neither on its way out nor ended.
type pod struct {
	name  string
	uid   types.UID
	made  time.Time
	owner types.UID // the ReplicaSet or the like
	stage stage
	cost  string // pod-deletion-cost
	mark  string // the cost that a shrink of ours gave
}

// stage is how far a pod got. The less far, the earlier it is removed.
type stage int

const (
	unassigned stage = iota // to no node yet
	pending
	unknown
	unready
	ready
)

func podOf(p *corev1.Pod) pod {
	m := pod{
		name: p.Name, uid: p.UID, made: p.CreationTimestamp.Time, stage: stageOf(p),
		cost: p.Annotations[costAnnotation], mark: p.Annotations[markAnnotation],
	}
	if owner := metav1.GetControllerOf(p); owner != nil {
		m.owner = owner.UID
	}
	return m
}

func stageOf(p *corev1.Pod) stage {
	switch {
	case p.Spec.NodeName == "":
		return unassigned
	case p.Status.Phase == corev1.PodPending:
		return pending
	case p.Status.Phase == corev1.PodUnknown:
		return unknown
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return ready
		}
	}
	return unready
}

// leaving says whether the pod is on its way out or ended.
func leaving(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// pods follows the pods of a selector: it lists them once and then watches.
type pods struct {
	client   corev1client.PodInterface
	discover func(context.Context) (string, error) // the selector
	log      *slog.Logger

	mu       sync.Mutex
	selector string
	restart  context.CancelFunc // ends the watch that goes on
	byName   map[string]pod
	fault    error         // why byName is not known to be current; nil: it is
	changed  chan struct{} // closed at the next change
}

var errUnwatched = errors.New("the pods are not watched yet")

func newPods(client corev1client.PodInterface, discover func(context.Context) (string, error), log *slog.Logger) *pods {
	return &pods{
		client: client, discover: discover, log: log,
		restart: func() {}, fault: errUnwatched, changed: make(chan struct{}),
	}
}

// members returns the pods of a selector, by name. It waits a moment for them to become known.
func (p *pods) members(ctx context.Context, selector string) ([]pod, error) {
	p.mu.Lock()
	if p.selector != selector {
		p.selector, p.fault = selector, errUnwatched
		p.restart()
	}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, syncFor)
	defer cancel()
	var members []pod
	err := p.await(ctx, func(byName map[string]pod) bool {
		members = slices.SortedFunc(maps.Values(byName), byNameOnly)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("know the pods: %w", err)
	}
	return members, nil
}

// await waits until the pods are known to be current and done agrees. Done must not keep the map.
func (p *pods) await(ctx context.Context, done func(byName map[string]pod) bool) error {
	for {
		p.mu.Lock()
		fault, changed := p.fault, p.changed
		if fault == nil && done(p.byName) {
			p.mu.Unlock()
			return nil
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			if fault != nil {
				return fault
			}
			return ctx.Err()
		}
	}
}

// change changes what is known and wakes who waits for it.
func (p *pods) change(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
	close(p.changed)
	p.changed = make(chan struct{})
}

// run follows the pods until the context ends, and tries again when it fails.
func (p *pods) run(ctx context.Context) {
	pause := retryAfter
	for ctx.Err() == nil {
		synced, err := p.follow(ctx)
		if ctx.Err() != nil {
			err = errUnwatched
		}
		if synced {
			pause = retryAfter
		}
		if err == nil {
			continue // another selector
		}
		p.change(func() { p.fault = err })
		if ctx.Err() != nil {
			return
		}
		p.log.WarnContext(ctx, "following the pods failed", "error", err, "retry_in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, retryAtLeast)
	}
}

// follow lists and watches the pods until that fails or, without an error, until the selector
// changes. It says whether the pods were known meanwhile.
func (p *pods) follow(ctx context.Context) (synced bool, err error) {
	selector, err := p.wanted(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.mu.Lock()
	p.restart = cancel
	stale := p.selector != selector
	p.mu.Unlock()
	if stale {
		return false, nil
	}
	byName, version, err := p.list(ctx, selector)
	for err == nil {
		// They are known only once it is certain that changes will be.
		version, err = p.watch(ctx, selector, version, func() {
			if !synced {
				synced = true
				p.know(selector, byName)
			}
		})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.selector != selector {
		return synced, nil
	}
	return synced, err
}

// wanted is the selector that was last asked for, or else the target's own.
func (p *pods) wanted(ctx context.Context) (string, error) {
	p.mu.Lock()
	selector := p.selector
	p.mu.Unlock()
	if selector != "" {
		return selector, nil
	}
	selector, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.selector == "" {
		p.selector = selector
	}
	return p.selector, nil
}

// list returns the pods, and the version from which to watch them.
func (p *pods) list(ctx context.Context, selector string) (map[string]pod, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*callFor)
	defer cancel()
	list, err := p.client.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, "", failed("list", "pods", err)
	}
	byName := make(map[string]pod, len(list.Items))
	for i := range list.Items {
		if item := &list.Items[i]; !leaving(item) {
			byName[item.Name] = podOf(item)
		}
	}
	return byName, list.ResourceVersion, nil
}

// know takes in the pods as they were listed.
func (p *pods) know(selector string, byName map[string]pod) {
	p.change(func() {
		if p.selector == selector {
			p.byName, p.fault = byName, nil
		}
	})
}

// watch follows the pods from a version on, until the API server ends the watch as it does every
// few minutes, and returns the version that was reached. It calls opened when the watch stands.
func (p *pods) watch(ctx context.Context, selector, version string, opened func()) (string, error) {
	w, err := p.client.Watch(ctx, metav1.ListOptions{
		LabelSelector: selector, ResourceVersion: version, AllowWatchBookmarks: true,
	})
	if err != nil {
		return version, failed("watch", "pods", err)
	}
	defer w.Stop()
	opened()
	from, began := version, time.Now()
	for event := range w.ResultChan() {
		if event.Type == watch.Error {
			return version, fmt.Errorf("watch pods: %w", apierrors.FromObject(event.Object))
		}
		item, ok := event.Object.(*corev1.Pod)
		if !ok {
			return version, fmt.Errorf("watch pods: %T among them", event.Object)
		}
		version = item.ResourceVersion
		if event.Type != watch.Bookmark {
			p.see(selector, item, event.Type == watch.Deleted)
		}
	}
	if err := ctx.Err(); err != nil {
		return version, err
	}
	if version == from && time.Since(began) < time.Second {
		return version, errors.New("watch pods: the watch ended at once")
	}
	return version, nil
}

// see takes in one pod as the watch shows it.
func (p *pods) see(selector string, item *corev1.Pod, deleted bool) {
	p.change(func() {
		switch {
		case p.selector != selector:
		case deleted || leaving(item):
			if known, ok := p.byName[item.Name]; ok && known.uid == item.UID {
				delete(p.byName, item.Name)
			}
		default:
			p.byName[item.Name] = podOf(item)
		}
	})
}
