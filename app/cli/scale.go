package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/client"
	"github.com/leat-dev/leat/scale"
)

func (r *remote) scaleCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "scale", Short: "See, explain and steer how many workers there are"}
	var target string
	cmd.PersistentFlags().StringVar(&target, "target", "", "which fleet; may be left out where there is one")
	long := cobra.Command{Use: "pin N", Short: "Fix the number of replicas for a time; it beats every policy but the maximum", Args: oneArg("a number")}
	duration := long.Flags().Duration("for", time.Hour, "how long")
	long.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 0 {
			return usage("%q is not a number of replicas", args[0])
		}
		return r.steer(cmd, target, func(c *client.Client, name string) (*wire.ScalingCommand, error) {
			return c.PinScaling(cmd.Context(), name, n, *duration)
		})
	}
	explain := cobra.Command{Use: "explain", Short: "Tell why there are as many workers as there are, decision by decision", Args: cobra.NoArgs}
	limit := explain.Flags().Int("limit", 1, "how many decisions, latest first")
	explain.RunE = func(cmd *cobra.Command, _ []string) error { return r.explainScaling(cmd, target, *limit) }
	cmd.AddCommand(
		&cobra.Command{
			Use: "status", Short: "List the fleets, with their size and the latest decision", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return r.scalingStatus(cmd) },
		},
		&explain, r.simulateCommand(), &long,
		r.steering("unpin", "Leave the number to the policies again", &target, (*client.Client).UnpinScaling),
		r.steering("pause", "Keep the number as it is until resumed", &target, (*client.Client).PauseScaling),
		r.steering("resume", "Let the policies decide again", &target, (*client.Client).ResumeScaling),
	)
	return cmd
}

type steering func(*client.Client, context.Context, string) (*wire.ScalingCommand, error)

func (r *remote) steering(use, short string, target *string, do steering) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.steer(cmd, *target, func(c *client.Client, name string) (*wire.ScalingCommand, error) {
				return do(c, cmd.Context(), name)
			})
		},
	}
}

// steer finds the target, does something with it, and prints how it stands then.
func (r *remote) steer(cmd *cobra.Command, target string, do func(*client.Client, string) (*wire.ScalingCommand, error)) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	if target == "" {
		if target, err = onlyTarget(cmd, c); err != nil {
			return err
		}
	}
	state, err := do(c, target)
	if err != nil {
		return err
	}
	return r.print(func(w io.Writer) error {
		_, err := fmt.Fprintln(w, state.Target, commandText(state.Paused, state.Pin))
		return err
	}, state)
}

// onlyTarget names the one fleet that there is.
func onlyTarget(cmd *cobra.Command, c *client.Client) (string, error) {
	targets, err := c.Scaling(cmd.Context())
	if err != nil {
		return "", err
	}
	switch len(targets) {
	case 0:
		return "", errors.New("no scaler has decided anything yet: is one running?")
	case 1:
		return targets[0].Name, nil
	}
	return "", usage("there are several fleets: name one with --target")
}

func commandText(paused bool, pin *wire.ScalingPin) string {
	switch {
	case pin != nil:
		return fmt.Sprintf("pinned to %d until %s", pin.Replicas, pin.Until.Local().Format(time.DateTime))
	case paused:
		return "paused"
	}
	return "scales by its policies"
}

func (r *remote) scalingStatus(cmd *cobra.Command) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	targets, err := c.Scaling(cmd.Context())
	if err != nil {
		return err
	}
	if r.json {
		for _, t := range targets {
			if err := r.print(nil, t); err != nil {
				return err
			}
		}
		return nil
	}
	return table(r.env.Stdout, func(line func(...any)) {
		line("TARGET", "REPLICAS", "WANTED", "RULE", "OUTCOME", "SEEN", "")
		for _, t := range targets {
			if t.Latest == nil {
				line(t.Name, "-", "-", "-", "-", "-", commandText(t.Paused, t.Pin))
				continue
			}
			line(t.Name, t.Latest.Current, t.Latest.Replicas, t.Latest.Rule, t.Latest.Outcome,
				time.Since(t.Latest.Until).Round(time.Second).String()+" ago", commandText(t.Paused, t.Pin))
		}
	})
}

// explainScaling prints decisions in full.
func (r *remote) explainScaling(cmd *cobra.Command, target string, limit int) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	if target == "" {
		if target, err = onlyTarget(cmd, c); err != nil {
			return err
		}
	}
	for cursor := ""; limit > 0; {
		page, err := c.ScalingDecisions(cmd.Context(), target, min(limit, 100), cursor)
		if err != nil {
			return err
		}
		for i := range page.Decisions {
			d := &page.Decisions[i]
			if err := r.print(func(w io.Writer) error { return explain(w, d) }, d); err != nil {
				return err
			}
		}
		limit -= len(page.Decisions)
		if cursor = page.NextCursor; cursor == "" {
			return nil
		}
	}
	return nil
}

// explain tells of one decision: what was asked for, and what became of it.
func explain(w io.Writer, d *wire.ScalingDecision) error {
	var detail struct {
		Decision    scale.Decision    `json:"decision"`
		Observation scale.Observation `json:"observation"`
		Leaving     []string          `json:"leaving"`
		Error       string            `json:"error"`
	}
	if err := json.Unmarshal(d.Detail, &detail); err != nil {
		return fmt.Errorf("decision %s: %w", d.ID, err)
	}
	p := &printer{w: w}
	p.line("%s  %d -> %d replicas, by %s, %s", d.At.Local().Format(time.DateTime), d.Current, d.Replicas, d.Rule, d.Outcome)
	if d.Until.After(d.At) {
		p.line("  the same until %s", d.Until.Local().Format(time.DateTime))
	}
	p.line("  %s", detail.Decision.Why)
	if detail.Error != "" {
		p.line("  error: %s", detail.Error)
	}
	f := detail.Observation.Fleet
	p.line("  fleet: %d workers, %d of them idle, %d about to start", f.Alive(), f.Idle(), max(f.Replicas-f.Alive(), 0))
	for _, q := range detail.Observation.Queues {
		paused := ""
		if q.Paused {
			paused = ", paused"
		}
		p.line("  queue %s: %d ready, oldest %v, %d running%s", q.Name, q.Ready, q.Age.Round(time.Millisecond), q.Running, paused)
	}
	for _, a := range detail.Decision.Answers {
		most := "at least"
		if a.Ceiling {
			most = "at most"
		}
		p.line("  %-9s %s %d: %s", a.Rule, most, a.Replicas, a.Why)
	}
	for _, s := range detail.Decision.Steps {
		p.line("  %-9s %d -> %d: %s", s.Rule, s.From, s.To, s.Why)
	}
	if len(detail.Leaving) > 0 {
		p.line("  being emptied: %v", detail.Leaving)
	}
	return p.err
}

// printer keeps the first error of many lines.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
