package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/sniff"
	"github.com/leat-dev/leat/store"
)

// Spawn implements jobs.Recorder. A child is committed with the end of the run, so that one which is
// repeated leaves nothing twice.
func (r *recorder) Spawn(ctx context.Context, child jobs.Child, content io.Reader) error {
	name := jobs.CleanName(child.Name)
	left, err := r.beginSpawn()
	if err != nil {
		return err
	}
	kept, err := r.keep(ctx, &bounded{content, left})
	if err != nil {
		return fmt.Errorf("file %q: %w", name, err)
	}
	file := store.NewFile{
		ID: jobs.NewID(), Name: name, Size: kept.size, SHA256: kept.sha256,
		MediaType: sniff.Type(kept.head[:min(len(kept.head), sniff.Limit)], name),
		Content:   kept.content, BlobKey: kept.blobKey, StoredAt: kept.storedAt,
	}
	job, err := r.childJob(child, &file)
	if err != nil {
		return fmt.Errorf("file %q: %w", name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("a job was spawned after the run had ended")
	}
	if err := r.budget.Write(file.Size); err != nil {
		return err
	}
	r.children = append(r.children, store.Upload{File: file, Job: job})
	return nil
}

// beginSpawn takes a job off the budget, and tells how many bytes are left.
func (r *recorder) beginSpawn() (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.budget.Spawn(time.Now())
	return r.budget.Bytes, err
}

// childJob makes the job on a file. It waits where its parent has: a worker that takes
// that queue is there. If the parent is fresh, it is too.
func (r *recorder) childJob(child jobs.Child, file *store.NewFile) (store.NewJob, error) {
	specs := r.worker.kinds.Specs
	spec := specs.Route(sniff.Routes(file.MediaType, file.Name)...)
	if child.Kind != "" && child.Kind != jobs.Auto {
		var known bool
		if spec, known = specs.Get(child.Kind); !known {
			return store.NewJob{}, jobs.Fail(jobs.CodeInvalidParams, "there is no kind %q", jobs.CleanName(child.Kind))
		}
	}
	params, hash, err := spec.Canonical(child.Params)
	if err != nil {
		return store.NewJob{}, jobs.Fail(jobs.CodeInvalidParams, "for a child of kind %q: %v", spec.Name, err)
	}
	job := store.JobOf(&spec, params, hash)
	job.Queue, job.Fresh = r.queue, r.fresh
	return job, nil
}

// bounded reads no more than so many bytes; more are a permanent error.
type bounded struct {
	io.Reader
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.left -= int64(n); b.left < 0 {
		budget := jobs.Budget{}
		return 0, budget.Write(1)
	}
	return n, err
}
