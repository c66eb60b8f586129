package postgres

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// nilUUID stands for no blob in arrays, which nullif turns into NULL.
const nilUUID = `'00000000-0000-0000-0000-000000000000'::uuid`

// Two parts of what uploadRows.args gives to acceptSQL, and the names of what is in them. $1 are the
// files' IDs.
const (
	newFileArrays = `$2::text[], $3::bigint[], $4::bytea[], $5::text[], $6::text[], $7::bytea[], $8::uuid[]`
	newFile       = `name, size, sha256, media_type, claimed_type, content, blob_key`
	newJobArrays  = `$9::uuid[], $10::text[], $11::int[], $12::text[], $13::json[], $14::bytea[], $15::int[], $16::bool[], $17::timestamptz[], $23::json[], $24::bool[], $25::bytea[]`
	newJob        = `id, kind, kind_version, queue, params, params_hash, max_attempts, fail_with_children, run_at, budget, fresh, reuse_key`
)

// Arrays of what pgx has no plain slices for. An element of a byteArray that is nil is NULL.
type (
	uuidArray = pgtype.FlatArray[[16]byte]
	byteArray = pgtype.FlatArray[[]byte]
	timeArray = pgtype.FlatArray[pgtype.Timestamptz]
	textArray = pgtype.FlatArray[pgtype.Text]
)

// uploadRows are uploads as arrays, to be unnested: one place for each upload.
type uploadRows struct {
	fileIDs                         uuidArray
	names, mediaTypes, claimedTypes []string
	sizes                           []int64
	hashes, contents                byteArray
	blobKeys                        uuidArray

	jobIDs               uuidArray
	kinds, queues        []string
	versions, attempts   []int
	params, paramsHashes byteArray
	failWithChildren     []bool
	runAts               timeArray
	budgets              byteArray
	fresh                []bool
	reuseKeys            byteArray

	tenants []string
	parents uuidArray

	takers []taker
}

// taker is an upload whose job takes over the result of an earlier one, if there is any.
type taker struct {
	job uuid.UUID
	key []byte
}

// add adds uploads of a tenant, made by the given job or, with uuid.Nil, by nobody.
func (r *uploadRows) add(uploads []store.Upload, tenant string, parent uuid.UUID) {
	for i := range uploads {
		r.addFile(&uploads[i].File)
		r.addJob(&uploads[i].Job)
		r.addReuse(&uploads[i], jobs.Tenant(tenant))
		r.tenants = append(r.tenants, tenant)
		r.parents = append(r.parents, parent)
	}
}

func (r *uploadRows) addReuse(u *store.Upload, tenant jobs.Tenant) {
	key := u.ReuseKey(tenant)
	if u.Job.TakesOver() {
		r.takers = append(r.takers, taker{u.Job.ID, key})
	}
	r.fresh = append(r.fresh, u.Job.Fresh)
	r.reuseKeys = append(r.reuseKeys, key)
}

func (r *uploadRows) addFile(f *store.NewFile) {
	r.fileIDs = append(r.fileIDs, f.ID)
	r.names = append(r.names, f.Name)
	r.sizes = append(r.sizes, f.Size)
	r.hashes = append(r.hashes, f.SHA256[:])
	r.mediaTypes = append(r.mediaTypes, f.MediaType)
	r.claimedTypes = append(r.claimedTypes, f.ClaimedType)
	r.contents = append(r.contents, inline(f.Content, f.BlobKey))
	r.blobKeys = append(r.blobKeys, f.BlobKey)
}

func (r *uploadRows) addJob(j *store.NewJob) {
	r.jobIDs = append(r.jobIDs, j.ID)
	r.kinds = append(r.kinds, j.Kind)
	r.versions = append(r.versions, j.KindVersion)
	r.queues = append(r.queues, j.Queue)
	r.params = append(r.params, raw(j.Params))
	r.paramsHashes = append(r.paramsHashes, j.ParamsHash[:])
	r.attempts = append(r.attempts, j.MaxAttempts)
	r.failWithChildren = append(r.failWithChildren, j.FailWithChildren)
	r.runAts = append(r.runAts, pgtype.Timestamptz{Time: j.RunAt, Valid: !j.RunAt.IsZero()})
	r.budgets = append(r.budgets, j.BudgetJSON())
}

// inline gives the content that goes into a row: nil, for NULL, when it is a blob, and else never.
func inline(content []byte, blobKey [16]byte) []byte {
	switch {
	case blobKey != [16]byte{}:
		return nil
	case content == nil:
		return []byte{}
	}
	return content
}

// args are the arguments of acceptSQL.
func (r *uploadRows) args(writer int32) []any {
	queues, arrived := r.arrivals()
	return []any{
		r.fileIDs, r.names, r.sizes, r.hashes, r.mediaTypes, r.claimedTypes, r.contents, r.blobKeys,
		r.jobIDs, r.kinds, r.versions, r.queues, r.params, r.paramsHashes, r.attempts, r.failWithChildren, r.runAts,
		r.tenants, r.parents, queues, arrived, writer, r.budgets, r.fresh, r.reuseKeys,
	}
}

// arrivals counts the jobs of each queue.
func (r *uploadRows) arrivals() (queues []string, counts []int64) {
	byQueue := make(map[string]int64)
	for _, queue := range r.queues {
		byQueue[queue]++
	}
	queues = slices.Sorted(maps.Keys(byQueue))
	for _, queue := range queues {
		counts = append(counts, byQueue[queue])
	}
	return queues, counts
}

// weigh gives the bytes that uploads bring into a statement, roughly.
func weigh(uploads []store.Upload) int {
	const row = 1 << 10
	sum := 0
	for i := range uploads {
		sum += row + len(uploads[i].File.Content) + len(uploads[i].Job.Params)
	}
	return sum
}

// stale reports whether the blob of an upload was stored too long ago.
func stale(uploads []store.Upload) bool {
	return slices.ContainsFunc(uploads, func(u store.Upload) bool {
		return tooOld(u.File.BlobKey, u.File.StoredAt)
	})
}

func tooOld(blobKey [16]byte, storedAt time.Time) bool {
	return blobKey != [16]byte{} && time.Since(storedAt) >= store.MaxBlobAge
}
