// Package cli is the leat program's command line: up, migrate, and the operator's commands, which
// speak to a server over HTTP.
package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/jobs"
)

// Command is the leat program. own are kinds that it has beside those that Leat brings.
func Command(env app.Env, own ...jobs.Kind) *cobra.Command {
	root := &cobra.Command{
		Use:   "leat",
		Short: "Takes in files, and works on each in the background until it is done",
		Args:  cobra.NoArgs,
	}
	root.AddCommand(upCommand(env, own), migrateCommand(env), keysCommand(env), tenantsCommand(env), auditCommand(env), versionCommand())
	addRemote(root, env)
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "leat %s %s %s/%s\n", app.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
