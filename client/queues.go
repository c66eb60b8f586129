package client

import (
	"context"

	"github.com/leat-dev/leat/api/wire"
)

// Queues returns how every queue stands, by name.
func (c *Client) Queues(ctx context.Context) ([]wire.Queue, error) {
	var answer wire.Queues
	if err := c.get(ctx, &answer, nil, "v1", "queues"); err != nil {
		return nil, err
	}
	return answer.Queues, nil
}

// PauseQueue has no more jobs of a queue started; runs that have begun go on.
func (c *Client) PauseQueue(ctx context.Context, name string) error {
	return c.post(ctx, &wire.QueueState{}, nil, "v1", "queues", name, "pause")
}

// ResumeQueue has jobs of a queue started again.
func (c *Client) ResumeQueue(ctx context.Context, name string) error {
	return c.post(ctx, &wire.QueueState{}, nil, "v1", "queues", name, "resume")
}

// Kinds returns the kinds of work that uploads can ask for.
func (c *Client) Kinds(ctx context.Context) ([]wire.Kind, error) {
	var answer wire.Kinds
	if err := c.get(ctx, &answer, nil, "v1", "kinds"); err != nil {
		return nil, err
	}
	return answer.Kinds, nil
}
