package cli

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/app/apirole"
	"github.com/leat-dev/leat/app/embedded"
	"github.com/leat-dev/leat/app/workerrole"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/jobs"
)

// upCommand runs everything in one process.
func upCommand(env app.Env, own []jobs.Kind) *cobra.Command {
	defaults := config.Default()
	defaults.Auth = "loopback"
	defaults.Listen, defaults.AdminListen = "127.0.0.1:8080", "127.0.0.1:9090"
	return app.Program{
		Name:  "up",
		Short: "Run everything in this one process: API, dispatch and worker, with no servers needed",
		Long: "Run API, dispatch and worker in this process, on SQLite and an in-process Redis.\n" +
			"Everything lies in the data folder; started again on it, work goes on where it was.",
		Groups:   []string{"up", "dispatch", "serve"},
		Defaults: defaults,
		Services: func(ctx context.Context, res *app.Resources) ([]app.Service, error) {
			kinds, err := workerrole.KindsWith(own...)(res)
			if err != nil {
				return nil, err
			}
			serving, addr, err := apirole.Services(ctx, res, kinds.Specs)
			if err != nil {
				return nil, err
			}
			working, err := workerrole.Fleet(res, kinds)
			if err != nil {
				return nil, err
			}
			greet(env.Stderr, addr, &res.Options)
			// No more uploads, then the workers drain, then dispatch stops.
			return append([]app.Service{res.DispatchService(), working}, serving...), nil
		},
	}.Command(env, embedded.Open)
}

// greet says where to go, to whoever has just started this.
func greet(w io.Writer, addr net.Addr, opts *config.Options) {
	base, key := "http://"+addr.String(), ""
	if opts.TLSCert != "" {
		base = "https://" + addr.String()
	}
	if api.Auth(opts.Auth) == api.AuthKeys {
		key = fmt.Sprintf(`-H "Authorization: Bearer $(leat keys create --data '%s')" `, opts.Data)
	}
	fmt.Fprintf(w, `Leat is up at %[1]s (data in %[2]s)
  try:   curl %[3]s-F file=@photo.jpg %[1]s/v1/uploads
  docs:  %[1]s/docs
  stop:  Ctrl-C; jobs that run may finish, a second Ctrl-C stops at once
`, base, opts.Data, key)
}
