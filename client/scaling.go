package client

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/leat-dev/leat/api/wire"
)

// Scaling returns every fleet that is scaled, with its latest decision.
func (c *Client) Scaling(ctx context.Context) ([]wire.ScalingTarget, error) {
	var answer wire.Scaling
	if err := c.get(ctx, &answer, nil, "v1", "scaling"); err != nil {
		return nil, err
	}
	return answer.Targets, nil
}

// ScalingDecisions returns one page of a target's decisions in full, latest first: the first one
// for an empty cursor, else the one behind the page that gave it. A limit of 0 leaves it to the
// server.
func (c *Client) ScalingDecisions(ctx context.Context, target string, limit int, cursor string) (*wire.ScalingDecisions, error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	var page wire.ScalingDecisions
	if err := c.get(ctx, &page, q, "v1", "scaling", target, "decisions"); err != nil {
		return nil, err
	}
	return &page, nil
}

// PinScaling fixes a target's number of replicas for d.
func (c *Client) PinScaling(ctx context.Context, target string, replicas int, d time.Duration) (*wire.ScalingCommand, error) {
	q := url.Values{"replicas": {strconv.Itoa(replicas)}, "for": {d.String()}}
	return c.command(ctx, q, target, "pin")
}

// UnpinScaling leaves a target's number to the policies again.
func (c *Client) UnpinScaling(ctx context.Context, target string) (*wire.ScalingCommand, error) {
	return c.command(ctx, nil, target, "unpin")
}

// PauseScaling keeps a target's number as it is.
func (c *Client) PauseScaling(ctx context.Context, target string) (*wire.ScalingCommand, error) {
	return c.command(ctx, nil, target, "pause")
}

// ResumeScaling ends PauseScaling.
func (c *Client) ResumeScaling(ctx context.Context, target string) (*wire.ScalingCommand, error) {
	return c.command(ctx, nil, target, "resume")
}

func (c *Client) command(ctx context.Context, q url.Values, target, what string) (*wire.ScalingCommand, error) {
	var state wire.ScalingCommand
	if err := c.post(ctx, &state, q, "v1", "scaling", target, what); err != nil {
		return nil, err
	}
	return &state, nil
}
