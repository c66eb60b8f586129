// Package embedded opens what `leat up` works with: SQLite, a Redis inside the process, and a data
// folder that holds everything.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/queue/embedded"
	"github.com/leat-dev/leat/store/sqlite"
)

// Open is an app.Opener: everything lies below the data folder.
func Open(ctx context.Context, _ string, opts config.Options, env app.Env) (*app.Resources, error) {
	res, err := app.NewResources("leat", opts, env)
	if err != nil {
		return nil, err
	}
	if err := open(ctx, res); err != nil {
		return nil, errors.Join(err, res.Close())
	}
	return res, nil
}

func open(ctx context.Context, res *app.Resources) error {
	dir, err := filepath.Abs(res.Options.Data)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	res.OnClose("the lock of the data folder", unlock)

	db, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "leat.db"), Logger: res.Log})
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	res.Store = db
	res.OnClose("the store", db.Close)

	redis := embedded.Start()
	res.OnClose("the in-process Redis", redis.Close)
	conn, err := queue.Open(embedded.URL, queue.WithDialer(redis.Dial))
	if err != nil {
		return fmt.Errorf("in-process Redis: %w", err)
	}
	res.Queue = conn
	res.OnClose("the connection to the in-process Redis", conn.Close)

	blobs, err := fsblob.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	res.Blobs = blobs
	res.OnClose("the blob store", blobs.Close)
	if err := res.BindBlobs(ctx); err != nil {
		return err
	}
	return res.RegisterStoreMetrics()
}
