package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/store"
)

// decide records a decision as a scaler does.
func (f *fixture) decide(target string, replicas int) {
	f.Helper()
	_, err := f.store.RecordDecision(f.Context(), target, store.NewDecision{
		At: time.Now(), Current: 1, Replicas: replicas, Bound: "drain", Outcome: store.ScaleApplied,
		Detail: json.RawMessage(fmt.Sprintf(`{"decision":{"replicas":%d}}`, replicas)), Memory: json.RawMessage(`{}`),
	})
	f.ok(err)
}

// TestP9DecisionsCanBeRead: latest first, a page at a time, each with all of its reasons.
func TestP9DecisionsCanBeRead(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		f.equal("before the first", []wire.ScalingTarget{}, into[wire.Scaling](f.get("/v1/scaling").is(http.StatusOK)).Targets)
		const all = 5
		for n := range all {
			f.decide("worker", n+2)
		}
		targets := into[wire.Scaling](f.get("/v1/scaling").is(http.StatusOK)).Targets
		if len(targets) != 1 || targets[0].Name != "worker" || targets[0].Latest == nil || targets[0].Latest.Replicas != all+1 {
			t.Fatalf("targets %+v", targets)
		}
		f.equal("detail in the list of targets", json.RawMessage(nil), targets[0].Latest.Detail)
		seen := 0
		for cursor := ""; ; {
			page := into[wire.ScalingDecisions](f.get("/v1/scaling/worker/decisions?limit=2&cursor=" + cursor).is(http.StatusOK))
			for _, d := range page.Decisions {
				f.equal("replicas, latest first", all+1-seen, d.Replicas)
				var detail struct{ Decision struct{ Replicas int } }
				f.ok(json.Unmarshal(d.Detail, &detail))
				f.equal("replicas in the detail", d.Replicas, detail.Decision.Replicas)
				f.equal("outcome", "applied", d.Outcome)
				seen++
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		f.equal("decisions", all, seen)
		f.equal("of a target that nobody scales", 0, len(into[wire.ScalingDecisions](f.get("/v1/scaling/other/decisions").is(http.StatusOK)).Decisions))
	})
}

// An operator's commands show at once, and are there for the scaler.
func TestScalingByHand(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		pinned := into[wire.ScalingCommand](f.post("/v1/scaling/worker/pin?replicas=0&for=90s").is(http.StatusOK))
		if pinned.Pin == nil || pinned.Pin.Replicas != 0 || time.Until(pinned.Pin.Until) > 90*time.Second {
			t.Fatalf("pinned %+v", pinned.Pin)
		}
		f.equal("paused", true, into[wire.ScalingCommand](f.post("/v1/scaling/worker/pause").is(http.StatusOK)).Paused)
		state, err := f.store.ScalingState(t.Context(), "worker")
		f.ok(err)
		if !state.Paused || state.Pin == nil || state.Pin.Replicas != 0 {
			t.Errorf("the scaler finds %+v", state)
		}
		f.equal("paused", false, into[wire.ScalingCommand](f.post("/v1/scaling/worker/resume").is(http.StatusOK)).Paused)
		if pin := into[wire.ScalingCommand](f.post("/v1/scaling/worker/unpin").is(http.StatusOK)).Pin; pin != nil {
			t.Errorf("still pinned: %+v", pin)
		}
	})
}

func TestScalingRefusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	for _, c := range []struct {
		path, field string
	}{
		{"/v1/scaling/worker/pin?replicas=-1&for=1h", "replicas"},
		{"/v1/scaling/worker/pin?replicas=x&for=1h", "replicas"},
		{"/v1/scaling/worker/pin?for=1h", "replicas"},
		{"/v1/scaling/worker/pin?replicas=1", "for"},
		{"/v1/scaling/worker/pin?replicas=1&for=0s", "for"},
		{"/v1/scaling/worker/pin?replicas=1&for=-1h", "for"},
		{"/v1/scaling/worker/pin?replicas=1&for=9000h", "for"},
		{"/v1/scaling/worker/pin?replicas=1&for=tomorrow", "for"},
		{"/v1/scaling/UPPER/pin?replicas=1&for=1h", "target"},
		{"/v1/scaling/UPPER/unpin", "target"},
		{"/v1/scaling/UPPER/pause", "target"},
		{"/v1/scaling/UPPER/resume", "target"},
	} {
		problem := f.post(c.path).fails(wire.CodeInvalidParameter)
		if len(problem.Errors) != 1 || problem.Errors[0].Field != c.field {
			t.Errorf("%s: %+v, want the field %s", c.path, problem.Errors, c.field)
		}
	}
	f.get("/v1/scaling/UPPER/decisions").fails(wire.CodeInvalidParameter)
	f.get("/v1/scaling/worker/decisions?cursor=x").fails(wire.CodeInvalidCursor)
}
