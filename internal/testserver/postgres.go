package testserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresOptions are server settings by name.
type postgresOptions map[string]string

// PostgresOption changes a Postgres that [NewPostgres] starts.
type PostgresOption func(postgresOptions)

// PostgresSetting sets anything that postgresql.conf knows.
func PostgresSetting(name, value string) PostgresOption {
	return func(o postgresOptions) { o[name] = value }
}

// NoFsync makes a Postgres that loses data in a power cut, though not when it is
// killed. The reason is for the reader: it says why the test may measure or prove
// nothing about durability or speed.
func NoFsync(reason string) PostgresOption {
	return func(o postgresOptions) {
		if reason != "" {
			o["fsync"] = "off"
		}
	}
}

func newPostgresOptions(opts []PostgresOption) postgresOptions {
	o := postgresOptions{
		"max_connections":    "300",
		"fsync":              "on",
		"synchronous_commit": "on",
		"full_page_writes":   "on",
	}
	for _, opt := range opts {
		opt(o)
	}
	return o
}

// args returns the options as arguments of postgres.
func (o postgresOptions) args() []string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(o)) {
		args = append(args, "-c", name+"="+o[name])
	}
	return args
}

// PostgresServer is a Postgres with faults on demand.
type PostgresServer struct{ *Server }

// NewPostgres starts a Postgres for this test alone, in UTF-8, with fsync,
// synchronous_commit and full_page_writes on and 300 connections at most. Its URL
// names an empty database and a superuser. It is never one that was given in the
// environment.
func NewPostgres(tb TB, opts ...PostgresOption) *PostgresServer {
	tb.Helper()
	s, err := startPostgres(tb, newPostgresOptions(opts), onDisk)
	if err != nil {
		tb.Fatalf("testserver: Postgres: %v", err)
	}
	return &PostgresServer{Server: s.private()}
}

// medium is where a server keeps its files.
type medium int

const (
	onDisk   medium = iota
	inMemory        // where there is room; they are lost when the machine is, not when the server is
)

func startPostgres(tb TB, o postgresOptions, on medium) (*Server, error) {
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	from, err := chooseSource()
	if err != nil {
		return nil, err
	}
	start := startPostgresLocally
	if from == fromDocker {
		start = startPostgresInDocker
	}
	return start(ctx, tb, o, on)
}

// postgresURL returns the URL of the database postgres at an address.
func postgresURL(addr, password string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(postgresUser, password),
		Host:     addr,
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// postgresUser is the superuser of a server that is started here.
const postgresUser = "leat"

func pingPostgres(ctx context.Context, url string) error { return execute(ctx, url, "SELECT 1") }

// execute runs statements, each in a transaction of its own, on a connection made
// for them.
func execute(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// Postgres returns the URL of a new empty database in the Postgres that the tests
// of this binary share, which keeps its files in memory where there is room. It is dropped at the end of the test, connections or not.
func Postgres(tb TB) string {
	tb.Helper()
	return PostgresTemplate(tb, "", nil)
}

// PostgresTemplate returns the URL of a new database like Postgres, but made as a
// copy of a template. The first test that asks for the name makes the template:
// migrate is called once per test binary and name, with the URL of an empty
// database, and must have closed its connections when it returns.
func PostgresTemplate(tb TB, name string, migrate func(ctx context.Context, url string) error) string {
	tb.Helper()
	cluster, err := sharedPostgres(tb)
	if err != nil {
		tb.Fatalf("testserver: shared Postgres: %v", err)
	}
	template := "template0"
	if migrate != nil {
		if template, err = cluster.template(tb.Context(), name, migrate); err != nil {
			tb.Fatalf("testserver: database template %q: %v", name, err)
		}
	}
	db := cluster.name("test")
	if err := cluster.create(tb.Context(), db, template); err != nil {
		tb.Fatalf("testserver: database: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := cleanupContext(tb.Context())
		defer cancel()
		if err := cluster.drop(ctx, db); err != nil {
			tb.Errorf("testserver: %v", err)
		}
	})
	return cluster.of(db)
}

// cluster hands out databases of one Postgres.
type cluster struct {
	url url.URL
	// server is nil if it was given. As long as it is referenced, it runs.
	server *Server

	mu        sync.Mutex
	templates map[string]*shared[string]
}

// prefix begins the names of all databases made here. After it comes the time, by
// which those that a killed test binary left in a given server are known.
const prefix = "leat_test_"

// leftover is the age from which a database belongs to no running test.
const leftover = 12 * time.Hour

func (c *cluster) name(what string) string {
	random := strings.ToLower(rand.Text()[:12])
	return fmt.Sprintf("%s%d_%s_%s", prefix, time.Now().Unix(), what, random)
}

// of returns the URL of a database.
func (c *cluster) of(db string) string {
	u := c.url
	u.Path = "/" + db
	return u.String()
}

func (c *cluster) create(ctx context.Context, db, template string) error {
	return execute(ctx, c.url.String(), fmt.Sprintf(
		"CREATE DATABASE %s TEMPLATE %s ENCODING 'UTF8'", pgx.Identifier{db}.Sanitize(), pgx.Identifier{template}.Sanitize()))
}

func (c *cluster) drop(ctx context.Context, db string) error {
	return execute(ctx, c.url.String(), "DROP DATABASE "+pgx.Identifier{db}.Sanitize()+" WITH (FORCE)")
}

// template returns the name of a database that migrate has been run on.
func (c *cluster) template(ctx context.Context, name string, migrate func(context.Context, string) error) (string, error) {
	c.mu.Lock()
	t := c.templates[name]
	if t == nil {
		t = new(shared[string])
		c.templates[name] = t
	}
	c.mu.Unlock()
	return t.get(func() (string, error) {
		db := c.name("template")
		if err := c.create(ctx, db, "template0"); err != nil {
			return "", err
		}
		if err := migrate(ctx, c.of(db)); err != nil {
			return "", err
		}
		return db, execute(ctx, c.url.String(),
			"ALTER DATABASE "+pgx.Identifier{db}.Sanitize()+" ALLOW_CONNECTIONS false")
	})
}

// sweep drops what test binaries that were killed long ago have left.
func (c *cluster) sweep(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.url.String())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", prefix)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		at, _, _ := strings.Cut(strings.TrimPrefix(name, prefix), "_")
		made, err := strconv.ParseInt(at, 10, 64)
		if err != nil || time.Since(time.Unix(made, 0)) < leftover {
			continue // not ours, or of a test that runs
		}
		if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}

var theCluster shared[*cluster]

func sharedPostgres(tb TB) (*cluster, error) {
	return theCluster.get(func() (*cluster, error) {
		addr := given(EnvDatabaseURL)
		if addr != "" {
			c, err := newCluster(addr, nil)
			if err != nil {
				return nil, err
			}
			return c, c.sweep(tb.Context())
		}
		// Most of what takes time is to make and drop databases.
		s, err := startPostgres(tb, newPostgresOptions(nil), inMemory)
		if err != nil {
			return nil, err
		}
		return newCluster(s.URL(), s)
	})
}

func newCluster(addr string, server *Server) (*cluster, error) {
	u, err := url.Parse(addr)
	if err != nil {
		return nil, err
	}
	return &cluster{url: *u, server: server, templates: make(map[string]*shared[string])}, nil
}
