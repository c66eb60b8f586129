package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
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
	ca     string
	json   bool
}

// addRemote adds the commands that speak to a server.
func addRemote(root *cobra.Command, env app.Env) {
	r := &remote{env: env}
	server, ok := env.LookupEnv(config.EnvName("server"))
	if !ok || server == "" {
		server = DefaultServer
	}
	ca, _ := env.LookupEnv(config.EnvName("ca"))
	for _, cmd := range []*cobra.Command{r.uploadCommand(), r.jobsCommand(), r.filesCommand(), r.queuesCommand(), r.kindsCommand(), r.scaleCommand(), r.planCommand()} {
		cmd.PersistentFlags().StringVar(&r.server, "server", server, "address of the API, also "+config.EnvName("server")+"; a key is taken from "+config.EnvName("api-key"))
		cmd.PersistentFlags().StringVar(&r.ca, "ca", ca, "PEM file of a certificate authority to trust beside the system's, also "+config.EnvName("ca"))
		cmd.PersistentFlags().BoolVar(&r.json, "json", false, "print JSON, one value a line")
		root.AddCommand(cmd)
	}
}

func (r *remote) client() (*client.Client, error) {
	key, _ := r.env.LookupEnv(config.EnvName("api-key"))
	opts := client.Options{Key: strings.TrimSpace(key), UserAgent: "leat/" + app.Version()}
	if r.ca != "" {
		trusting, err := trust(r.ca)
		if err != nil {
			return nil, usage("ca (%s): %w", config.EnvName("ca"), err)
		}
		opts.HTTP = &http.Client{Transport: trusting}
	}
	c, err := client.New(r.server, opts)
	if err != nil {
		return nil, &app.ExitError{Code: 2, Err: err}
	}
	return c, nil
}

// trust is a transport that trusts the authorities of a file beside the system's.
func trust(path string) (*http.Transport, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the system's authorities: %w", err)
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	return transport, nil
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
