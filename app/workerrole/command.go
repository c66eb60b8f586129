package workerrole

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/jobs"
)

// Kinds pairs all kinds that there are with their handlers.
func Kinds(res *app.Resources) (*jobs.Kinds, error) { return KindsWith()(res) }

// KindsWith gives the same with a program's own kinds. They are those that its api was given by
// app.SpecsWith.
func KindsWith(own ...jobs.Kind) func(*app.Resources) (*jobs.Kinds, error) {
	return func(res *app.Resources) (*jobs.Kinds, error) {
		specs, err := app.SpecsWith(own...)(res.Options)
		if err != nil {
			return nil, err
		}
		handlers, err := Handlers(res)
		if err != nil {
			return nil, err
		}
		for _, kind := range own {
			handlers[kind.Spec.Name] = kind.Handler
		}
		return jobs.NewKinds(specs, handlers)
	}
}

// Command is the worker program. kinds gives what it can do, as the configuration changes it:
// Kinds, or KindsWith for a program that has its own.
func Command(env app.Env, open app.Opener, kinds func(*app.Resources) (*jobs.Kinds, error)) *cobra.Command {
	return app.Program{
		Name:     "worker",
		Short:    "Takes jobs and runs their handlers",
		Groups:   []string{"store", "redis", "blob", "worker", "dispatch", "serve"},
		Defaults: config.Default(),
		Services: func(_ context.Context, res *app.Resources) ([]app.Service, error) {
			can, err := kinds(res)
			if err != nil {
				return nil, err
			}
			working, err := Services(res, can)
			if err != nil {
				return nil, err
			}
			return append([]app.Service{res.DispatchService()}, working...), nil
		},
	}.Command(env, open)
}
