package testserver

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// Environment variables that choose where the servers come from.
const (
	// EnvServers is "docker" or "local", to allow only that source.
	EnvServers = "LEAT_TEST_SERVERS"
	// EnvRedisURL is a Redis given for tests; see [Redis] for what is done with it.
	EnvRedisURL = "LEAT_TEST_REDIS_URL"
	// EnvDatabaseURL is a Postgres given for tests; see [Postgres].
	EnvDatabaseURL = "LEAT_TEST_DATABASE_URL"
)

// startTimeout bounds the start of a server, pulling its image or installing its
// package included.
const startTimeout = 5 * time.Minute

// TB is what the package needs of a test. A [testing.TB] is one; a program that
// is not a test can bring its own. Fatalf must not return.
type TB interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// source says how servers are started.
type source string

const (
	fromDocker source = "docker"
	fromLocal  source = "local"
)

// chooseSource decides between Docker and local programs, once per test binary.
var chooseSource = sync.OnceValues(func() (source, error) {
	switch s := os.Getenv(EnvServers); s {
	case string(fromDocker), string(fromLocal):
		return source(s), nil
	case "":
		if dockerAnswers() {
			return fromDocker, nil
		}
		return fromLocal, nil
	default:
		return "", fmt.Errorf("%s=%q: must be %q or %q", EnvServers, s, fromDocker, fromLocal)
	}
})

// given returns the URL of a server that was given in the environment, or "".
// EnvServers forces a source, and so leaves given servers alone.
func given(env string) string {
	if os.Getenv(EnvServers) != "" {
		return ""
	}
	return os.Getenv(env)
}

// cleanupContext returns a context for what must be done even when the given one,
// the test's own for example, has ended.
func cleanupContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

// poll calls try at once and then every interval until it answers true, it
// fails, or ctx ends.
func poll(ctx context.Context, interval time.Duration, try func() (bool, error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if done, err := try(); done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
