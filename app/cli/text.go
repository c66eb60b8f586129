package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/app"
)

func stateText(job *wire.Job) string {
	if job.CancelRequested && !job.Ended() {
		return job.State + " (cancelling)"
	}
	return job.State
}

func errorText(job *wire.Job) string {
	if job.Error == nil || job.State == wire.Succeeded {
		return ""
	}
	return job.Error.Code + ": " + job.Error.Message
}

func progressText(job *wire.Job) string {
	if job.Progress == nil || job.Ended() {
		return ""
	}
	return fmt.Sprintf("  %3.0f %%", 100**job.Progress)
}

// placeText says where a job stands that waits.
func placeText(p *wire.Place) string {
	text := fmt.Sprintf("%d before it in %s", p.Ahead, p.Queue)
	if p.AtLeast {
		text = "more than " + text
	}
	switch {
	case p.Paused:
		text += ", which is paused"
	case p.Estimate != nil:
		text += fmt.Sprintf(", about %v to go", time.Duration(*p.Estimate*float64(time.Second)).Round(100*time.Millisecond))
	}
	if !p.RunAt.IsZero() {
		text += ", not before " + p.RunAt.Local().Format(time.DateTime)
	}
	return text
}

// endedWell makes an error of a job that did not succeed.
func endedWell(job *wire.Job) error {
	if job.State == wire.Succeeded {
		return nil
	}
	err := fmt.Errorf("job %s %s", job.ID, job.State)
	if text := errorText(job); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return &app.ExitError{Code: 1, Err: err}
}

// showJob writes all that is known of a job.
func showJob(w io.Writer, job *wire.Job, attempts []wire.Attempt) error {
	err := table(w, func(line func(...any)) {
		line("job", job.ID)
		line("file", job.FileID)
		line("kind", job.Kind)
		line("queue", job.Queue)
		line("state", stateText(job)+progressText(job))
		line("attempt", fmt.Sprintf("%d of %d, lost with its worker %d times", job.Attempt, job.MaxAttempts, job.Losses))
		line("created", job.CreatedAt.Local().Format(time.DateTime))
		if !job.Ended() && job.State != wire.Running {
			line("runs at", job.RunAt.Local().Format(time.DateTime))
		}
		if !job.FinishedAt.IsZero() {
			line("finished", job.FinishedAt.Local().Format(time.DateTime))
		}
		if text := errorText(job); text != "" {
			line("error", text)
		}
		if job.ResultOf != uuid.Nil {
			line("result of", job.ResultOf)
		}
		if c := job.Children; c != nil {
			line("children", fmt.Sprintf("%d pending, %d running, %d succeeded, %d failed, %d cancelled",
				c.Pending, c.Running, c.Succeeded, c.Failed, c.Cancelled))
		}
		for _, a := range job.Artifacts {
			line("artifact", fmt.Sprintf("%s  %s  %d bytes", a.Name, a.MediaType, a.Size))
		}
	})
	if err != nil {
		return err
	}
	if len(attempts) > 0 {
		fmt.Fprintln(w)
		err = table(w, func(line func(...any)) {
			line("RUN", "WORKER", "STARTED", "TOOK", "OUTCOME", "ERROR")
			for _, a := range attempts {
				line(a.Run, a.Label, a.StartedAt.Local().Format(time.DateTime), tookText(a), outcomeText(a), attemptError(a))
			}
		})
		if err != nil {
			return err
		}
	}
	return showResult(w, job.Result)
}

func showResult(w io.Writer, result json.RawMessage) error {
	if len(result) == 0 {
		return nil
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, result, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", pretty.Bytes())
	return err
}

func tookText(a wire.Attempt) string {
	if a.FinishedAt.IsZero() {
		return "-"
	}
	return a.FinishedAt.Sub(a.StartedAt).Round(time.Millisecond).String()
}

func outcomeText(a wire.Attempt) string {
	if a.Outcome == "" {
		return "running"
	}
	return a.Outcome
}

func attemptError(a wire.Attempt) string {
	if a.Error == nil {
		return ""
	}
	return a.Error.Code + ": " + a.Error.Message
}
