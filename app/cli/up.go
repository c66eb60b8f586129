package cli

import (
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/app/apirole"
	"github.com/leat-dev/leat/app/embedded"
	"github.com/leat-dev/leat/app/workerrole"
	"github.com/leat-dev/leat/config"
)

// upCommand runs everything in one process.
func upCommand(env app.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything in this one process: API, dispatch and worker, with no servers needed",
		Long: "Run API, dispatch and worker in this process, on SQLite and an in-process Redis.\n" +
			"Everything lies in the data folder; started again on it, work goes on where it was.",
		Args: cobra.NoArgs,
	}
	defaults := config.Default()
	defaults.Listen, defaults.AdminListen = "127.0.0.1:8080", "127.0.0.1:9090"
	loader := config.Bind(cmd.Flags(), defaults, "up", "serve")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		opts, err := loader.Load(env.LookupEnv)
		if err != nil {
			return &app.ExitError{Code: 2, Err: err}
		}
		kinds, err := workerrole.Kinds(opts.Kinds)
		if err != nil {
			return err
		}
		ctx := cmd.Context()
		res, err := embedded.Open(ctx, opts, env)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, res.Close()) }()
		services, err := res.AdminService(ctx)
		if err != nil {
			return err
		}
		serving, addr, err := apirole.Services(ctx, res, kinds.Specs)
		if err != nil {
			return err
		}
		working, err := workerrole.Services(ctx, res, kinds)
		if err != nil {
			return err
		}
		greet(cmd, addr, opts.Data)
		// Stopped from the last to the first: no more uploads, then the worker drains, then dispatch.
		services = append(services, res.DispatchService())
		services = append(services, working...)
		return app.Serve(ctx, res.Log, append(services, serving...))
	}
	return cmd
}

// greet says where to go, to whoever has just started this.
func greet(cmd *cobra.Command, addr net.Addr, data string) {
	base := "http://" + addr.String()
	fmt.Fprintf(cmd.ErrOrStderr(), `Leat is up at %[1]s (data in %[2]s)
  try:   curl -F file=@photo.jpg %[1]s/v1/uploads
  docs:  %[1]s/docs
  stop:  Ctrl-C; jobs that run may finish, a second Ctrl-C stops at once
`, base, data)
}
