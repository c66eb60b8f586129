package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/client"
)

func (r *remote) jobsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "jobs", Short: "List, show, watch, cancel and retry jobs"}
	cmd.AddCommand(r.listCommand(), r.showCommand(), r.watchCommand(), r.changeCommand("cancel"), r.changeCommand("retry"))
	return cmd
}

// filterFlags adds the flags of a filter and returns how to read it.
func filterFlags(cmd *cobra.Command) func() (client.Filter, error) {
	var f client.Filter
	var file, parent string
	flags := cmd.Flags()
	flags.StringVar(&f.State, "state", "", "only jobs in this state")
	flags.StringVar(&f.Kind, "kind", "", "only jobs of this kind")
	flags.StringVar(&f.Queue, "queue", "", "only jobs of this queue")
	flags.StringVar(&file, "file", "", "only jobs on the file with this ID")
	flags.StringVar(&parent, "parent", "", "only jobs that the job with this ID spawned")
	return func() (client.Filter, error) {
		for text, id := range map[string]*uuid.UUID{file: &f.FileID, parent: &f.ParentID} {
			if text == "" {
				continue
			}
			parsed, err := uuid.Parse(text)
			if err != nil {
				return f, usage("%q is not an ID", text)
			}
			*id = parsed
		}
		return f, nil
	}
}

func (r *remote) listCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List jobs, newest first", Args: cobra.NoArgs}
	filter := filterFlags(cmd)
	limit := cmd.Flags().Int("limit", 50, "how many at most; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := r.client()
		if err != nil {
			return err
		}
		f, err := filter()
		if err != nil {
			return err
		}
		if r.json {
			return r.listJSON(cmd, c, f, *limit)
		}
		var listErr error
		err = table(r.env.Stdout, func(line func(...any)) {
			line("ID", "STATE", "KIND", "QUEUE", "ATTEMPT", "AGE", "ERROR")
			listErr = eachJob(cmd, c, f, *limit, func(job *wire.Job) error {
				line(job.ID, stateText(job), job.Kind, job.Queue, fmt.Sprintf("%d/%d", job.Attempt, job.MaxAttempts),
					time.Since(job.CreatedAt).Round(time.Second), errorText(job))
				return nil
			})
		})
		return errors.Join(err, listErr)
	}
	return cmd
}

func (r *remote) listJSON(cmd *cobra.Command, c *client.Client, f client.Filter, limit int) error {
	return eachJob(cmd, c, f, limit, func(job *wire.Job) error { return r.print(nil, job) })
}

// eachJob calls do for the jobs that fit, up to limit.
func eachJob(cmd *cobra.Command, c *client.Client, f client.Filter, limit int, do func(*wire.Job) error) error {
	n := 0
	for job, err := range c.Jobs(cmd.Context(), f) {
		if err == nil {
			err = do(&job)
		}
		if err != nil {
			return err
		}
		if n++; n == limit {
			return nil
		}
	}
	return nil
}

func (r *remote) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a job, its result and its attempts", Args: oneArg("a job's ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := r.clientAndID(args[0])
			if err != nil {
				return err
			}
			job, err := c.Job(cmd.Context(), id)
			if err != nil {
				return err
			}
			if r.json {
				return r.print(nil, job)
			}
			attempts, err := c.Attempts(cmd.Context(), id)
			if err != nil {
				return err
			}
			return showJob(r.env.Stdout, job, attempts)
		},
	}
}

func (r *remote) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use: "watch ID", Short: "Follow a job until it ends; the exit code is 1 unless it succeeds", Args: oneArg("a job's ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := r.clientAndID(args[0])
			if err != nil {
				return err
			}
			job, err := r.watch(cmd, c, id)
			if err != nil {
				return err
			}
			return endedWell(job)
		},
	}
}

// watch prints a line for each change of the job until it ends.
func (r *remote) watch(cmd *cobra.Command, c *client.Client, id uuid.UUID) (*wire.Job, error) {
	last := ""
	var printErr error
	job, err := c.WaitJob(cmd.Context(), id, client.WaitOptions{Look: func(job *wire.Job) {
		text := fmt.Sprintf("%s  %-9s  attempt %d/%d%s", job.ID, stateText(job), job.Attempt, job.MaxAttempts, progressText(job))
		if text == last {
			return
		}
		last = text
		if err := r.print(func(w io.Writer) error { _, err := fmt.Fprintln(w, text); return err }, job); err != nil {
			printErr = err
		}
	}, Place: func(place *wire.Place) {
		if r.json {
			return // lines of JSON are jobs
		}
		if _, err := fmt.Fprintf(r.env.Stdout, "%s  waits      %s\n", id, placeText(place)); err != nil {
			printErr = err
		}
	}})
	if err == nil {
		err = printErr
	}
	return job, err
}

func (r *remote) changeCommand(what string) *cobra.Command {
	short := map[string]string{
		"cancel": "Cancel a job, or all that fit the flags; running ones are asked to stop",
		"retry":  "Run a failed or cancelled job again, or all that fit the flags",
	}[what]
	cmd := &cobra.Command{Use: what + " [ID]", Short: short, Args: cobra.MaximumNArgs(1)}
	filter := filterFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := r.client()
		if err != nil {
			return err
		}
		f, err := filter()
		if err != nil {
			return err
		}
		if len(args) == 1 {
			if f != (client.Filter{}) {
				return usage("give an ID or flags that choose jobs, not both")
			}
			return r.changeOne(cmd, c, what, args[0])
		}
		all := c.CancelJobs
		if what == "retry" {
			all = c.RetryJobs
		}
		n, err := all(cmd.Context(), f)
		if err != nil {
			return err
		}
		return r.print(func(w io.Writer) error { _, err := fmt.Fprintf(w, "%d jobs\n", n); return err }, map[string]int{"changed": n})
	}
	return cmd
}

func (r *remote) changeOne(cmd *cobra.Command, c *client.Client, what, text string) error {
	id, err := parseID(text)
	if err != nil {
		return err
	}
	change := c.Cancel
	if what == "retry" {
		change = c.Retry
	}
	job, err := change(cmd.Context(), id)
	if err != nil {
		return err
	}
	return r.print(func(w io.Writer) error { _, err := fmt.Fprintln(w, job.ID, stateText(job)); return err }, job)
}

func (r *remote) clientAndID(text string) (*client.Client, uuid.UUID, error) {
	id, err := parseID(text)
	if err != nil {
		return nil, id, err
	}
	c, err := r.client()
	return c, id, err
}
