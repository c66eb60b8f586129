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
	claim  uuid.UUID
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	progress  float64
	news      bool // progress that the store has not been told of
	names     map[string]bool
	artifacts []store.NewArtifact
	closed    bool
}

func newRecorder(w *Worker, job, claim uuid.UUID, cancel context.CancelCauseFunc) *recorder {
	return &recorder{worker: w, job: job, claim: claim, cancel: cancel, names: map[string]bool{}}
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
	head, err := io.ReadAll(io.LimitReader(content, inlineArtifact+1))
	if err != nil {
		return jobs.Artifact{}, fmt.Errorf("read artifact %q: %w", name, err)
	}
	made := store.NewArtifact{Artifact: jobs.Artifact{Name: name, MediaType: mediaType}}
	if len(head) <= inlineArtifact {
		made.Content, made.Size, made.SHA256 = head, int64(len(head)), sha256.Sum256(head)
	} else if err := r.put(ctx, &made, io.MultiReader(bytes.NewReader(head), content)); err != nil {
		return jobs.Artifact{}, fmt.Errorf("store artifact %q: %w", name, err)
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

func (r *recorder) put(ctx context.Context, made *store.NewArtifact, content io.Reader) error {
	made.BlobKey = jobs.NewID()
	err := r.worker.untilAnswered(ctx, "hold a blob", func(ctx context.Context) error {
		return r.worker.store.HoldBlob(ctx, r.job, r.claim, made.BlobKey)
	})
	if errors.Is(err, store.ErrClaimLost) {
		r.cancel(errLost)
	}
	if err != nil {
		return err
	}
	info, err := r.worker.blobs.Put(ctx, blob.Key(made.BlobKey), content)
	if err != nil {
		return err
	}
	made.Size, made.SHA256, made.StoredAt = info.Size, info.SHA256, time.Now()
	return nil
}

// close refuses further artifacts and returns those that were made.
func (r *recorder) close() []store.NewArtifact {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.artifacts
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
