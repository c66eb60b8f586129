package api

import (
	"encoding/hex"
	"math"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func jobPath(id uuid.UUID) string  { return "/v1/jobs/" + id.String() }
func filePath(id uuid.UUID) string { return "/v1/files/" + id.String() + "/content" }

func artifactPath(job uuid.UUID, name string) string {
	return jobPath(job) + "/artifacts/" + url.PathEscape(name)
}

func wireUpload(u *store.Upload, resultOf uuid.UUID) wire.Upload {
	status := wire.StatusProcessing
	if resultOf != uuid.Nil {
		status = wire.StatusSucceeded
	}
	return wire.Upload{
		Status:    status,
		ResultOf:  resultOf,
		FileID:    u.File.ID,
		JobID:     u.Job.ID,
		Size:      u.File.Size,
		SHA256:    hex.EncodeToString(u.File.SHA256[:]),
		MediaType: u.File.MediaType,
	}
}

func wireJob(j *jobs.Job) wire.Job {
	out := wire.Job{
		ID:              j.ID,
		FileID:          j.FileID,
		ParentID:        j.ParentID,
		ResultOf:        j.ResultOf,
		Kind:            j.Kind,
		Queue:           j.Queue,
		State:           string(j.State),
		CancelRequested: j.CancelRequested,
		Attempt:         j.Attempt(),
		MaxAttempts:     j.MaxAttempts,
		Losses:          j.Losses,
		RunAt:           inUTC(j.RunAt),
		CreatedAt:       inUTC(j.CreatedAt),
		StartedAt:       inUTC(j.StartedAt),
		FinishedAt:      inUTC(j.FinishedAt),
		Error:           wireError(j.Error),
		Result:          j.Result,
	}
	switch {
	case j.State == jobs.Succeeded:
		out.Progress = new(1.0)
	case j.ProgressKnown:
		out.Progress = new(j.Progress)
	}
	for _, art := range j.Artifacts {
		out.Artifacts = append(out.Artifacts, wire.Artifact{
			Name:      art.Name,
			MediaType: art.MediaType,
			Size:      art.Size,
			SHA256:    hex.EncodeToString(art.SHA256[:]),
			URL:       artifactPath(j.ID, art.Name),
		})
	}
	if j.Children.Total() > 0 {
		out.Children = new(wire.Children(j.Children))
	}
	return out
}

func wireError(e *jobs.Error) *wire.JobError {
	if e == nil {
		return nil
	}
	return &wire.JobError{Code: string(e.Code), Message: e.Message}
}

func wireAttempt(at *jobs.Attempt) wire.Attempt {
	return wire.Attempt{
		Run:        at.Run,
		Worker:     at.Worker,
		Label:      at.Label,
		StartedAt:  inUTC(at.StartedAt),
		FinishedAt: inUTC(at.FinishedAt),
		Outcome:    string(at.Outcome),
		Error:      wireError(at.Error),
	}
}

func wireFile(f *jobs.File) wire.File {
	return wire.File{
		ID:          f.ID,
		Name:        f.Name,
		Size:        f.Size,
		SHA256:      hex.EncodeToString(f.SHA256[:]),
		MediaType:   f.MediaType,
		ClaimedType: f.ClaimedType,
		CreatedAt:   inUTC(f.CreatedAt),
		URL:         filePath(f.ID),
	}
}

func wireQueue(q *store.QueueStats) wire.Queue {
	depth := wire.Depth{Ready: q.Ready.N, Later: q.Later.N, Running: q.Running.N, Waiting: q.Waiting.N}
	for _, c := range []struct {
		name  string
		count store.Count
	}{{"ready", q.Ready}, {"later", q.Later}, {"running", q.Running}, {"waiting", q.Waiting}} {
		if c.count.AtLeast {
			depth.AtLeast = append(depth.AtLeast, c.name)
		}
	}
	return wire.Queue{
		Name:      q.Name,
		Paused:    q.Paused,
		Depth:     depth,
		OldestAt:  inUTC(q.OldestAt),
		OldestAge: q.Age.Seconds(),
	}
}

// inUTC keeps the zero time zero, so that it stays absent.
func inUTC(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

func wireEvent(e *store.Event) wire.Event {
	return wire.Event{JobID: e.JobID, Seq: e.Seq, Type: string(e.Type), At: e.At.UTC(), Data: e.Data}
}

func wirePlace(p *store.Place, now time.Time) wire.Place {
	place := wire.Place{Queue: p.Queue, Ahead: p.Ahead.N, AtLeast: p.Ahead.AtLeast, Paused: p.Paused}
	if !p.Due {
		place.RunAt = p.RunAt.UTC()
	}
	if estimate, known := p.Estimate(now); known {
		seconds := math.Round(estimate.Seconds()*10) / 10
		place.Estimate = &seconds
	}
	return place
}
