package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/store/postgres"
	"github.com/leat-dev/leat/store/sqlite"
)

// migrateCommand brings a database's schema up to date, for those who do not let the programs do it
// at their start.
func migrateCommand(env app.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date",
		Long: "Bring the schema of --database-url (postgres://… or sqlite:///…) up to date, or of\n" +
			"--migrate-database-url where that is given. Migrations only go forward and are\n" +
			"safe while the programs run; of several processes that try at once, one migrates and the others wait.",
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
			return usage("database-url is not set: give --database-url or LEAT_DATABASE_URL")
		}
		version, err := migrate(cmd.Context(), url)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "schema is at version %d\n", version)
		return err
	}
	return cmd
}

// migrate brings the schema at a URL up to date, and returns its version.
func migrate(ctx context.Context, url string) (int64, error) {
	if strings.HasPrefix(url, "sqlite:") {
		return sqlite.Migrate(ctx, url)
	}
	if err := postgres.Migrate(ctx, url); err != nil {
		return 0, err
	}
	version, _, err := postgres.Version(ctx, url)
	return version, err
}
