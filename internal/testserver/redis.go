package testserver

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// databases is how many logical databases a Redis that is started here has.
const databases = 512

// AOF policies, for [AOF].
const (
	EverySecond = "everysec"
	Always      = "always"
)

// redisOptions are the settings of a Redis, by their names in redis.conf.
type redisOptions map[string]string

// RedisOption changes a Redis that [NewRedis] starts.
type RedisOption func(redisOptions)

// AOF sets how often the append-only file is synced; the default is EverySecond.
func AOF(policy string) RedisOption { return RedisSetting("appendfsync", policy) }

// NoPersistence makes a Redis that forgets everything when it is stopped.
func NoPersistence() RedisOption { return RedisSetting("appendonly", "no") }

// RedisSetting sets anything that redis.conf knows.
func RedisSetting(name, value string) RedisOption {
	return func(o redisOptions) { o[name] = value }
}

func newRedisOptions(opts []RedisOption) redisOptions {
	o := redisOptions{
		"databases":   strconv.Itoa(databases),
		"save":        "",
		"appendonly":  "yes",
		"appendfsync": EverySecond,
	}
	for _, opt := range opts {
		opt(o)
	}
	return o
}

// args returns the options as arguments of redis-server.
func (o redisOptions) args() []string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(o)) {
		args = append(args, "--"+name, o[name])
	}
	return args
}

// RedisServer is a Redis with faults on demand.
type RedisServer struct {
	*Server
	snapshots int
}

// NewRedis starts a Redis for this test alone. It has 512 databases and an
// append-only file that is synced every second. It is never one that was given
// in the environment.
func NewRedis(tb TB, opts ...RedisOption) *RedisServer {
	tb.Helper()
	s, err := startRedis(tb, newRedisOptions(opts))
	if err != nil {
		tb.Fatalf("testserver: Redis: %v", err)
	}
	return &RedisServer{Server: s.private()}
}

func startRedis(tb TB, o redisOptions) (*Server, error) {
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	from, err := chooseSource()
	if err != nil {
		return nil, err
	}
	start := startRedisLocally
	if from == fromDocker {
		start = startRedisInDocker
	}
	return start(ctx, tb, o)
}

func pingRedis(ctx context.Context, addr string) error {
	u, err := url.Parse(addr)
	if err != nil {
		return err
	}
	// While nobody listens, the client would log every attempt.
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	if err := conn.Close(); err != nil {
		return err
	}
	return withRedis(addr, func(c *redis.Client) error { return c.Ping(ctx).Err() })
}

// withRedis calls do with a client of its own, which tries everything once.
func withRedis(addr string, do func(*redis.Client) error) error {
	opt, err := redis.ParseURL(addr)
	if err != nil {
		return err
	}
	opt.MaxRetries = -1
	opt.DialerRetries = 1
	opt.ContextTimeoutEnabled = true
	c := redis.NewClient(opt)
	err = do(c)
	if closeErr := c.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Snapshot returns what the Redis holds now, all databases, as an RDB file.
func (r *RedisServer) Snapshot() []byte {
	r.tb.Helper()
	var snapshot []byte
	r.change("snapshot", func(ctx context.Context) error {
		err := withRedis(r.url, func(c *redis.Client) error { return c.Save(ctx).Err() })
		if err != nil {
			return err
		}
		snapshot, err = r.on.readFile(ctx, "dump.rdb")
		return err
	})
	return snapshot
}

// Restore replaces what the Redis holds with a snapshot, as an operator would
// after a loss: it kills the server if it runs, puts the files back and starts it.
func (r *RedisServer) Restore(snapshot []byte) {
	r.tb.Helper()
	r.change("restore", func(ctx context.Context) error {
		if err := r.on.kill(ctx); err != nil {
			return err
		}
		r.state = stopped
		r.snapshots++
		if err := r.on.writeFiles(ctx, restoredFiles(snapshot, r.snapshots)); err != nil {
			return err
		}
		return r.start(ctx)
	})
}

// restoredFiles returns the files that make Redis load the snapshot with and
// without an append-only file, which Redis 7 keeps as a manifest, a base and
// increments, and older ones as a single file. The increments of before stay
// behind, so the n-th restored snapshot must name others.
func restoredFiles(snapshot []byte, n int) map[string][]byte {
	seq := n * 1_000_000
	base := fmt.Sprintf("appendonly.aof.%d.base.rdb", seq)
	incr := fmt.Sprintf("appendonly.aof.%d.incr.aof", seq)
	manifest := fmt.Sprintf("file %s seq %d type b\nfile %s seq %d type i\n", base, seq, incr, seq)
	const folder = "appendonlydir"
	return map[string][]byte{
		"dump.rdb": snapshot,
		path.Join(folder, "appendonly.aof.manifest"): []byte(manifest),
		path.Join(folder, base):                      snapshot,
		path.Join(folder, incr):                      nil,
	}
}

// Redis returns the URL of an empty database in the Redis that the tests of this
// binary share. It belongs to the test until its end and is emptied then. What
// is not bound to a database (FLUSHALL, published messages, scripts, memory) is
// shared: a test that changes those takes a [NewRedis].
//
// Of a Redis given in LEAT_TEST_REDIS_URL only empty databases are taken.
func Redis(tb TB) string {
	tb.Helper()
	pool, err := sharedRedis(tb)
	if err != nil {
		tb.Fatalf("testserver: shared Redis: %v", err)
	}
	addr, release, err := pool.take(tb.Context())
	if err != nil {
		tb.Fatalf("testserver: a database of the shared Redis: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := cleanupContext(tb.Context())
		defer cancel()
		if err := release(ctx); err != nil {
			tb.Errorf("testserver: release %s: %v", addr, err)
		}
	})
	return addr
}

// redisPool hands out the databases of one Redis.
type redisPool struct {
	url   url.URL
	given bool // other test binaries may use it too
	// server is nil if it was given. As long as it is referenced, it runs.
	server *Server

	mu   sync.Mutex
	free []int
}

// take returns the URL of an empty database, and what gives it back.
func (p *redisPool) take(ctx context.Context) (string, func(context.Context) error, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, db := range p.free {
		unlock, err := p.claim(db)
		if err != nil {
			return "", nil, err
		}
		if unlock == nil {
			continue // another test binary has it
		}
		u := p.url
		u.Path = "/" + strconv.Itoa(db)
		size, err := p.size(ctx, u.String())
		if err != nil {
			return "", nil, err
		}
		if size > 0 {
			if err := unlock(); err != nil {
				return "", nil, err
			}
			continue // not ours to empty
		}
		p.free = append(p.free[:i:i], p.free[i+1:]...)
		return u.String(), func(ctx context.Context) error { return p.release(ctx, db, u.String(), unlock) }, nil
	}
	return "", nil, fmt.Errorf("no empty database is free in %s", p.url.Redacted())
}

func (p *redisPool) release(ctx context.Context, db int, addr string, unlock func() error) error {
	err := withRedis(addr, func(c *redis.Client) error { return c.FlushDB(ctx).Err() })
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, db)
	return unlock()
}

// claim keeps other test binaries from taking a database of a given server. It
// returns nil when one of them has it.
func (p *redisPool) claim(db int) (func() error, error) {
	if !p.given {
		return func() error { return nil }, nil
	}
	return tryLock(fmt.Sprintf("redis-%s-%d", p.url.Host, db))
}

func (p *redisPool) size(ctx context.Context, addr string) (int64, error) {
	var size int64
	err := withRedis(addr, func(c *redis.Client) (err error) {
		size, err = c.DBSize(ctx).Result()
		return err
	})
	return size, err
}

// shared is something that the first test to need it makes for all. A failure is
// kept too, so that every test tells of it and none waits for another.
type shared[T any] struct {
	mu   sync.Mutex
	done bool
	val  T
	err  error
}

func (s *shared[T]) get(create func() (T, error)) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.val, s.err = create()
		s.done = true
	}
	return s.val, s.err
}

var theRedis shared[*redisPool]

func sharedRedis(tb TB) (*redisPool, error) {
	return theRedis.get(func() (*redisPool, error) {
		if addr := given(EnvRedisURL); addr != "" {
			return newRedisPool(tb.Context(), addr, true)
		}
		s, err := startRedis(tb, newRedisOptions([]RedisOption{NoPersistence()}))
		if err != nil {
			return nil, err
		}
		pool, err := newRedisPool(tb.Context(), s.URL(), false)
		if err == nil {
			pool.server = s
		}
		return pool, err
	})
}

func newRedisPool(ctx context.Context, addr string, given bool) (*redisPool, error) {
	u, err := url.Parse(addr)
	if err != nil {
		return nil, err
	}
	count := databases
	if given {
		err := withRedis(addr, func(c *redis.Client) error {
			answer, err := c.ConfigGet(ctx, "databases").Result()
			if err != nil {
				return err
			}
			count, err = strconv.Atoi(strings.TrimSpace(answer["databases"]))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	pool := &redisPool{url: *u, given: given}
	for db := range count {
		pool.free = append(pool.free, db)
	}
	return pool, nil
}
