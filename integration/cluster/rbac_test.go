package cluster_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/kube"
)

// TestRBACIsExactlyEnough: with the Role of deploy/k8s the scaler can do all that it does, as its own
// service account; with any verb fewer, something fails.
func TestRBACIsExactlyEnough(t *testing.T) { //nolint:paralleltest // there is one cluster
	c := install(t, perTen)
	c.kubectl("--namespace", namespace, "scale", "deployment/scaler", "--replicas=0")
	c.until("no scaler runs", time.Minute, func() bool { return c.leader() == "" })
	config := c.asScaler()
	roles := c.kube.RbacV1().Roles(namespace)
	full, err := roles.Get(t.Context(), "scaler", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set := func(rule, verb int) {
		role, err := roles.Get(t.Context(), "scaler", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		role.Rules = full.DeepCopy().Rules
		switch {
		case rule < 0:
		case len(full.Rules[rule].Verbs) == 1:
			role.Rules = slices.Delete(role.Rules, rule, rule+1)
		default:
			role.Rules[rule].Verbs = slices.Delete(role.Rules[rule].Verbs, verb, verb+1)
		}
		if _, err := roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c.until("all is allowed", 30*time.Second, func() bool { return c.exercise(config) == nil })
	for r, rule := range full.Rules {
		for v, verb := range rule.Verbs {
			set(r, v)
			// The API server's authorizer follows roles within moments.
			what := fmt.Sprintf("without %s on %s something fails", verb, strings.Join(rule.Resources, ","))
			c.until(what, 30*time.Second, func() bool { return c.exercise(config) != nil })
			set(-1, 0)
			c.until("all is allowed again", 30*time.Second, func() bool { return c.exercise(config) == nil })
		}
	}
}

// asScaler writes a kubeconfig for the scaler's service account.
func (c *cluster) asScaler() string {
	c.t.Helper()
	seconds := int64(3600)
	token, err := c.kube.CoreV1().ServiceAccounts(namespace).CreateToken(c.t.Context(), "scaler",
		&authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		c.t.Fatal(err)
	}
	ca := cfg.CAData
	if len(ca) == 0 {
		if ca, err = os.ReadFile(cfg.CAFile); err != nil {
			c.t.Fatal(err)
		}
	}
	path := filepath.Join(c.t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: scaler
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %q}}]
users: [{name: scaler, user: {token: %q}}]
contexts: [{name: scaler, context: {cluster: c, user: scaler, namespace: %s}}]
`, cfg.Host, base64.StdEncoding.EncodeToString(ca), token.Status.Token, namespace)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// exercise does, as that account, all that a scaler does; it returns what went wrong.
func (c *cluster) exercise(config string) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	err := c.kube.CoordinationV1().Leases(namespace).Delete(ctx, "worker-scaler", metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		c.t.Fatal(err)
	}
	log := &complaints{}
	target, err := kube.New(kube.Options{Kubeconfig: config, Name: "worker", LeaseDuration: 2 * time.Second, Log: slog.New(log)})
	if err != nil {
		c.t.Fatal(err)
	}
	leading, resign := context.WithCancel(ctx)
	var failed error
	var parts sync.WaitGroup
	parts.Go(func() { failed = errors.Join(failed, target.Run(leading)) })
	led := errors.New("it never led")
	lead := target.Lead(leading, func(ctx context.Context) error {
		defer resign()
		led = c.scaleOnce(ctx, target)
		return nil
	})
	resign()
	parts.Wait()
	return errors.Join(failed, lead, led, log.all())
}

// scaleOnce grows to two and shrinks to one, and tells of it twice.
func (c *cluster) scaleOnce(ctx context.Context, target *kube.Target) error {
	if err := target.Grow(ctx, 2); err != nil {
		return err
	}
	size, err := c.sized(ctx, target, func(s scale.Size) bool { return len(s.Members) == 2 })
	if err != nil {
		return err
	}
	for range 2 {
		target.Tell(ctx, scale.News{Reason: "Tested", Message: "The same news."})
	}
	victim, stays := size.Members[0].Name, size.Members[1].Name
	if err := target.Shrink(ctx, 1, []string{victim}, map[string]time.Duration{stays: time.Minute}); err != nil {
		return err
	}
	if _, err := c.sized(ctx, target, func(s scale.Size) bool { return len(s.Members) == 1 }); err != nil {
		return err
	}
	// For the next time: what is left goes as well.
	return target.Shrink(ctx, 0, []string{stays}, nil)
}

// sized waits until the fleet is as it should be.
func (c *cluster) sized(ctx context.Context, target *kube.Target, fits func(scale.Size) bool) (scale.Size, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		size, err := target.Size(ctx)
		if err == nil && fits(size) {
			return size, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return size, errors.Join(ctx.Err(), err)
		}
	}
}

// complaints keeps what is logged as a warning or worse.
type complaints struct {
	mu   sync.Mutex
	list []error
}

func (l *complaints) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}
func (l *complaints) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *complaints) WithGroup(string) slog.Handler      { return l }

func (l *complaints) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, errors.New(r.Message))
	return nil
}

func (l *complaints) all() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.list...)
}
