package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	driver "modernc.org/sqlite"

	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/group"
)

// Store is a database in one file. Its methods are safe for concurrent use.
type Store struct {
	writer   *sql.DB // one connection
	reader   *sql.DB
	writes   *statements
	reads    *statements
	group    *group.Group[unit, struct{}]
	timeout  time.Duration
	now      func() time.Time
	log      *slog.Logger
	identity uuid.UUID
	schema   int64        // its version
	close    func() error // once
}

var _ store.Store = (*Store)(nil)

// groupLimit bounds the calls that share a transaction.
const groupLimit = 256

// closeGrace is how long Close lets groups that are under way go on.
const closeGrace = 10 * time.Second

// Open opens the database, makes it where there is none, and brings its schema up to date unless
// told otherwise. Errors: *OptionError, *SchemaError.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	if err := create(opts.Path); err != nil {
		return nil, fmt.Errorf("sqlite: make %s: %w", opts.Path, err)
	}
	// A sync of the data, and of the size where that changed, is all that durability takes. Where
	// the system has no such call, SQLite's own way stays.
	if _, err := driver.Fdatasync(true); err != nil && !errors.Is(err, driver.ErrFdatasyncUnavailable) {
		return nil, fmt.Errorf("sqlite: choose fdatasync: %w", err)
	}
	s := &Store{timeout: opts.StatementTimeout, now: opts.Now, log: opts.Logger}
	var err error
	if s.writer, err = sql.Open("sqlite", writerDSN(opts.Path)); err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", opts.Path, err)
	}
	s.writer.SetMaxOpenConns(1)
	if s.reader, err = sql.Open("sqlite", readerDSN(opts.Path)); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s: %w", opts.Path, err), s.writer.Close())
	}
	s.reader.SetMaxOpenConns(opts.Readers)
	s.reader.SetMaxIdleConns(opts.Readers)
	s.writes, s.reads = newStatements(s.writer), newStatements(s.reader)
	s.group = group.New(1, groupLimit, s.runGroup)
	s.close = sync.OnceValue(s.shut)
	if err := s.start(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s: %w", opts.Path, err), s.Close())
	}
	return s, nil
}

func (s *Store) start(ctx context.Context, opts Options) error {
	var err error
	if s.schema, err = prepareSchema(ctx, s.writer, !opts.SkipMigrate, s.log); err != nil {
		return err
	}
	return s.reader.QueryRowContext(ctx, `SELECT id FROM identity`).Scan(&s.identity)
}

// create makes an empty file that only its owner may read, where there is none; SQLite gives the
// log beside it the same mode.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// busyTimeout is how long a connection waits for a lock that another process holds, such as a
// backup's; within this process nobody waits for locks.
const busyTimeout = 5 * time.Second

// writerDSN names the database for the one connection that writes.
func writerDSN(path string) string {
	return dsn(path, url.Values{
		"_txlock": {"immediate"},
		"_dqs":    {"0"},
		"_pragma": {
			busyPragma(),
			"journal_mode(WAL)",
			"synchronous(FULL)",
			// What it takes on macOS for a sync to reach the disk; elsewhere they do nothing.
			"fullfsync(1)",
			"checkpoint_fullfsync(1)",
			"foreign_keys(1)",
			// After a burst, or a long read that kept it from being reused, the log shrinks to this.
			"journal_size_limit(67108864)",
			// Pages of log, 16 MB, after which a commit also moves it into the database.
			"wal_autocheckpoint(4000)",
			"temp_store(MEMORY)",
		},
	})
}

// readerDSN names the database for connections that only read.
func readerDSN(path string) string {
	return dsn(path, url.Values{
		"mode":    {"ro"},
		"_dqs":    {"0"},
		"_pragma": {busyPragma(), "query_only(1)", "foreign_keys(1)", "synchronous(FULL)", "temp_store(MEMORY)"},
	})
}

func busyPragma() string {
	return "busy_timeout(" + strconv.FormatInt(busyTimeout.Milliseconds(), 10) + ")"
}

func dsn(path string, query url.Values) string {
	path = filepath.ToSlash(path)
	if path[0] != '/' { // a drive's letter
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

// Ping tells whether the store can answer now.
func (s *Store) Ping(ctx context.Context) error {
	_, err := read(ctx, s, func(ctx context.Context, q *tx) (id uuid.UUID, err error) {
		return id, q.row(ctx, `SELECT id FROM identity`).Scan(&id)
	})
	return err
}

// Identity is this store's own, made with it and never changed.
func (s *Store) Identity(context.Context) (uuid.UUID, error) { return s.identity, nil }

// Stats tells how the pools stand, the writer's connection included.
func (s *Store) Stats() store.PoolStats {
	w, r := s.writer.Stats(), s.reader.Stats()
	return store.PoolStats{
		Open:   w.OpenConnections + r.OpenConnections,
		InUse:  w.InUse + r.InUse,
		Max:    w.MaxOpenConnections + r.MaxOpenConnections,
		Waits:  w.WaitCount + r.WaitCount,
		Waited: (w.WaitDuration + r.WaitDuration).Seconds(),
	}
}

// Close waits for groups that are under way, for 10 s at most, and gives everything back. It may be
// called again. Calls that come later get store.ErrUnavailable.
func (s *Store) Close() error { return s.close() }

func (s *Store) shut() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	s.group.Close(ctx)
	// The writer goes last: the last connection to close moves the log into the database.
	return errors.Join(s.reads.close(), s.reader.Close(), s.writes.close(), s.writer.Close())
}
