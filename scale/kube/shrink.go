package kube

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Shrink sets a smaller number of replicas, after it has made sure that only victims go, and
// pods that are neither ready nor have work left: see the package's description. A member without
// an entry in left is taken to hold nothing. Where it finds that number already it does nothing;
// where it finds a smaller one the error is [ErrMoved].
func (t *Target) Shrink(ctx context.Context, replicas int, victims []string, left map[string]time.Duration) error {
	if err := t.permitted(ctx); err != nil {
		return err
	}
	p := plan{replicas: replicas, victims: make(map[string]bool, len(victims)), left: left, ordinals: t.ordinals()}
	for _, name := range victims {
		p.victims[name] = true
	}
	s, err := t.read(ctx)
	if err != nil {
		return err
	}
	if s.replicas <= replicas {
		return p.moved(s.replicas)
	}
	if p.ordinals {
		if p.start, err = t.firstOrdinal(ctx); err != nil {
			return err
		}
	}
	members, err := t.pods.members(ctx, s.selector)
	if err != nil {
		return err
	}
	if err := p.check(members); err != nil {
		return err
	}
	if !p.ordinals {
		if err := t.mark(ctx, members, p); err != nil {
			return err
		}
	}
	return t.resize(ctx, replicas, func(found int) error {
		if found <= replicas {
			return p.moved(found)
		}
		members, err := t.pods.members(ctx, s.selector)
		if err != nil {
			return err
		}
		return p.check(members)
	})
}

// moved tells that there are as few replicas as wanted, or fewer.
func (p plan) moved(found int) error {
	if found == p.replicas {
		return nil
	}
	return fmt.Errorf("shrink to %d replicas: %w: there are to be %d", p.replicas, ErrMoved, found)
}

// ordinals says whether the target removes its pods by their ordinal alone.
func (t *Target) ordinals() bool { return t.kind.Group == "apps" && t.kind.Kind == "StatefulSet" }

// firstOrdinal is where a StatefulSet begins to number its pods.
func (t *Target) firstOrdinal(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	client, err := t.client(ctx)
	if err != nil {
		return 0, err
	}
	set, err := client.Get(ctx, t.name, metav1.GetOptions{})
	if err != nil {
		return 0, failed("get", t.what(), err)
	}
	start, _, err := unstructured.NestedInt64(set.Object, "spec", "ordinals", "start")
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t.what(), err)
	}
	return int(start), nil
}
