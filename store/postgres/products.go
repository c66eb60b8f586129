package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/store"
)

// bringsMore reports whether an end has artifacts or children to store.
func bringsMore(end store.RunEnd) bool { return len(end.Artifacts) > 0 || len(end.Children) > 0 }

func staleEnd(end *store.RunEnd) bool {
	for i := range end.Artifacts {
		if tooOld(end.Artifacts[i].BlobKey, end.Artifacts[i].StoredAt) {
			return true
		}
	}
	return stale(end.Children)
}

func childQueues(ends []store.RunEnd) []string {
	var queues []string
	for i := range ends {
		for j := range ends[i].Children {
			queues = append(queues, ends[i].Children[j].Job.Queue)
		}
	}
	return queues
}

// addProducts stores the artifacts and the children of the runs that have been ended. Children that
// can take over the results of earlier jobs do.
func addProducts(ctx context.Context, tx pgx.Tx, ends []store.RunEnd, done []ended, writer int32) error {
	var (
		artifacts artifactRows
		children  uploadRows
	)
	for _, d := range done {
		end := &ends[d.place]
		artifacts.add(end)
		children.add(end.Children, d.tenant, end.JobID)
	}
	if len(artifacts.names) > 0 {
		if _, err := tx.Exec(ctx, artifactSQL, artifacts.args()...); err != nil {
			return err
		}
	}
	if len(children.jobIDs) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, acceptSQL, children.args(writer)...); err != nil || len(children.takers) == 0 {
		return err
	}
	pairs, err := children.findTwins(ctx, tx)
	if err != nil || len(pairs) == 0 {
		return err
	}
	_, err = takeOver(ctx, tx, pairs, writer)
	return err
}

// artifactSQL inserts artifacts, one for each place of the arrays, and makes those blobs theirs
// that their runs had held.
//
// $1 jobs, $2 names, $3 media types, $4 sizes, $5 hashes, $6 contents, $7 keys of blobs.
const artifactSQL = `
WITH blob AS (
	INSERT INTO blobs (key) SELECT key FROM unnest($7::uuid[]) b (key) WHERE key <> ` + nilUUID + `
	ON CONFLICT (key) DO UPDATE SET held_job = NULL, held_claim = NULL
)
INSERT INTO artifacts (job_id, name, media_type, size, sha256, content, blob_key)
SELECT job_id, name, media_type, size, sha256, content, nullif(blob_key, ` + nilUUID + `)
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::bytea[], $7::uuid[])
	a (job_id, name, media_type, size, sha256, content, blob_key)`

// artifactRows are artifacts as arrays, to be unnested.
type artifactRows struct {
	jobIDs            uuidArray
	names, mediaTypes []string
	sizes             []int64
	hashes, contents  byteArray
	blobKeys          uuidArray
}

func (r *artifactRows) add(end *store.RunEnd) {
	for i := range end.Artifacts {
		a := &end.Artifacts[i]
		r.jobIDs = append(r.jobIDs, end.JobID)
		r.names = append(r.names, a.Name)
		r.mediaTypes = append(r.mediaTypes, a.MediaType)
		r.sizes = append(r.sizes, a.Size)
		r.hashes = append(r.hashes, a.SHA256[:])
		r.contents = append(r.contents, inline(a.Content, a.BlobKey))
		r.blobKeys = append(r.blobKeys, a.BlobKey)
	}
}

func (r *artifactRows) args() []any {
	return []any{r.jobIDs, r.names, r.mediaTypes, r.sizes, r.hashes, r.contents, r.blobKeys}
}
