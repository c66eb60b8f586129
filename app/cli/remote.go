package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/client"
	"github.com/leat-dev/leat/config"
)

// DefaultServer is where leat up listens.
const DefaultServer = "http://127.0.0.1:8080"

// remote is what the commands that speak to a server have in common.
type remote struct {
	env    app.Env
	server string
	json   bool
}

// addRemote adds the commands that speak to a server.
func addRemote(root *cobra.Command, env app.Env) {
	r := &remote{env: env}
	server, ok := env.LookupEnv(config.EnvName("server"))
	if !ok || server == "" {
		server = DefaultServer
	}
	for _, cmd := range []*cobra.Command{r.uploadCommand(), r.jobsCommand(), r.filesCommand(), r.queuesCommand(), r.kindsCommand(), r.scaleCommand(), r.planCommand()} {
		cmd.PersistentFlags().StringVar(&r.server, "server", server, "address of the API, also "+config.EnvName("server")+"; a key is taken from "+config.EnvName("api-key"))
		cmd.PersistentFlags().BoolVar(&r.json, "json", false, "print JSON, one value a line")
		root.AddCommand(cmd)
	}
}

func (r *remote) client() (*client.Client, error) {
	key, _ := r.env.LookupEnv(config.EnvName("api-key"))
	c, err := client.New(r.server, client.Options{Key: strings.TrimSpace(key), UserAgent: "leat/" + app.Version()})
	if err != nil {
		return nil, &app.ExitError{Code: 2, Err: err}
	}
	return c, nil
}

// print writes values as JSON lines, or what text writes.
func (r *remote) print(text func(w io.Writer) error, values ...any) error {
	if !r.json {
		return text(r.env.Stdout)
	}
	encoder := json.NewEncoder(r.env.Stdout)
	encoder.SetEscapeHTML(false)
	for _, v := range values {
		if err := encoder.Encode(v); err != nil {
			return err
		}
	}
	return nil
}

// table writes aligned columns.
func table(w io.Writer, rows func(line func(cells ...any))) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	rows(func(cells ...any) {
		for i, cell := range cells {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, cell)
		}
		fmt.Fprintln(tw)
	})
	return tw.Flush() // has the first error of the writes before
}

// parseID reads a job's ID from the command line.
func parseID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, usage("%q is not a job's ID", text)
	}
	return id, nil
}

// oneArg wants one argument and says what it is.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage("%s takes %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

// oneOf wants exactly one of the flags to be given.
func oneOf(cmd *cobra.Command, flags ...string) error {
	given := 0
	for _, name := range flags {
		if cmd.Flags().Changed(name) {
			given++
		}
	}
	if given != 1 {
		return usage("%s takes one of --%s", cmd.CommandPath(), strings.Join(flags, ", --"))
	}
	return nil
}

// usage is an error of how the program was called.
func usage(format string, args ...any) error {
	return &app.ExitError{Code: 2, Err: fmt.Errorf(format, args...)}
}
