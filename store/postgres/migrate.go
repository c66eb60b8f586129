package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versions is the table in which goose keeps what has been applied.
const versions = "leat_schema"

// SchemaError says that the schema is older than this program needs, and was to be left alone.
type SchemaError struct{ Have, Need int64 }

// Error names both versions.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("postgres: the schema is at version %d and must be at %d: migrate it", e.Have, e.Need)
}

// Migrate brings the schema of the database at url up to date: forward, one migration in one
// transaction. Of the processes that call it at once, one does it, under a lock of its session, and
// the others wait. url must not lead through a pooler in transaction mode. A schema that is newer
// than this program is left as it is.
func Migrate(ctx context.Context, url string) (err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return &OptionError{"MigrateURL", badURL}
	}
	db := sql.OpenDB(stdlib.GetConnector(*config))
	defer func() { err = translate(ctx, "migrate", errors.Join(err, db.Close())) }()

	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	// It asks for the lock once a second, for ten minutes. Waiting inside the server instead would
	// keep a snapshot open, for which an index that is made concurrently waits in turn.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versions), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Version returns the version at which the schema of the database at url is, 0 when there is none,
// and the one that this program needs at least.
func Version(ctx context.Context, url string) (have, need int64, err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return 0, 0, &OptionError{"MigrateURL", badURL}
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // fit for any pooler
	if need, err = latest(); err != nil {
		return 0, 0, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		have, err = versionOf(ctx, conn)
		err = errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return have, need, translate(ctx, "read the schema's version", err)
}

// checkSchema makes sure that the schema is at least what this program needs, migrating it if it
// may. A newer one is well: during a rolling update, older programs go on.
func (s *Store) checkSchema(ctx context.Context, o *Options) error {
	need, err := latest()
	if err != nil {
		return err
	}
	var have int64
	err = s.do(ctx, "read the schema's version", func(ctx context.Context) (err error) {
		have, err = versionOf(ctx, s.pool)
		return err
	})
	switch {
	case err != nil || have >= need:
		return err
	case o.SkipMigrate:
		return &SchemaError{Have: have, Need: need}
	case o.Pooler && o.MigrateURL == o.URL:
		return &OptionError{"MigrateURL", fmt.Sprintf("the schema is at version %d and must be migrated to %d, "+
			"for which a direct connection to the database is needed, not one through a pooler", have, need)}
	}
	return Migrate(ctx, o.MigrateURL)
}

// versionOf returns the version of a database's schema, 0 when there is none.
func versionOf(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (int64, error) {
	var have int64
	err := q.QueryRow(ctx, "SELECT max(version_id) FROM "+versions+" WHERE is_applied").Scan(&have)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == codeNoTable {
		return 0, nil
	}
	return have, err
}

// latest returns the version of the newest migration in this program.
func latest() (int64, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	var newest int64
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return 0, fmt.Errorf("postgres: migration %s: %w", file, err)
		}
		newest = max(newest, version)
	}
	return newest, nil
}
