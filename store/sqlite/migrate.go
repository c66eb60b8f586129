package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// SchemaError says that a database's schema is not the one that this program works with.
type SchemaError struct {
	Have, Need int64 // versions
}

// Error tells what to do about it.
func (e *SchemaError) Error() string {
	if e.Have > e.Need {
		return fmt.Sprintf("schema version %d is newer than %d, the latest that this program knows: use a newer program", e.Have, e.Need)
	}
	return fmt.Sprintf("schema version %d is older than %d: migrate the database", e.Have, e.Need)
}

// Migrate brings the schema of the database at path, or of its URL, up to date and returns its
// version. It makes the database where there is none, and only goes forward. Errors: *OptionError,
// *SchemaError for a schema that a newer program left.
func Migrate(ctx context.Context, path string) (version int64, err error) {
	s, err := Open(ctx, Options{Path: path})
	if err != nil {
		return 0, err
	}
	return s.schema, s.Close()
}

// prepareSchema migrates the database, or only checks its version. A schema that a newer program
// left is refused: nothing can be rolled out here step by step, and what an older program writes
// into newer tables may be wrong.
func prepareSchema(ctx context.Context, db *sql.DB, migrate bool, log *slog.Logger) (version int64, err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(log))
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	have, need, err := provider.GetVersions(ctx)
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	if have > need || (have < need && !migrate) {
		return 0, &SchemaError{Have: have, Need: need}
	}
	if have == need {
		return have, nil
	}
	if _, err := provider.Up(ctx); err != nil {
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			return 0, fmt.Errorf("migrate to version %d: %w", partial.Failed.Source.Version, partial.Err)
		}
		return 0, fmt.Errorf("migrate: %w", err)
	}
	log.InfoContext(ctx, "schema migrated", "from", have, "to", need)
	return need, nil
}
