package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
	"github.com/leat-dev/leat/store/sqlite"
)

// ledger is what the commands have in common that work on the database itself: who can reach it is
// the operator, with or without a key.
type ledger struct {
	env    app.Env
	loader *config.Loader
	json   bool
}

// ledgerCommand makes a command of which all parts take the options that say where the database is.
func ledgerCommand(env app.Env, cmd *cobra.Command) *ledger {
	l := &ledger{env: env, loader: config.Bind(cmd.PersistentFlags(), config.Default(), "ledger")}
	cmd.PersistentFlags().BoolVar(&l.json, "json", false, "print JSON, one value a line")
	return l
}

// with opens the database for do: that of --database-url, or of leat up in the folder of --data.
func (l *ledger) with(ctx context.Context, do func(s store.Store) error) (err error) {
	opts, err := l.loader.Load(l.env.LookupEnv)
	if err != nil {
		return &app.ExitError{Code: 2, Err: err}
	}
	var s store.Store
	switch {
	case opts.DatabaseURL == "":
		path := filepath.Join(opts.Data, "leat.db")
		if _, err := os.Stat(path); err != nil { // nobody wants a key of a fresh database
			return fmt.Errorf("%w: give --data, the folder of leat up, or --database-url (%s)", err, config.EnvName("database-url"))
		}
		s, err = sqlite.Open(ctx, sqlite.Options{Path: path, SkipMigrate: !opts.Migrate})
	case strings.HasPrefix(opts.DatabaseURL, "sqlite:"):
		s, err = sqlite.Open(ctx, sqlite.Options{Path: opts.DatabaseURL, SkipMigrate: !opts.Migrate})
	default:
		s, err = postgres.Open(ctx, postgres.Options{
			URL: opts.DatabaseURL, Pooler: opts.DatabasePooler, SkipMigrate: !opts.Migrate, MigrateURL: opts.MigrateDatabaseURL,
			AllowAsyncCommit: true, // nothing is uploaded here
		})
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return do(s)
}

// print writes one value as JSON.
func (l *ledger) print(value any) error {
	encoder := json.NewEncoder(l.env.Stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
