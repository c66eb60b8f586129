package system

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/store/postgres"
)

// readyLimit bounds how long a process may take to be ready, on a machine that is busy.
const readyLimit = 30 * time.Second

// System is an installation: its servers, and what was started on them.
type System struct {
	DatabaseURL string
	RedisURL    string
	BlobDir     string
	Queue       string // of its own, since Redis may be shared

	tb      testserver.TB
	program string
	count   atomic.Int64
	db      *pgxpool.Pool
}

// New makes an installation of the program at the given servers, whose database it migrates.
func New(tb testserver.TB, program, databaseURL, redisURL string) *System {
	tb.Helper()
	dir, err := os.MkdirTemp("", "leat-blobs-")
	if err != nil {
		tb.Fatalf("make the blob folder: %v", err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("remove the blob folder: %v", err)
		}
	})
	if err := postgres.Migrate(tb.Context(), databaseURL); err != nil {
		tb.Fatalf("migrate: %v", err)
	}
	db, err := pgxpool.New(tb.Context(), databaseURL)
	if err != nil {
		tb.Fatalf("open the database: %v", err)
	}
	tb.Cleanup(db.Close)
	return &System{
		DatabaseURL: databaseURL, RedisURL: redisURL, BlobDir: dir, Queue: "q-" + uuid.NewString()[:8],
		tb: tb, program: program, db: db,
	}
}

// DB is the installation's database, for what only the account of a test needs to know.
func (s *System) DB() *pgxpool.Pool { return s.db }

// Option changes a process's environment.
type Option func(env map[string]string)

// With sets an environment variable.
func With(name, value string) Option { return func(env map[string]string) { env[name] = value } }

// Fault makes the process die ("kill") or stop ("hang") at a point of integration/program.
func Fault(point, action string) Option { return With("LEAT_TEST_FAULT", point+":"+action) }

// API is a running api.
type API struct {
	*Process
	URL string
}

// API starts an api on a free address, and waits until it listens. Its log may be silent.
func (s *System) API(opts ...Option) *API {
	s.tb.Helper()
	return s.APIAt(testserver.FreeAddr(s.tb), opts...)
}

// APIAt starts an api on an address, and waits until it listens.
func (s *System) APIAt(addr string, opts ...Option) *API {
	s.tb.Helper()
	p := s.run("api", map[string]string{"LEAT_LISTEN": addr}, opts)
	Poll(s.tb.Context(), s.tb, p.Name+" listens", readyLimit, 20*time.Millisecond, func() bool {
		conn, err := (&net.Dialer{}).DialContext(s.tb.Context(), "tcp", addr)
		if err != nil {
			if !p.Running() {
				s.tb.Fatalf("%s ended (%v) before it listened\n%s", p.Name, p.state, p.tail(30))
			}
			return false
		}
		return conn.Close() == nil
	})
	return &API{Process: p, URL: "http://" + addr}
}

// Worker starts a worker on the installation's queue and waits until it is registered.
func (s *System) Worker(opts ...Option) *Process {
	s.tb.Helper()
	p := s.StartWorker(opts...)
	p.WaitMessage("worker is ready", readyLimit)
	return p
}

// StartWorker starts a worker without waiting.
func (s *System) StartWorker(opts ...Option) *Process {
	s.tb.Helper()
	return s.run("worker", map[string]string{"LEAT_QUEUES": s.Queue, "LEAT_CONCURRENCY": "10", "LEAT_SHUTDOWN_TIMEOUT": "20s"}, opts)
}

func (s *System) run(role string, env map[string]string, opts []Option) *Process {
	s.tb.Helper()
	name := fmt.Sprintf("%s-%d", role, s.count.Add(1))
	maps.Copy(env, map[string]string{
		"LEAT_DATABASE_URL": s.DatabaseURL, "LEAT_REDIS_URL": s.RedisURL,
		"LEAT_BLOB_URL": "file://" + filepath.ToSlash(s.BlobDir), "LEAT_ADMIN_LISTEN": "off",
		"LEAT_AUTH": "loopback", "LEAT_INSTANCE": name, "LEAT_LOG_FORMAT": "json", "LEAT_LOG_LEVEL": "info",
	})
	for _, o := range opts {
		o(env)
	}
	return Start(s.tb, name, s.program, []string{role}, env)
}

// Busy tells whether a job is left that has not ended. Unlike States it costs nothing to ask, also
// when there are many.
func (s *System) Busy(ctx context.Context) (busy bool, err error) {
	err = s.db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM jobs WHERE state = 'running') OR
		EXISTS (SELECT FROM jobs WHERE state = 'waiting') OR
		EXISTS (SELECT FROM queues q, LATERAL (
			SELECT FROM jobs WHERE queue = q.name AND state IN ('pending', 'retrying') LIMIT 1) one)`).Scan(&busy)
	return busy, err
}

// States counts the jobs by state.
func (s *System) States(ctx context.Context) (map[string]int, error) {
	rows, err := s.db.Query(ctx, `SELECT state, count(*) FROM jobs GROUP BY state`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	states := map[string]int{}
	for rows.Next() {
		var state string
		var n int
		if err := rows.Scan(&state, &n); err != nil {
			return nil, err
		}
		states[state] = n
	}
	return states, rows.Err()
}
