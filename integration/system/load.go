package system

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/leat-dev/leat/api/wire"
)

// Client is for requests of tests: its connections are its own, and an answer takes a minute at
// most.
func Client() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
}

// StatusError is an answer that is not the one wanted.
type StatusError struct {
	Status int
	Body   string
}

// Error gives the answer.
func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Body) }

// Upload posts one file as a raw body for the kind "work", or another, to be worked on whatever was
// done before, and returns what was accepted. Any answer but 202 is a *StatusError.
func (s *System) Upload(ctx context.Context, c *http.Client, base, kind, params string, content []byte) (*wire.Upload, error) {
	query := url.Values{"kind": {kind}, "queue": {s.Queue}, "filename": {"file.bin"}, "fresh": {"true"}}
	if params != "" {
		query.Set("params", params)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/uploads?"+query.Encode(), bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	var up wire.Upload
	return &up, do(c, req, http.StatusAccepted, &up)
}

// Job reads a job.
func Job(ctx context.Context, c *http.Client, base, id string) (*wire.Job, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/jobs/"+id, nil)
	if err != nil {
		return nil, err
	}
	var job wire.Job
	return &job, do(c, req, http.StatusOK, &job)
}

// Post makes a request without a body, as cancel and pause are.
func Post(ctx context.Context, c *http.Client, target string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
	if err != nil {
		return err
	}
	return do(c, req, http.StatusOK, nil)
}

func do(c *http.Client, req *http.Request, want int, into any) error {
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != want {
		return &StatusError{resp.StatusCode, string(body)}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
