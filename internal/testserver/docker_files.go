package testserver

import (
	"context"
	"errors"
	"io"
	"path"

	"github.com/testcontainers/testcontainers-go"
)

func (c *dockerContainer) readFile(ctx context.Context, name string) ([]byte, error) {
	file, err := c.is.CopyFileFromContainer(ctx, path.Join(c.data, name))
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(file)
	return content, errors.Join(err, file.Close())
}

func (c *dockerContainer) writeFiles(ctx context.Context, files map[string][]byte) error {
	for name, content := range files {
		// The server's user in the container is not known here.
		if err := c.is.CopyToContainer(ctx, content, path.Join(c.data, name), 0o666); err != nil {
			return err
		}
	}
	return nil
}

func (c *dockerContainer) log(ctx context.Context) string {
	logs, err := c.is.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(logs)
	if err := errors.Join(err, logs.Close()); err != nil {
		return err.Error()
	}
	return lastLines(text)
}

func (c *dockerContainer) close(ctx context.Context) error {
	if c.guard != nil {
		return errors.Join(c.guard.release(), c.cli.Close())
	}
	// Terminate waits for a server that ends in good order, or not at all.
	return errors.Join(c.kill(ctx), c.is.Terminate(ctx, testcontainers.StopTimeout(0)))
}
