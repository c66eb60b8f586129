package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/leat-dev/leat/api/wire"
)

// Options configure a Client. The zero value is fit for use.
type Options struct {
	// HTTP sends the requests; http.DefaultClient when nil. A timeout of its own would cut long
	// uploads: bound calls by their context instead.
	HTTP *http.Client
	// Key is sent with every request; none when empty.
	Key string
	// UserAgent names the program; "leat-client" when empty.
	UserAgent string
	// Retries is how often a read is tried again that the server answers with 503, after the time
	// that it asks for; DefaultRetries when 0, none when negative. Calls that change something are
	// never repeated.
	Retries int
	// Sleep waits for d, or until ctx ends, and returns ctx's error then. Tests replace it.
	Sleep func(ctx context.Context, d time.Duration) error
}

// DefaultRetries is how often a read is tried again where Options say nothing.
const DefaultRetries = 4

// A server's Retry-After is believed within these bounds.
const (
	minRetryWait = 100 * time.Millisecond
	maxRetryWait = 30 * time.Second
)

// maxAnswer bounds an answer in JSON, in bytes.
const maxAnswer = 64 << 20

// Client speaks to one server. Its methods are safe for concurrent use. What the server refuses is
// a *wire.Problem, to be had with errors.As.
type Client struct {
	base    *url.URL
	http    *http.Client
	agent   string
	key     string
	retries int
	sleep   func(context.Context, time.Duration) error
}

// New makes a client of the server at base, such as "http://127.0.0.1:8080".
func New(base string, o Options) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("server's address: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf(`server's address %q is not of the form "http://host[:port]"`, base)
	}
	c := &Client{base: u, http: o.HTTP, agent: o.UserAgent, key: o.Key, retries: o.Retries, sleep: o.Sleep}
	if c.http == nil {
		c.http = http.DefaultClient
	}
	if c.agent == "" {
		c.agent = "leat-client"
	}
	if c.retries == 0 {
		c.retries = DefaultRetries
	}
	if c.sleep == nil {
		c.sleep = sleep
	}
	return c, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// request makes a request for a path, whose segments are escaped here.
func (c *Client) request(ctx context.Context, method string, query url.Values, body io.Reader, path ...string) (*http.Request, error) {
	for i := range path {
		path[i] = url.PathEscape(path[i])
	}
	u := c.base.JoinPath(path...)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	req.Header.Set("User-Agent", c.agent)
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// get asks for JSON.
func (c *Client) get(ctx context.Context, out any, query url.Values, path ...string) error {
	req, err := c.request(ctx, http.MethodGet, query, nil, path...)
	if err != nil {
		return err
	}
	res, err := c.read(req)
	if err != nil {
		return err
	}
	return decode(res, out)
}

// post asks for a change.
func (c *Client) post(ctx context.Context, out any, query url.Values, path ...string) error {
	req, err := c.request(ctx, http.MethodPost, query, nil, path...)
	if err != nil {
		return err
	}
	res, err := c.send(req)
	if err != nil {
		return err
	}
	return decode(res, out)
}

// read sends a request that changes nothing, and again while the server asks for patience.
func (c *Client) read(req *http.Request) (*http.Response, error) {
	for try := 0; ; try++ {
		res, err := c.send(req)
		busy, ok := errors.AsType[*busyError](err)
		if !ok || try >= c.retries || busy.later() {
			return res, err
		}
		if err := c.sleep(req.Context(), busy.pause()); err != nil {
			return nil, errors.Join(err, busy)
		}
	}
}

// send sends a request once. An answer that is not a success comes as an error, its body closed.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	problem := readProblem(res)
	if res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusTooManyRequests {
		return nil, &busyError{problem, retryAfter(res.Header.Get("Retry-After"))}
	}
	return nil, problem
}

// busyError is a refusal that passes, with the time after which to ask again by the server's word.
type busyError struct {
	*wire.Problem
	wait time.Duration
}

func (e *busyError) Unwrap() error { return e.Problem }

func (e *busyError) Error() string {
	if e.later() {
		return fmt.Sprintf("%v (worth trying again in %v)", e.Problem, e.wait)
	}
	return e.Problem.Error()
}

// later reports whether the time is too long for a caller to wait: a limit that is used up.
func (e *busyError) later() bool {
	return e.Status == http.StatusTooManyRequests && e.wait > maxRetryWait
}

// pause is how long a caller waits.
func (e *busyError) pause() time.Duration { return min(max(e.wait, minRetryWait), maxRetryWait) }

func retryAfter(header string) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		seconds = 1
	}
	return time.Duration(seconds) * time.Second
}

// readProblem reads why a request was refused, and closes the answer. What is no problem+json was
// said by something in between.
func readProblem(res *http.Response) *wire.Problem {
	defer res.Body.Close()
	mediaType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")) // an odd one is not ours either
	p := &wire.Problem{}
	if mediaType == wire.ProblemType {
		if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(p); err == nil && p.Code != "" {
			p.Status = res.StatusCode
			return p
		}
	}
	return &wire.Problem{Title: http.StatusText(res.StatusCode), Status: res.StatusCode}
}

// decode reads an answer in JSON, and closes it.
func decode(res *http.Response, out any) error {
	defer res.Body.Close()
	var text bytes.Buffer
	n, err := text.ReadFrom(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if n > maxAnswer {
		return fmt.Errorf("the server's answer is longer than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(text.Bytes(), out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}
