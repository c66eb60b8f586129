package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/leat-dev/leat/scale"
)

const (
	tellFor      = 2 * time.Second  // bounds one Tell
	repeatFor    = 10 * time.Minute // for so long the same news raise a count
	messageBytes = 1024             // is what fits an Event
)

// told is an Event that was recorded.
type told struct {
	name    string
	message string
	count   int
	at      time.Time
}

// Tell records an Event on the target, of the type that kubectl describe shows (core/v1). What was
// told in the last ten minutes for the same reason in the same words is counted up instead.
// Failures are logged. It takes at most 2 s.
func (t *Target) Tell(ctx context.Context, news scale.News) {
	ctx, cancel := context.WithTimeout(ctx, tellFor)
	defer cancel()
	if err := t.tell(ctx, news); err != nil {
		t.log.WarnContext(ctx, "recording an event failed", "target", t.what(), "reason", news.Reason, "error", err)
	}
}

func (t *Target) tell(ctx context.Context, news scale.News) error {
	t.mu.Lock()
	last, uid := t.told[news.Reason], t.uid
	t.mu.Unlock()
	now := time.Now()
	if last.message == news.Message && now.Sub(last.at) < repeatFor {
		last.count, last.at = last.count+1, now
		err := t.repeat(ctx, last)
		if err == nil {
			t.remember(news.Reason, last)
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
	}
	if uid == "" {
		if _, err := t.read(ctx); err != nil {
			return err
		}
		t.mu.Lock()
		uid = t.uid
		t.mu.Unlock()
	}
	event := t.event(news, uid, now)
	created, err := t.typed.CoreV1().Events(t.namespace).Create(ctx, event, metav1.CreateOptions{})
	if err != nil {
		return failed("create", "events", err)
	}
	t.remember(news.Reason, told{name: created.Name, message: news.Message, count: 1, at: now})
	return nil
}

func (t *Target) remember(reason string, event told) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told[reason] = event
}

// event makes the Event of the news. It names the target by its UID too, without which kubectl
// describe does not find it.
func (t *Target) event(news scale.News, uid types.UID, now time.Time) *corev1.Event {
	kind := corev1.EventTypeNormal
	if news.Bad {
		kind = corev1.EventTypeWarning
	}
	apiVersion, kindName := t.kind.ToAPIVersionAndKind()
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, Name: fmt.Sprintf("%s.%x", t.name, now.UnixNano())},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: apiVersion, Kind: kindName, Namespace: t.namespace, Name: t.name, UID: uid,
		},
		Type:    kind,
		Reason:  news.Reason,
		Message: clip(news.Message, messageBytes),
		Source:  corev1.EventSource{Component: userAgent}, ReportingController: userAgent,
		ReportingInstance: t.identity,
		FirstTimestamp:    metav1.NewTime(now), LastTimestamp: metav1.NewTime(now), Count: 1,
	}
}

// repeat counts up an Event that was recorded already.
func (t *Target) repeat(ctx context.Context, event told) error {
	body, err := json.Marshal(map[string]any{"count": event.count, "lastTimestamp": metav1.NewTime(event.at)})
	if err != nil {
		return fmt.Errorf("repeat an event: %w", err)
	}
	_, err = t.typed.CoreV1().Events(t.namespace).Patch(ctx, event.name, types.MergePatchType, body, metav1.PatchOptions{})
	if err != nil {
		return failed("patch", "events", err)
	}
	return nil
}

// clip cuts a text to a number of bytes, between letters.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const more = "…"
	return strings.ToValidUTF8(text[:limit-len(more)], "") + more
}
