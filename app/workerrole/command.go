package workerrole

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
)

// Kinds pairs the kinds that Leat brings, as configured, with their handlers.
func Kinds(changes map[string]config.Kind) (*jobs.Kinds, error) {
	specs, err := spec.All()
	if err != nil {
		return nil, err
	}
	if specs, err = app.Configure(specs, changes); err != nil {
		return nil, err
	}
	return jobs.NewKinds(specs, Handlers())
}

// Command is the worker program. kinds gives what it can do, as the configuration changes it:
// Kinds, or a program's own.
func Command(env app.Env, open app.Opener, kinds func(map[string]config.Kind) (*jobs.Kinds, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Takes jobs and runs their handlers",
		Args:  cobra.NoArgs,
	}
	loader := config.Bind(cmd.Flags(), config.Default(), "store", "redis", "blob", "worker", "serve")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		opts, err := loader.Load(env.LookupEnv)
		if err != nil {
			return &app.ExitError{Code: 2, Err: err}
		}
		can, err := kinds(opts.Kinds)
		if err != nil {
			return err
		}
		ctx := cmd.Context()
		res, err := open(ctx, "worker", opts, env)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, res.Close()) }()
		services, err := res.AdminService(ctx)
		if err != nil {
			return err
		}
		working, err := Services(ctx, res, can)
		if err != nil {
			return err
		}
		services = append(services, res.DispatchService())
		return app.Serve(ctx, res.Log, append(services, working...))
	}
	return cmd
}
