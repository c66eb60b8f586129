package testserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/redis/go-redis/v9"
	"github.com/testcontainers/testcontainers-go"
)

// The images that the tests run, if they run containers.
const (
	redisImage    = "redis:7"
	postgresImage = "postgres:15"
)

// dockerAnswers says whether there is a Docker engine. Where there is none it
// costs no more than a look at a socket that is not there.
func dockerAnswers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	cli, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return false
	}
	_, err = cli.Ping(ctx, client.PingOptions{})
	return errors.Join(err, cli.Close()) == nil
}

func startRedisInDocker(ctx context.Context, tb TB, o redisOptions) (*Server, error) {
	return onFreePort(ctx, func(port int) (*Server, error) {
		c, err := newContainer(ctx, port, "6379/tcp", sigTerm, testcontainers.ContainerRequest{
			Image: redisImage,
			Cmd:   append([]string{"redis-server"}, o.args()...),
		})
		if err != nil {
			return nil, err
		}
		s, err := launch(ctx, tb, "redis://"+c.addr+"/0", c, pingRedis)
		if err != nil {
			return nil, err
		}
		err = withRedis(s.URL(), func(r *redis.Client) error {
			answer, err := r.ConfigGet(ctx, "dir").Result()
			c.data = answer["dir"]
			return err
		})
		if err != nil {
			ctx, cancel := cleanupContext(ctx)
			defer cancel()
			return nil, errors.Join(err, c.close(ctx))
		}
		return s, nil
	})
}

func startPostgresInDocker(ctx context.Context, tb TB, o postgresOptions, on medium) (*Server, error) {
	return onFreePort(ctx, func(port int) (*Server, error) {
		password := rand.Text()
		tmpfs := map[string]string{}
		if on == inMemory {
			tmpfs["/var/lib/postgresql/data"] = "rw"
		}
		c, err := newContainer(ctx, port, "5432/tcp", sigInt, testcontainers.ContainerRequest{
			Image: postgresImage,
			Tmpfs: tmpfs,
			Cmd:   append([]string{"postgres"}, o.args()...),
			Env: map[string]string{
				"POSTGRES_USER":        postgresUser,
				"POSTGRES_PASSWORD":    password,
				"POSTGRES_DB":          "postgres",
				"POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C.UTF-8",
			},
		})
		if err != nil {
			return nil, err
		}
		return launch(ctx, tb, postgresURL(c.addr, password), c, pingPostgres)
	})
}

// Signals that end a server in good order, as Docker writes them.
const (
	sigTerm = "SIGTERM"
	sigInt  = "SIGINT"
)

// dockerContainer is a machine made of one container.
type dockerContainer struct {
	addr string // host:port, the same over restarts
	term string // the signal that ends the server in good order
	data string // where its files are

	is    testcontainers.Container
	cli   client.APIClient
	guard *guard // nil if the engine's own reaper does its work
}

// newContainer makes a container, without starting it, whose inner port is reached
// at the given one.
func newContainer(ctx context.Context, port int, inner, term string, req testcontainers.ContainerRequest) (_ *dockerContainer, err error) {
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return nil, fmt.Errorf("no Docker engine answers: %w", err)
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	host, err := provider.DaemonHost(ctx)
	if err != nil {
		return nil, err
	}
	// On this machine, nobody but this machine needs to reach it.
	binding := network.PortBinding{HostPort: strconv.Itoa(port)}
	if host == "localhost" || host == "127.0.0.1" {
		host = "127.0.0.1"
		binding.HostIP = netip.MustParseAddr(host)
	}
	c := &dockerContainer{addr: net.JoinHostPort(host, strconv.Itoa(port)), term: term, cli: provider.Client()}

	req.Name = "leat-testserver-" + rand.Text()
	req.ExposedPorts = []string{inner}
	req.HostConfigModifier = func(hc *container.HostConfig) {
		hc.PortBindings = network.PortMap{network.MustParsePort(inner): {binding}}
		hc.ShmSize = 256 << 20 // Postgres shares the tables of parallel queries there
	}
	if provider.Config().Config.RyukDisabled {
		if c.guard, err = guardContainer(req.Name, c.cli.DaemonHost()); err != nil {
			return nil, err
		}
	}
	if c.is, err = provider.CreateContainer(ctx, req); err != nil {
		return nil, errors.Join(err, c.guard.release())
	}
	return c, nil
}

// guardContainer removes a container when the test binary has ended, where the
// engine's reaper is switched off.
func guardContainer(name, engine string) (*guard, error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return nil, fmt.Errorf("TESTCONTAINERS_RYUK_DISABLED is set, and nothing else would remove the containers of a killed test: %w", err)
	}
	return startGuard(nil, clean, name, engine)
}

func (c *dockerContainer) id() string { return c.is.GetContainerID() }

func (c *dockerContainer) start(ctx context.Context) error {
	_, err := c.cli.ContainerStart(ctx, c.id(), client.ContainerStartOptions{})
	if err != nil {
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	return c.cli.Close()
}

func (c *dockerContainer) stop(ctx context.Context) error { return c.end(ctx, c.term) }
func (c *dockerContainer) kill(ctx context.Context) error { return c.end(ctx, "SIGKILL") }

// end signals the server, if it runs, and waits until the container has stopped.
func (c *dockerContainer) end(ctx context.Context, signal string) error {
	if errors.Is(c.alive(ctx), errEnded) {
		return nil
	}
	if _, err := c.cli.ContainerKill(ctx, c.id(), client.ContainerKillOptions{Signal: signal}); err != nil {
		return err
	}
	ended := c.cli.ContainerWait(ctx, c.id(), client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-ended.Result:
		return c.cli.Close()
	case err := <-ended.Error:
		return err
	}
}

// pause asks again when it is refused: runc gives up on freezing a container whose processes start
// others faster than it freezes them, as those of Postgres do on a busy machine.
func (c *dockerContainer) pause(ctx context.Context) error {
	var last error
	err := poll(ctx, 100*time.Millisecond, func() (bool, error) {
		if err := c.alive(ctx); err != nil {
			return false, err
		}
		_, last = c.cli.ContainerPause(ctx, c.id(), client.ContainerPauseOptions{})
		return last == nil, nil
	})
	if err != nil {
		err = errors.Join(err, last)
	}
	return errors.Join(err, c.cli.Close())
}

func (c *dockerContainer) resume(ctx context.Context) error {
	_, err := c.cli.ContainerUnpause(ctx, c.id(), client.ContainerUnpauseOptions{})
	return errors.Join(err, c.cli.Close())
}

func (c *dockerContainer) alive(ctx context.Context) error {
	state, err := c.is.State(ctx)
	if err != nil {
		return err
	}
	if !state.Running {
		return errEnded
	}
	return nil
}
