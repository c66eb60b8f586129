package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/client"
	"github.com/leat-dev/leat/jobs"
)

// naps is a Sleep that does not, and remembers for how long it did not.
type naps struct{ took []time.Duration }

func (n *naps) sleep(ctx context.Context, d time.Duration) error {
	n.took = append(n.took, d)
	return ctx.Err()
}

// answer writes JSON. If that fails, the client has gone, and its test says so.
func answer(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }

// busy answers 503 a number of times, then with a job in the state.
func busy(times int, retryAfter, state string, calls *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) <= int64(times) {
			w.Header().Set("Retry-After", retryAfter)
			w.Header().Set("Content-Type", wire.ProblemType)
			w.WriteHeader(http.StatusServiceUnavailable)
			answer(w, wire.Problem{Code: wire.CodeStoreUnavailable, Status: 503})
			return
		}
		answer(w, wire.Job{State: state})
	}
}

func TestReadsAreTriedAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, retryAfter string
		times, retries   int
		want             []time.Duration
		fails            bool
	}{
		{"never busy", "1", 0, 0, nil, false},
		{"busy twice", "2", 2, 0, []time.Duration{2 * time.Second, 2 * time.Second}, false},
		{"without a time", "", 1, 0, []time.Duration{time.Second}, false},
		{"at once", "0", 1, 0, []time.Duration{100 * time.Millisecond}, false},
		{"next week", "604800", 1, 0, []time.Duration{30 * time.Second}, false},
		{"nonsense", "-5", 1, 0, []time.Duration{time.Second}, false},
		{"always", "1", 100, 2, []time.Duration{time.Second, time.Second}, true},
		{"always, by default", "1", 100, 0, []time.Duration{time.Second, time.Second, time.Second, time.Second}, true},
		{"no patience", "1", 1, -1, nil, true},
	} {
		var calls atomic.Int64
		var n naps
		c := newClient(t, busy(test.times, test.retryAfter, wire.Running, &calls), client.Options{Retries: test.retries, Sleep: n.sleep})
		job, err := c.Job(t.Context(), jobs.NewID())
		if test.fails {
			refusal(t, err, wire.CodeStoreUnavailable)
		} else if err != nil || job.State != wire.Running {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, n.took); diff != "" {
			t.Errorf("%s: waits (-want +got):\n%s", test.name, diff)
		}
		if want := int64(len(test.want) + 1); calls.Load() != want {
			t.Errorf("%s: %d calls, want %d", test.name, calls.Load(), want)
		}
	}
}

// TestLimitsAreWaitedFor: one that is over soon; of another it is told when it will be.
func TestLimitsAreWaitedFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		retryAfter string
		want       []time.Duration
		says       string
	}{
		{"1", []time.Duration{time.Second}, ""},
		{"30", []time.Duration{30 * time.Second}, ""},
		{"3600", nil, "worth trying again in 1h0m0s"},
	} {
		var limited atomic.Bool
		var n naps
		c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case limited.CompareAndSwap(false, true):
				w.Header().Set("Retry-After", test.retryAfter)
				w.Header().Set("Content-Type", wire.ProblemType)
				w.WriteHeader(http.StatusTooManyRequests)
				answer(w, wire.Problem{Code: wire.CodeRateLimited, Status: http.StatusTooManyRequests})
			case r.Method == http.MethodPost:
				w.Header().Set("Location", "/tus/"+jobs.NewID().String())
				w.Header().Set("Leat-Job-Id", jobs.NewID().String())
				w.WriteHeader(http.StatusCreated)
			default:
				answer(w, wire.Job{})
			}
		}), client.Options{Sleep: n.sleep})
		for name, call := range map[string]func() error{
			"a read": func() error { _, err := c.Job(t.Context(), jobs.NewID()); return err },
			"an upload": func() error {
				var told []time.Duration
				options := client.UploadOptions{Retrying: func(_ error, wait time.Duration) { told = append(told, wait) }}
				_, _, err := c.UploadInPieces(t.Context(), options, client.Source{Content: strings.NewReader("")})
				if diff := cmp.Diff(test.want, told); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				return err
			},
		} {
			limited.Store(false)
			n.took = nil
			err := call()
			if test.says == "" && err != nil {
				t.Errorf("%s, in %s s: %v", name, test.retryAfter, err)
			}
			if test.says != "" {
				refusal(t, err, wire.CodeRateLimited)
				if !strings.Contains(err.Error(), test.says) {
					t.Errorf("%s, in %s s: %v", name, test.retryAfter, err)
				}
			}
			if diff := cmp.Diff(test.want, n.took); diff != "" {
				t.Errorf("%s, in %s s: waits (-want +got):\n%s", name, test.retryAfter, diff)
			}
		}
	}
}

func TestChangesAreNotTriedAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	c := newClient(t, busy(1, "1", wire.Running, &calls), client.Options{})
	_, err := c.Cancel(t.Context(), jobs.NewID())
	refusal(t, err, wire.CodeStoreUnavailable)
	if calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	c := newClient(t, busy(1000, "30", wire.Running, &calls), client.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Job(ctx, jobs.NewID())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAnswersOfSomethingInBetween(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<h1>Bad Gateway</h1>", http.StatusBadGateway)
		},
		"nothing":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"a broken problem":  problemText(`{"code":`),
		"an empty problem":  problemText(`{}`),
		"not quite a chunk": problemText(`"x"`),
	} {
		c := newClient(t, handler, client.Options{})
		_, err := c.Job(t.Context(), jobs.NewID())
		var p *wire.Problem
		if !errors.As(err, &p) || p.Status != http.StatusBadGateway || p.Error() != "status 502: Bad Gateway" {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }), client.Options{})
	if _, err := c.Job(t.Context(), jobs.NewID()); err == nil {
		t.Error("a page was taken for a job")
	}
}

func problemText(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", wire.ProblemType)
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, text) // the client has gone if this fails, and its test says so
	}
}

func TestRequestsNameTheProgramAndKeepTheBase(t *testing.T) {
	t.Parallel()
	var got atomic.Pointer[http.Request]
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r)
		answer(w, struct{}{})
	})
	server := newServer(t, handler)
	for agent, want := range map[string]string{"": "leat-client", "tool/1": "tool/1"} {
		c, err := client.New(server+"/behind/a/proxy/", client.Options{UserAgent: agent})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Kinds(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := got.Load()
		if r.UserAgent() != want || r.URL.Path != "/behind/a/proxy/v1/kinds" {
			t.Errorf("agent %q, path %q", r.UserAgent(), r.URL.Path)
		}
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "127.0.0.1:8080", "localhost", "ftp://x", "http://", "http://a b", "http://x?y", "http://x#y", "://"} {
		if _, err := client.New(base, client.Options{}); err == nil || strings.Contains(err.Error(), "nil") {
			t.Errorf("%q: %v", base, err)
		}
	}
}
