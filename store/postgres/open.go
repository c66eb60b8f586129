package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/group"
)

// Store is a store.Store in PostgreSQL. Its methods are safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	timeout time.Duration // of one statement or transaction
	log     *slog.Logger

	accepts  *group.Group[acceptance, []store.Accepted]
	claims   *group.Group[store.ClaimRequest, store.Claimed]
	ends     *group.Group[store.RunEnd, jobs.State]
	richEnds *group.Group[store.RunEnd, jobs.State] // that bring artifacts or children

	// The numbers under which roll-ups are counted: one for each group that can be under way, and
	// one for everything else.
	acceptWriters, endWriters, soloWriters writers
	writer                                 int32

	queues sync.Map // name → struct{}: queues that are known to have their row
}

var _ store.Store = (*Store)(nil)

// Open connects to a database, brings its schema up to date unless told not to, and checks that it
// keeps what it acknowledges. Errors: *OptionError names the option that does not fit, *SchemaError
// a schema that is too old, store.ErrUnavailable.
func Open(ctx context.Context, options Options) (*Store, error) {
	if err := options.complete(); err != nil {
		return nil, err
	}
	config, err := options.poolConfig()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, translate(ctx, "open", err)
	}
	s := &Store{pool: pool, timeout: options.StatementTimeout, log: options.Logger}
	if err := s.checkServer(ctx, options.AllowAsyncCommit); err != nil {
		pool.Close()
		return nil, err
	}
	if err := s.checkSchema(ctx, &options); err != nil {
		pool.Close()
		return nil, err
	}
	s.start()
	return s, nil
}

func (s *Store) start() {
	s.acceptWriters, s.endWriters = newWriters(acceptParallel), newWriters(endParallel+richParallel)
	s.soloWriters = newWriters(soloParallel)
	s.writer = newWriter()
	s.accepts = group.New(acceptParallel, acceptLimit, s.acceptGroup)
	s.claims = group.New(claimParallel, claimLimit, s.claimGroup)
	s.ends = group.New(endParallel, endLimit, s.endGroup)
	s.richEnds = group.New(richParallel, richLimit, s.endGroup)
}

// oldestVersion is the first version of PostgreSQL that has all that is used here, as server_version_num.
const oldestVersion = 140000

func (s *Store) checkServer(ctx context.Context, allowAsyncCommit bool) error {
	const sql = `SELECT current_setting('server_version_num')::int, current_setting('synchronous_commit'),
		current_setting('fsync'), current_setting('full_page_writes')`
	var version int
	var commit, fsync, fullPages string
	err := s.once(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, sql).Scan(&version, &commit, &fsync, &fullPages)
	})
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == codeProtocol:
		return &OptionError{"Pooler", "the server refuses the session's parameters, as a pooler does, " +
			"before which this option is to be set: " + pg.Message}
	case err != nil:
		return translate(ctx, "check the server", err)
	case version < oldestVersion:
		return &OptionError{"URL", fmt.Sprintf("the server is PostgreSQL %d, and must be 14 or newer", version/10000)}
	case commit == "off" && !allowAsyncCommit:
		return &OptionError{"AllowAsyncCommit", "synchronous_commit is off, so that an accepted upload " +
			"is lost when the server's machine dies: turn it on, or set this option to accept the loss"}
	case commit == "off" || fsync == "off" || fullPages == "off":
		s.log.WarnContext(ctx, "the database does not keep what it acknowledges when its machine dies",
			"synchronous_commit", commit, "fsync", fsync, "full_page_writes", fullPages)
	}
	return nil
}

// Ping tells whether the database can answer now.
func (s *Store) Ping(ctx context.Context) error {
	return s.do(ctx, "ping", func(ctx context.Context) error { return s.pool.Ping(ctx) })
}

// Stats tells how the pool stands.
func (s *Store) Stats() store.PoolStats {
	stat := s.pool.Stat()
	return store.PoolStats{
		Open:   int(stat.TotalConns()),
		InUse:  int(stat.AcquiredConns()),
		Max:    int(stat.MaxConns()),
		Waits:  stat.EmptyAcquireCount(),
		Waited: stat.EmptyAcquireWaitTime().Seconds(),
	}
}

// Close lets the groups that are under way end, for as long as a statement may take, and closes the
// pool once every call has returned. It always returns nil.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	s.accepts.Close(ctx)
	s.claims.Close(ctx)
	s.ends.Close(ctx)
	s.richEnds.Close(ctx)
	s.pool.Close()
	return nil
}

// Identity is the database's own, made with its schema.
func (s *Store) Identity(ctx context.Context) (uuid.UUID, error) {
	var id uuid.UUID
	err := s.do(ctx, "identity", func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, "SELECT id FROM identity").Scan((*[16]byte)(&id))
	})
	return id, err
}
