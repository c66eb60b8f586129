package client

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
)

// File returns what is known of a file.
func (c *Client) File(ctx context.Context, id uuid.UUID) (*wire.File, error) {
	var file wire.File
	if err := c.get(ctx, &file, nil, "v1", "files", id.String()); err != nil {
		return nil, err
	}
	return &file, nil
}

// DeleteFile deletes a file with all that was made of it.
func (c *Client) DeleteFile(ctx context.Context, id uuid.UUID) error {
	req, err := c.request(ctx, http.MethodDelete, nil, nil, "v1", "files", id.String())
	if err != nil {
		return err
	}
	res, err := c.send(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// Content is a file that is being downloaded. The caller reads and closes the Body.
type Content struct {
	Body      io.ReadCloser
	Size      int64  // bytes
	MediaType string // as found by the server
	SHA256    string // in hex
}

// FileContent downloads a file.
func (c *Client) FileContent(ctx context.Context, id uuid.UUID) (*Content, error) {
	return c.content(ctx, "v1", "files", id.String(), "content")
}

// ArtifactContent downloads a file that a job made.
func (c *Client) ArtifactContent(ctx context.Context, job uuid.UUID, name string) (*Content, error) {
	return c.content(ctx, "v1", "jobs", job.String(), "artifacts", name)
}

func (c *Client) content(ctx context.Context, path ...string) (*Content, error) {
	req, err := c.request(ctx, http.MethodGet, nil, nil, path...)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "*/*")
	res, err := c.read(req) //nolint:bodyclose // whoever gets the Content closes it
	if err != nil {
		return nil, err
	}
	return &Content{
		Body:      res.Body,
		Size:      res.ContentLength,
		MediaType: res.Header.Get("Content-Type"),
		SHA256:    strings.Trim(res.Header.Get("ETag"), `"`),
	}, nil
}
