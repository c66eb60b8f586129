package cli

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/api/wire"
)

func (r *remote) queuesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "queues", Short: "List, pause and resume queues"}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List queues with their depth, oldest job and rates per second", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return r.listQueues(cmd) },
		},
		&cobra.Command{
			Use: "pause NAME", Short: "Hand out no more jobs of a queue; those that run go on", Args: oneArg("a queue's name"),
			RunE: func(cmd *cobra.Command, args []string) error { return r.setPaused(cmd, args[0], true) },
		},
		&cobra.Command{
			Use: "resume NAME", Short: "Hand out a paused queue's jobs again", Args: oneArg("a queue's name"),
			RunE: func(cmd *cobra.Command, args []string) error { return r.setPaused(cmd, args[0], false) },
		},
	)
	return cmd
}

func (r *remote) listQueues(cmd *cobra.Command) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	queues, err := c.Queues(cmd.Context())
	if err != nil {
		return err
	}
	if r.json {
		for _, q := range queues {
			if err := r.print(nil, q); err != nil {
				return err
			}
		}
		return nil
	}
	return table(r.env.Stdout, func(line func(...any)) {
		line("QUEUE", "READY", "LATER", "RUNNING", "WAITING", "OLDEST", "IN/S", "DONE/S", "FAILED/S", "")
		for _, q := range queues {
			paused := ""
			if q.Paused {
				paused = "paused"
			}
			line(q.Name, depthText(q, "ready", q.Depth.Ready), depthText(q, "later", q.Depth.Later),
				depthText(q, "running", q.Depth.Running), depthText(q, "waiting", q.Depth.Waiting), ageText(q),
				rateText(q, func(r *wire.Rates) float64 { return r.Arrived }),
				rateText(q, func(r *wire.Rates) float64 { return r.Succeeded }),
				rateText(q, func(r *wire.Rates) float64 { return r.Failed }), paused)
		}
	})
}

// rateText writes one of the rates, which not every key shows.
func rateText(q wire.Queue, of func(*wire.Rates) float64) string {
	if q.Rates == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", of(q.Rates))
}

func depthText(q wire.Queue, name string, n int) string {
	if slices.Contains(q.Depth.AtLeast, name) {
		return fmt.Sprintf("%d+", n)
	}
	return fmt.Sprint(n)
}

func ageText(q wire.Queue) string {
	if q.OldestAt.IsZero() {
		return "-"
	}
	return time.Duration(q.OldestAge * float64(time.Second)).Round(100 * time.Millisecond).String()
}

func (r *remote) setPaused(cmd *cobra.Command, name string, paused bool) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	change, word := c.ResumeQueue, "resumed"
	if paused {
		change, word = c.PauseQueue, "paused"
	}
	if err := change(cmd.Context(), name); err != nil {
		return err
	}
	return r.print(func(w io.Writer) error { _, err := fmt.Fprintln(w, name, word); return err }, wire.QueueState{Name: name, Paused: paused})
}
