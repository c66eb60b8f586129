package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

const (
	progressEvery = time.Second
	// inlineArtifact is up to which size, in bytes, an artifact lies in the store itself.
	inlineArtifact = 16 << 10
)

// recorder is what a handler is given to tell of its run before it ends.
type recorder struct {
	worker *Worker
	job    uuid.UUID
	queue  string // of the job
	fresh  bool   // the job is, and so are its children
	claim  uuid.UUID
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	progress  float64
	news      bool // progress that the store has not been told of
	names     map[string]bool
	artifacts []store.NewArtifact
	budget    jobs.Budget // what is left of it
	children  []store.Upload
	closed    bool
}

func newRecorder(w *Worker, job *jobs.Job, claim uuid.UUID, cancel context.CancelCauseFunc) *recorder {
	budget := jobs.DefaultBudget(time.Now())
	if job.Budget != nil {
		budget = *job.Budget
	}
	return &recorder{worker: w, job: job.ID, queue: job.Queue, fresh: job.Fresh, claim: claim, cancel: cancel, names: map[string]bool{}, budget: budget}
}

// Progress implements jobs.Recorder.
func (r *recorder) Progress(fraction float64) {
	if !(fraction >= 0) { // NaN too
		fraction = 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if fraction = min(fraction, 1); fraction != r.progress {
		r.progress, r.news = fraction, true
	}
}

// Artifact implements jobs.Recorder. The store knows of the object before its first byte is
// written, so that the sweep of orphans leaves it to the run.
func (r *recorder) Artifact(ctx context.Context, name, mediaType string, content io.Reader) (jobs.Artifact, error) {
	if err := jobs.CheckArtifactName(name); err != nil {
		return jobs.Artifact{}, err
	}
	if err := r.reserve(name); err != nil {
		return jobs.Artifact{}, err
	}
	kept, err := r.keep(ctx, content)
	if err != nil {
		return jobs.Artifact{}, fmt.Errorf("artifact %q: %w", name, err)
	}
	made := store.NewArtifact{
		Artifact: jobs.Artifact{Name: name, MediaType: mediaType, Size: kept.size, SHA256: kept.sha256},
		Content:  kept.content, BlobKey: kept.blobKey, StoredAt: kept.storedAt,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return jobs.Artifact{}, fmt.Errorf("artifact %q came after the run had ended", name)
	}
	r.artifacts = append(r.artifacts, made)
	return made.Artifact, nil
}

// reserve takes a name, which is unique within a job.
func (r *recorder) reserve(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names[name] {
		return fmt.Errorf("artifact %q is there already", name)
	}
	r.names[name] = true
	return nil
}

// kept is bytes that a run made: in content until the run's end is recorded when they are few, and
// else durable as a blob.
type kept struct {
	content  []byte
	blobKey  uuid.UUID
	storedAt time.Time
	head     []byte // the first of them, as far as they were looked at
	size     int64
	sha256   [32]byte
}

// keep reads content to its end.
func (r *recorder) keep(ctx context.Context, content io.Reader) (kept, error) {
	head, err := io.ReadAll(io.LimitReader(content, inlineArtifact+1))
	if err != nil {
		return kept{}, fmt.Errorf("read: %w", err)
	}
	if len(head) <= inlineArtifact {
		return kept{content: head, head: head, size: int64(len(head)), sha256: sha256.Sum256(head)}, nil
	}
	key := jobs.NewID()
	err = r.worker.untilAnswered(ctx, "hold a blob", func(ctx context.Context) error {
		return r.worker.store.HoldBlob(ctx, r.job, r.claim, key)
	})
	if errors.Is(err, store.ErrClaimLost) {
		r.cancel(errLost)
	}
	if err != nil {
		return kept{}, fmt.Errorf("store: %w", err)
	}
	info, err := r.worker.blobs.Put(ctx, blob.Key(key), io.MultiReader(bytes.NewReader(head), content))
	if err != nil {
		return kept{}, fmt.Errorf("store: %w", err)
	}
	return kept{blobKey: key, storedAt: time.Now(), head: head, size: info.Size, sha256: info.SHA256}, nil
}

// close refuses further artifacts and children, and returns those that were made.
func (r *recorder) close() ([]store.NewArtifact, []store.Upload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	share := r.budget.Share(len(r.children))
	for i := range r.children {
		r.children[i].Job.Budget = &share
	}
	return r.artifacts, r.children
}

// takeNews returns progress that the store has not been told of.
func (r *recorder) takeNews() (float64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	news := r.news
	r.news = false
	return r.progress, news
}

// sendProgress tells the store about all runs' progress together, once a second, until ctx ends.
func (w *Worker) sendProgress(ctx context.Context) {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var news []store.RunProgress
		w.tally(func() {
			for claim, run := range w.runs {
				if p, ok := run.recorder.takeNews(); ok {
					news = append(news, store.RunProgress{JobID: run.job, Claim: claim, Progress: p})
				}
			}
		})
		if len(news) == 0 {
			continue
		}
		lost, err := w.store.Progress(ctx, news)
		if err != nil {
			w.log.DebugContext(ctx, "progress was not recorded", "error", err)
		}
		w.cancelRuns(lost, errLost)
	}
}
