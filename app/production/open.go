// Package production opens what the programs of a cluster work with: Postgres, Redis, and a folder
// for the larger bytes.
package production

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/store/postgres"
)

// Open is an app.Opener.
func Open(ctx context.Context, program string, opts config.Options, env app.Env) (*app.Resources, error) {
	return with(ctx, program, opts, env, map[string]string{
		"database-url": opts.DatabaseURL, "redis-url": opts.RedisURL, "blob-url": opts.BlobURL,
	}, openStore, openQueue, openBlobs)
}

// OpenForScaler is an app.Opener for what sees the work but touches no file.
func OpenForScaler(ctx context.Context, program string, opts config.Options, env app.Env) (*app.Resources, error) {
	return with(ctx, program, opts, env, map[string]string{
		"database-url": opts.DatabaseURL, "redis-url": opts.RedisURL,
	}, openStore, openQueue)
}

// with finds what is missing before anything is opened, then opens all or nothing.
func with(ctx context.Context, program string, opts config.Options, env app.Env, needed map[string]string, openers ...func(context.Context, *app.Resources) error) (*app.Resources, error) {
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		if needed[name] == "" {
			return nil, &app.ExitError{Code: 2, Err: fmt.Errorf("%s is not set: give --%s or %s", name, name, config.EnvName(name))}
		}
	}
	res, err := app.NewResources(program, opts, env)
	if err != nil {
		return nil, err
	}
	for _, open := range append(openers, registerMetrics) {
		if err := open(ctx, res); err != nil {
			return nil, errors.Join(err, res.Close())
		}
	}
	return res, nil
}

func registerMetrics(_ context.Context, res *app.Resources) error { return res.RegisterStoreMetrics() }

func openStore(ctx context.Context, res *app.Resources) error {
	opts := res.Options
	db, err := postgres.Open(ctx, postgres.Options{
		URL:              opts.DatabaseURL,
		MaxConns:         opts.DatabaseMaxConns,
		StatementTimeout: opts.DatabaseTimeout,
		Pooler:           opts.DatabasePooler,
		AllowAsyncCommit: opts.DatabaseAllowAsyncCommit,
		MigrateURL:       opts.MigrateDatabaseURL,
		SkipMigrate:      !opts.Migrate,
		Logger:           res.Log,
	})
	if err != nil {
		return fmt.Errorf("database-url: %w", err)
	}
	res.Store = db
	res.OnClose("the store", db.Close)
	return nil
}

func openQueue(_ context.Context, res *app.Resources) error {
	queue.RouteDriverLogs(res.Log)
	conn, err := queue.Open(res.Options.RedisURL)
	if err != nil {
		return fmt.Errorf("redis-url: %w", err)
	}
	res.Queue = conn
	res.OnClose("the connection to Redis", conn.Close)
	return nil
}

func openBlobs(ctx context.Context, res *app.Resources) error {
	dir, err := folder(res.Options.BlobURL)
	if err != nil {
		return fmt.Errorf("blob-url: %w", err)
	}
	blobs, err := fsblob.Open(dir)
	if err != nil {
		return fmt.Errorf("blob-url: %w", err)
	}
	res.Blobs = blobs
	res.OnClose("the blob store", blobs.Close)
	return res.BindBlobs(ctx)
}

// folder gives the path of a file:/// URL.
func folder(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "file" || u.Host != "" || u.Path == "" {
		return "", errors.New("use file:/// and an absolute path")
	}
	return u.Path, nil
}
