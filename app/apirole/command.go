package apirole

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/jobs"
)

// Command is the api program. specs gives the kinds that it takes jobs for: app.Specs, or a program's
// own.
func Command(env app.Env, open app.Opener, specs func(config.Options) (*jobs.Specs, error)) *cobra.Command {
	return app.Program{
		Name:     "api",
		Short:    "Takes in files over HTTP and commits a job for each",
		Groups:   []string{"store", "redis", "blob", "api", "dispatch", "serve"},
		Defaults: config.Default(),
		Services: func(ctx context.Context, res *app.Resources) ([]app.Service, error) {
			takes, err := specs(res.Options)
			if err != nil {
				return nil, err
			}
			serving, addr, err := Services(ctx, res, takes)
			if err != nil {
				return nil, err
			}
			res.Log.InfoContext(ctx, "api is listening", "address", addr.String(), "version", app.Version())
			return append([]app.Service{res.DispatchService()}, serving...), nil
		},
	}.Command(env, open)
}
