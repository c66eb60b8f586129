// Package archive is the kind of work that takes archives apart: each file in one becomes a file of
// its own and a job on it, a child of the archive's. An archive in an archive is such a file, and is
// taken apart by its own job, so that how deep that goes is the worker's to bound.
//
// Names in an archive never become paths: no file of a run has a name but the one that the store
// gives it. Links and devices are refused, and so are names that lead outside; the result lists
// them. Entries go from the archive into the store as streams; what a run keeps in memory is bounded
// by the constants here and by the number of entries.
//
// It imports jobs, jobs/sniff, jobs/spec and jobs/zipdir, and nothing else of Leat.
package archive

import (
	"context"
	"errors"
	"io"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/sniff"
	"github.com/leat-dev/leat/jobs/spec"
)

// Result is what the handler answers. Each entry is counted once more: as spawned, skipped, refused,
// or a folder.
type Result struct {
	// Format is "zip", "7z", "tar", "gzip", "bzip2", "xz" or "zstd", and for a compressed tar archive
	// "tar.gz", "tar.bz2", "tar.xz" or "tar.zst".
	Format  string `json:"format"`
	Entries int64  `json:"entries"` // whatever they are
	Spawned int64  `json:"spawned"` // files that became jobs
	Folders int64  `json:"folders"`
	Skipped int64  `json:"skipped"` // files that the parameters left out
	Bytes   int64  `json:"bytes"`   // of the files that became jobs
	// Files lists the first files that became jobs, at most 1,000.
	Files []File `json:"files"`
	// Refused lists the first entries that were refused, at most 1,000; RefusedCount counts all.
	Refused      []Refusal `json:"refused"`
	RefusedCount int64     `json:"refused_count"`
}

// File is one that became a job.
type File struct {
	Path string `json:"path"` // in the archive, cleaned
	Name string `json:"name"` // of the file that was made, different for each
	Size int64  `json:"size"` // bytes
}

// Refusal is an entry that was not taken.
type Refusal struct {
	Path   string `json:"path"` // as the archive has it, at most 255 bytes, made printable
	Reason Reason `json:"reason"`
}

// New returns the handler of the kind archive.
func New() jobs.Handler { return &handler{limits: defaultLimits()} }

type handler struct{ limits limits }

// Handle answers with a *Result. It fails for good when the file is not an archive that it knows, is
// damaged, cut short or encrypted, or goes beyond a limit; an error in reading the file is tried
// again.
func (h *handler) Handle(ctx context.Context, run *jobs.Run) (any, error) {
	params, err := jobs.DecodeParams[spec.ArchiveParams](run)
	if err != nil {
		return nil, err
	}
	if err := params.Validate(); err != nil {
		return nil, jobs.Fail(jobs.CodeInvalidParams, "%v", err)
	}
	src := &source{ctx: ctx, input: run.Input, report: run.Progress}
	head := make([]byte, sniff.Limit)
	n, err := src.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	format := formatOf(head[:n])
	if format == nil {
		return nil, jobs.Fail(jobs.CodeUnsupported, "a file of type %s is no archive that can be taken apart", sniff.Type(head[:n], run.File.Name))
	}
	t := newTaker(run, src, params, h.limits)
	t.result.Format = format.name
	if err := format.read(t); err != nil {
		return nil, src.judge(err)
	}
	if t.locked && t.result.Spawned == 0 {
		return nil, jobs.Fail(jobs.CodeEncrypted, "the files in the archive are encrypted")
	}
	return t.result, nil
}
