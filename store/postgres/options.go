package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options say how to reach a database and what to ask of it. Only URL is required.
type Options struct {
	// URL is where the database is, in any form that libpq takes: postgres://user:password@host/db.
	URL string
	// MaxConns bounds the pool, DefaultMaxConns when 0. MinConns of them are kept open.
	MaxConns, MinConns int
	// StatementTimeout bounds each statement and each transaction, DefaultStatementTimeout when 0.
	// It covers the wait for a connection.
	StatementTimeout time.Duration
	// Pooler says that URL leads to a pooler in transaction mode, such as PgBouncer. See the
	// package's comment for what that changes.
	Pooler bool
	// AllowAsyncCommit accepts a database whose synchronous_commit is off. What it acknowledges
	// may then be lost when its machine dies.
	AllowAsyncCommit bool
	// MigrateURL is where migrations run, URL when empty. It must not lead through a pooler in
	// transaction mode.
	MigrateURL string
	// SkipMigrate leaves the schema alone: Open fails when it is too old.
	SkipMigrate bool
	// Logger gets the few lines that the store has to say; nil means none.
	Logger *slog.Logger
}

// What zero options mean.
const (
	DefaultMaxConns         = 10
	DefaultStatementTimeout = 10 * time.Second
)

// OptionError says which option does not fit, to the others or to the database.
type OptionError struct {
	Option string // the field of Options
	Reason string
}

// Error names the option and the reason.
func (e *OptionError) Error() string {
	return fmt.Sprintf("postgres: option %s: %s", e.Option, e.Reason)
}

func (o *Options) complete() error {
	switch {
	case o.URL == "":
		return &OptionError{"URL", "is empty"}
	case o.MaxConns < 0 || o.MaxConns > math.MaxInt32:
		return &OptionError{"MaxConns", fmt.Sprintf("%d is not a number of connections", o.MaxConns)}
	case o.StatementTimeout < 0:
		return &OptionError{"StatementTimeout", "is negative"}
	}
	if o.MaxConns == 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.MinConns < 0 || o.MinConns > o.MaxConns {
		return &OptionError{"MinConns", fmt.Sprintf("%d is not between 0 and MaxConns, %d", o.MinConns, o.MaxConns)}
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = DefaultStatementTimeout
	}
	if o.MigrateURL == "" {
		o.MigrateURL = o.URL
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// poolConfig turns the options into those of pgx.
func (o *Options) poolConfig() (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, &OptionError{"URL", badURL}
	}
	config.MaxConns, config.MinConns = int32(o.MaxConns), int32(o.MinConns)
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID,
			Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}
	if o.Pooler {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		config.ConnConfig.StatementCacheCapacity = 0
		return config, nil
	}
	params := o.sessionParams()
	maps.Copy(params, config.ConnConfig.RuntimeParams) // what the URL says stands
	config.ConnConfig.RuntimeParams = params
	return config, nil
}

// sessionParams are what each session is started with, where no pooler is in the way.
func (o *Options) sessionParams() map[string]string {
	return map[string]string{
		"application_name": "leat",
		// A transaction whose client has vanished must not keep its locks. (One that waits for an
		// answer gives up at the statement's deadline, and asks the server to.)
		"idle_in_transaction_session_timeout": fmt.Sprint((2 * o.StatementTimeout).Milliseconds()),
		// Prepared statements are planned once, and not for each size of a group anew, which would
		// take as long as running them.
		"plan_cache_mode": "force_generic_plan",
		// A plan that was made while the tables were as good as empty would read them from end to end
		// until they are analyzed, long after they have grown.
		"enable_seqscan": "off",
		// The penalty by which that is done would make the compiler think that a plan is worth its while.
		"jit": "off",
	}
}

// badURL is all that is said of a URL that cannot be read: pgx's error repeats it, and hides a
// password only as well as it can tell where in a broken URL one is.
const badURL = "cannot be read: use postgres://user:password@host:port/database?sslmode=…, " +
	"with special characters of the password percent-encoded"
