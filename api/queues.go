package api

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
)

func (a *API) queues(ctx context.Context, _ *struct{}) (*answer[wire.Queues], error) {
	found, err := a.store.Queues(ctx, tenantOf(ctx))
	if err != nil {
		return nil, err
	}
	who := exchangeOf(ctx).who
	out := make([]wire.Queue, 0, len(found))
	for i := range found {
		q := &found[i]
		if !who.scopes.Has(access.Admin) {
			// Rates are of all tenants, and so is a queue in which this one has nothing.
			if q.Ready.N+q.Later.N+q.Running.N+q.Waiting.N == 0 && q.Name != jobs.DefaultQueue {
				continue
			}
			out = append(out, wireQueue(q))
			continue
		}
		shown := wireQueue(q)
		shown.Rates = (*wire.Rates)(&q.Rates)
		out = append(out, shown)
	}
	return &answer[wire.Queues]{wire.Queues{Queues: out}}, nil
}

type queueInput struct {
	Name string `path:"name" maxLength:"63"`
}

func (a *API) pauseQueue(ctx context.Context, in *queueInput) (*answer[wire.QueueState], error) {
	if err := jobs.CheckName(in.Name); err != nil {
		return nil, failField(wire.CodeInvalidParameter, "name", err.Error())
	}
	if err := a.store.PauseQueue(ctx, tenantOf(ctx), in.Name); err != nil {
		return nil, err
	}
	return &answer[wire.QueueState]{wire.QueueState{Name: in.Name, Paused: true}}, nil
}

func (a *API) resumeQueue(ctx context.Context, in *queueInput) (*answer[wire.QueueState], error) {
	if err := jobs.CheckName(in.Name); err != nil {
		return nil, failField(wire.CodeInvalidParameter, "name", err.Error())
	}
	if err := a.store.ResumeQueue(ctx, tenantOf(ctx), in.Name); err != nil {
		return nil, err
	}
	return &answer[wire.QueueState]{wire.QueueState{Name: in.Name}}, nil
}

func (a *API) kinds(context.Context, *struct{}) (*answer[wire.Kinds], error) {
	return &answer[wire.Kinds]{a.kindList}, nil
}

// listKinds describes the kinds to clients.
func listKinds(specs *jobs.Specs) (wire.Kinds, error) {
	all := specs.All()
	out := wire.Kinds{Kinds: make([]wire.Kind, len(all))}
	for i, spec := range all {
		schema, err := paramsSchema(&spec)
		if err != nil {
			return wire.Kinds{}, fmt.Errorf("api: kind %q: %w", spec.Name, err)
		}
		out.Kinds[i] = wire.Kind{
			Name:        spec.Name,
			Version:     spec.Version,
			Summary:     spec.Summary,
			MediaTypes:  spec.MediaTypes,
			Reusable:    spec.Reusable,
			Queue:       spec.Queue,
			MaxAttempts: spec.Retry.MaxAttempts,
			Timeout:     spec.Timeout.Seconds(),
			Params:      schema,
		}
	}
	return out, nil
}

// paramsSchema describes a kind's parameters in JSON Schema, complete in itself.
func paramsSchema(spec *jobs.Spec) (json.RawMessage, error) {
	if spec.Params == nil {
		return nil, nil
	}
	const defs = "$defs"
	registry := huma.NewMapRegistry("#/"+defs+"/", huma.DefaultSchemaNamer)
	t := reflect.TypeOf(spec.Params)
	schema := *registry.Schema(t, false, spec.Name)
	nested := map[string]*huma.Schema{}
	for name, s := range registry.Map() {
		if registry.TypeFromRef("#/"+defs+"/"+name) != t {
			nested[name] = s
		}
	}
	if len(nested) > 0 {
		schema.Extensions = map[string]any{defs: nested}
	}
	text, err := json.Marshal(&schema)
	if err != nil {
		return nil, fmt.Errorf("describe the parameters: %w", err)
	}
	return text, nil
}
