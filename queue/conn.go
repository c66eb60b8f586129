package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// readTimeout is longer than any pause of Redis that is worth riding out: when
	// the answer to a dequeue is given up, the task in it is stuck.
	readTimeout = 10 * time.Second
	dialTimeout = 2 * time.Second
	pingTimeout = 3 * time.Second
	// idleTimeout closes the connections of a burst, of which a large fleet has
	// more than Redis allows clients.
	idleTimeout = 5 * time.Minute
)

// Conn is a program's connection to Redis, shared by all that deliver and take
// deliveries in it. It is safe for concurrent use.
type Conn struct {
	redis redis.UniversalClient
	tasks *asynq.Client

	mu      sync.Mutex
	serving int // asynq servers that have not been shut down
}

// Option changes how a Conn is opened.
type Option func(*redis.UniversalOptions)

// WithDialer makes every connection come from dial, not from the network. TLS is
// then the dialer's to do.
func WithDialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(o *redis.UniversalOptions) { o.Dialer = dial }
}

// Open prepares the connection to the Redis at the given URL:
//
//	redis://user:password@host:6379/0                 one server; rediss:// with TLS
//	redis://user:password@host1:6379,host2:6379       a cluster
//	redis-sentinel://user:password@s1,s2/0?master=m   what sentinels watch as m; rediss-sentinel:// with TLS
//
// User and password are percent-encoded. The parameter pool_size bounds the
// connections, to each server of a cluster; sentinel_username and
// sentinel_password are for the sentinels themselves.
//
// Open does not connect, so that programs start while Redis is away. It fails on
// a malformed URL only, and the error does not repeat it.
func Open(url string, opts ...Option) (*Conn, error) {
	o, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if o.PoolSize == 0 {
		o.PoolSize = max(10*runtime.GOMAXPROCS(0), enqueueParallel+8)
	}
	o.PipelinePoolSize = -1 // pipelines are rare; they need no connections of their own
	o.ReadTimeout = readTimeout
	o.DialTimeout = dialTimeout
	o.DialerRetries = 1 // the commands are repeated as it is
	o.MaxRetries = 1
	o.ConnMaxIdleTime = idleTimeout
	o.ContextTimeoutEnabled = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	for _, opt := range opts {
		opt(o)
	}
	client := redis.NewUniversalClient(o)
	return &Conn{redis: client, tasks: asynq.NewClientFromRedisClient(client)}, nil
}

// Ping tells whether Redis answers within three seconds.
func (c *Conn) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := c.redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("queue: ping Redis: %w", err)
	}
	return nil
}

// ErrServing says that a Conn cannot be closed, because a Server still uses it.
var ErrServing = errors.New("queue: a server has not been shut down")

// Close ends all connections. It refuses, with ErrServing, while a Server of the
// Conn has not been shut down: asynq's servers do not survive it.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving > 0 {
		return ErrServing
	}
	if err := c.redis.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("queue: close: %w", err)
	}
	return nil
}

// serve counts the asynq servers that begin or, by a negative number, have ended.
func (c *Conn) serve(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving += n
}
