package api

import (
	"context"
	"time"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func (a *API) scaling(ctx context.Context, _ *struct{}) (*answer[wire.Scaling], error) {
	found, err := a.store.Targets(ctx, tenantOf(ctx))
	if err != nil {
		return nil, err
	}
	out := make([]wire.ScalingTarget, len(found))
	for i := range found {
		out[i] = wireTarget(&found[i])
	}
	return &answer[wire.Scaling]{wire.Scaling{Targets: out}}, nil
}

// TargetParams name a fleet. The type is exported because huma looks into no other.
type TargetParams struct {
	Target string `path:"target" maxLength:"63"`
}

type decisionsInput struct {
	TargetParams
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"20" doc:"Decisions on a page, at most."`
	Cursor string `query:"cursor" maxLength:"64" doc:"The next_cursor of the page before."`
}

func (a *API) scalingDecisions(ctx context.Context, in *decisionsInput) (*answer[wire.ScalingDecisions], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	before, err := store.ParseCursor(in.Cursor)
	if err != nil {
		return nil, err
	}
	found, err := a.store.Decisions(ctx, tenantOf(ctx), in.Target, before.ID, in.Limit)
	if err != nil {
		return nil, err
	}
	page := wire.ScalingDecisions{Decisions: make([]wire.ScalingDecision, len(found))}
	for i := range found {
		page.Decisions[i] = wireDecision(&found[i])
	}
	if len(found) == in.Limit {
		page.NextCursor = store.Cursor{ID: found[len(found)-1].ID}.String()
	}
	return &answer[wire.ScalingDecisions]{page}, nil
}

type pinInput struct {
	TargetParams
	Replicas int    `query:"replicas" required:"true" minimum:"0" maximum:"100000" doc:"How many there shall be."`
	For      string `query:"for" required:"true" maxLength:"32" doc:"How long, as 90s, 30m or 24h; at most 366 days."`
}

// maxPin is the longest that a number can be fixed for.
const maxPin = 366 * 24 * time.Hour

func (a *API) pinScaling(ctx context.Context, in *pinInput) (*answer[wire.ScalingCommand], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(in.For)
	if err != nil || d <= 0 || d > maxPin {
		return nil, failField(wire.CodeInvalidParameter, "for", "not a time such as 90s, 30m or 24h, of at most 366 days")
	}
	if err := a.store.PinScaling(ctx, tenantOf(ctx), in.Target, in.Replicas, d); err != nil {
		return nil, err
	}
	return a.commanded(ctx, in.Target)
}

func (a *API) unpinScaling(ctx context.Context, in *TargetParams) (*answer[wire.ScalingCommand], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if err := a.store.PinScaling(ctx, tenantOf(ctx), in.Target, -1, time.Second); err != nil {
		return nil, err
	}
	return a.commanded(ctx, in.Target)
}

func (a *API) pauseScaling(ctx context.Context, in *TargetParams) (*answer[wire.ScalingCommand], error) {
	return a.setScalingPaused(ctx, in, true)
}

func (a *API) resumeScaling(ctx context.Context, in *TargetParams) (*answer[wire.ScalingCommand], error) {
	return a.setScalingPaused(ctx, in, false)
}

func (a *API) setScalingPaused(ctx context.Context, in *TargetParams, paused bool) (*answer[wire.ScalingCommand], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if err := a.store.PauseScaling(ctx, tenantOf(ctx), in.Target, paused); err != nil {
		return nil, err
	}
	return a.commanded(ctx, in.Target)
}

func (in *TargetParams) check() error {
	if err := jobs.CheckName(in.Target); err != nil {
		return failField(wire.CodeInvalidParameter, "target", err.Error())
	}
	return nil
}

// commanded answers with how a target stands after a command.
func (a *API) commanded(ctx context.Context, name string) (*answer[wire.ScalingCommand], error) {
	found, err := a.store.Targets(ctx, tenantOf(ctx))
	if err != nil {
		return nil, err
	}
	state := wire.ScalingCommand{Target: name}
	for i := range found {
		if found[i].Name == name {
			t := wireTarget(&found[i])
			state.Paused, state.Pin = t.Paused, t.Pin
		}
	}
	return &answer[wire.ScalingCommand]{state}, nil
}

func wireTarget(t *store.Target) wire.ScalingTarget {
	out := wire.ScalingTarget{Name: t.Name, Paused: t.Paused}
	if t.Pin != nil {
		out.Pin = &wire.ScalingPin{Replicas: t.Pin.Replicas, Until: t.Pin.Until.UTC()}
	}
	if t.Latest != nil {
		latest := wireDecision(t.Latest)
		latest.Detail = nil
		out.Latest = &latest
	}
	return out
}

func wireDecision(d *store.Decision) wire.ScalingDecision {
	return wire.ScalingDecision{
		ID: d.ID, At: d.At.UTC(), Until: d.Until.UTC(), Current: d.Current, Replicas: d.Replicas,
		Rule: d.Bound, Outcome: string(d.Outcome), Detail: d.Detail,
	}
}
