package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/store/postgres"
)

// migrateCommand brings a database's schema up to date, for those who do not let the programs do it
// at their start.
func migrateCommand(env app.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date",
		Long: "Bring the schema of --database-url up to date, or of --migrate-database-url where\n" +
			"that is given. Migrations only go forward and are safe while the programs run;\n" +
			"of several processes that try at once, one migrates and the others wait.",
		Args: cobra.NoArgs,
	}
	loader := config.Bind(cmd.Flags(), config.Default(), "store")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		opts, err := loader.Load(env.LookupEnv)
		if err != nil {
			return &app.ExitError{Code: 2, Err: err}
		}
		url := opts.DatabaseURL
		if opts.MigrateDatabaseURL != "" {
			url = opts.MigrateDatabaseURL
		}
		if url == "" {
			return &app.ExitError{Code: 2, Err: errors.New("database-url is not set: give --database-url or LEAT_DATABASE_URL")}
		}
		if err := postgres.Migrate(cmd.Context(), url); err != nil {
			return err
		}
		version, _, err := postgres.Version(cmd.Context(), url)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "schema is at version %d\n", version)
		return err
	}
	return cmd
}
