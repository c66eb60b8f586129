package api

import (
	"context"
	"net/http"

	"github.com/leat-dev/leat/api/wire"
)

func (a *API) health(context.Context, *struct{}) (*answer[wire.Health], error) {
	return &answer[wire.Health]{wire.Health{Status: "ok", Version: a.version}}, nil
}

type readyAnswer struct {
	Status int
	Body   wire.Readiness
}

// readiness tells what the process works with, and whether what it cannot do without is there.
func (a *API) readiness(ctx context.Context, _ *struct{}) (*readyAnswer, error) {
	out := &readyAnswer{Status: http.StatusOK, Body: wire.Readiness{Status: "ready", Checks: a.ready(ctx)}}
	for _, c := range out.Body.Checks {
		if c.Required && !c.OK {
			out.Status, out.Body.Status = http.StatusServiceUnavailable, "unready"
		}
	}
	return out, nil
}
