package apirole

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
)

// Specs gives the kinds that Leat brings, as configured.
func Specs(changes map[string]config.Kind) (*jobs.Specs, error) {
	specs, err := spec.All()
	if err != nil {
		return nil, err
	}
	return app.Configure(specs, changes)
}

// Command is the api program. specs gives the kinds that it takes jobs for, as the configuration
// changes them: Specs, or a program's own.
func Command(env app.Env, open app.Opener, specs func(map[string]config.Kind) (*jobs.Specs, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "api",
		Short: "Takes in files over HTTP and commits a job for each",
		Args:  cobra.NoArgs,
	}
	loader := config.Bind(cmd.Flags(), config.Default(), "store", "redis", "blob", "api", "serve")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		opts, err := loader.Load(env.LookupEnv)
		if err != nil {
			return &app.ExitError{Code: 2, Err: err}
		}
		takes, err := specs(opts.Kinds)
		if err != nil {
			return err
		}
		ctx := cmd.Context()
		res, err := open(ctx, "api", opts, env)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, res.Close()) }()
		services, err := res.AdminService(ctx)
		if err != nil {
			return err
		}
		serving, addr, err := Services(ctx, res, takes)
		if err != nil {
			return err
		}
		res.Log.InfoContext(ctx, "api is listening", "address", addr.String(), "version", app.Version())
		services = append(services, res.DispatchService())
		return app.Serve(ctx, res.Log, append(services, serving...))
	}
	return cmd
}
