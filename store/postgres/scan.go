package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// jobColumns are what jobScan reads of a row j of jobs. listColumns leave out the result: a page of
// results could be a thousand times the largest.
const (
	jobColumns  = withoutResult + `, j.result`
	listColumns = withoutResult + `, NULL::json`
)

const withoutResult = `j.id, j.tenant, j.file_id, j.parent_id, j.kind, j.kind_version, j.queue, j.params, j.params_hash, j.budget, j.fresh, j.result_of,
	j.state, j.generation, j.cancel_requested, j.failures, j.losses, j.drains, j.max_attempts, j.progress,
	j.run_at, j.created_at, j.started_at, j.finished_at, j.error_code, j.error_message`

// jobScan is a place to scan jobColumns to.
type jobScan struct {
	job           jobs.Job
	progress      *float32
	code, message zeronull.Text
}

func (s *jobScan) targets() []any {
	j := &s.job
	return []any{
		(*[16]byte)(&j.ID), (*string)(&j.Tenant), (*[16]byte)(&j.FileID), (*zeronull.UUID)(&j.ParentID),
		&j.Kind, &j.KindVersion, &j.Queue, (*[]byte)(&j.Params), (*hash)(&j.ParamsHash), &j.Budget, &j.Fresh, (*zeronull.UUID)(&j.ResultOf),
		(*string)(&j.State), &j.Generation, &j.CancelRequested, &j.Failures, &j.Losses, &j.Drains, &j.MaxAttempts, &s.progress,
		&j.RunAt, &j.CreatedAt, (*zeronull.Timestamptz)(&j.StartedAt), (*zeronull.Timestamptz)(&j.FinishedAt),
		&s.code, &s.message, (*[]byte)(&j.Result),
	}
}

// get returns the job that was scanned.
func (s *jobScan) get() jobs.Job {
	if s.progress != nil {
		s.job.Progress, s.job.ProgressKnown = float64(*s.progress), true
	}
	s.job.Error = jobError(s.code, s.message)
	return s.job
}

func jobError(code, message zeronull.Text) *jobs.Error {
	if code == "" {
		return nil
	}
	return &jobs.Error{Code: jobs.Code(code), Message: string(message)}
}

// scanJob reads a row of jobColumns.
func scanJob(row pgx.CollectableRow) (jobs.Job, error) {
	var s jobScan
	err := row.Scan(s.targets()...)
	return s.get(), err
}

// fileColumns are what fileScan reads of a row f of files, which may be the missing side of a join.
const fileColumns = `f.id, f.tenant, f.name, f.size, f.sha256, f.media_type, f.claimed_type, f.created_at, f.content, f.blob_key`

// fileScan is a place to scan fileColumns to.
type fileScan struct {
	id                                   zeronull.UUID
	tenant, name, mediaType, claimedType zeronull.Text
	size                                 zeronull.Int8
	sum                                  hash
	createdAt                            zeronull.Timestamptz
	content                              []byte
	blobKey                              zeronull.UUID
}

func (s *fileScan) targets() []any {
	return []any{&s.id, &s.tenant, &s.name, &s.size, &s.sum, &s.mediaType, &s.claimedType, &s.createdAt, &s.content, &s.blobKey}
}

func (s *fileScan) get() (jobs.File, store.Content) {
	return jobs.File{
		ID: uuid.UUID(s.id), Tenant: jobs.Tenant(s.tenant), Name: string(s.name), Size: int64(s.size), SHA256: s.sum,
		MediaType: string(s.mediaType), ClaimedType: string(s.claimedType), CreatedAt: time.Time(s.createdAt),
	}, store.Content{Inline: s.content, BlobKey: uuid.UUID(s.blobKey)}
}

// hash scans 32 bytes, or none, of which it stays zero.
type hash [32]byte

// ScanBytes implements pgtype.BytesScanner.
func (h *hash) ScanBytes(v []byte) error {
	if v != nil && len(v) != len(h) {
		return fmt.Errorf("a hash of %d bytes", len(v))
	}
	copy(h[:], v)
	return nil
}

// raw is JSON as a parameter: NULL when it is empty.
func raw(text json.RawMessage) []byte {
	if len(text) == 0 {
		return nil
	}
	return text
}

// ids are IDs as a parameter.
func ids(list []uuid.UUID) uuidArray {
	array := make(uuidArray, len(list))
	for i, id := range list {
		array[i] = id
	}
	return array
}

// scanID reads a row of one ID.
func scanID(row pgx.CollectableRow) (uuid.UUID, error) {
	var id uuid.UUID
	err := row.Scan((*[16]byte)(&id))
	return id, err
}
