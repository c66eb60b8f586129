package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// transferColumns are what scanTransfer reads of a row t of transfers.
const transferColumns = `t.id, t.blob_key, t.metadata, t.digests, t.partial, t.parts, coalesce(t.length, -1), t."offset", t.state,
	t.job_id, t.epoch, t.created_at, t.touched_at`

func scanTransfer(row pgx.CollectableRow) (store.Transfer, error) {
	var (
		t     store.Transfer
		parts uuidArray
	)
	err := row.Scan((*[16]byte)(&t.ID), (*zeronull.UUID)(&t.BlobKey), &t.Metadata, &t.Digests, &t.Partial, &parts, &t.Length, &t.Offset, &t.State,
		(*zeronull.UUID)(&t.JobID), &t.Epoch, &t.CreatedAt, &t.TouchedAt)
	for _, part := range parts {
		t.Parts = append(t.Parts, part)
	}
	return t, err
}

// BeginTransfer keeps a new transfer, with the row of its blob.
func (s *Store) BeginTransfer(ctx context.Context, tenant jobs.Tenant, t store.Transfer) (store.Transfer, error) {
	const sql = `
		WITH blob AS (INSERT INTO blobs (key) SELECT $3::uuid WHERE $3 IS NOT NULL)
		INSERT INTO transfers AS t (id, tenant, blob_key, metadata, digests, partial, parts, length, "offset", state)
		VALUES ($1, $2, $3, $4, $5, $6, nullif($7::uuid[], '{}'), nullif($8::bigint, -1), $9, $10)
		RETURNING ` + transferColumns
	var begun store.Transfer
	err := s.do(ctx, "begin a transfer", func(ctx context.Context) (err error) {
		begun, err = one(ctx, s.pool, scanTransfer, sql, [16]byte(t.ID), string(tenant), zeronull.UUID(t.BlobKey), t.Metadata, t.Digests, t.Partial,
			ids(t.Parts), t.Length, t.Offset, t.State)
		return err
	})
	return begun, err
}

// Transfer returns a transfer.
func (s *Store) Transfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (store.Transfer, error) {
	const sql = `SELECT ` + transferColumns + ` FROM transfers t WHERE t.id = $1 AND t.tenant = $2`
	var t store.Transfer
	err := s.do(ctx, "transfer", func(ctx context.Context) (err error) {
		t, err = one(ctx, s.pool, scanTransfer, sql, [16]byte(id), string(tenant))
		return err
	})
	return t, err
}

// ClaimTransfer gives the caller the next epoch, if the transfer can go on at offset.
func (s *Store) ClaimTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, offset int64) (t store.Transfer, claimed bool, err error) {
	const sql = `
		UPDATE transfers AS t SET epoch = t.epoch + 1, touched_at = now()
		WHERE t.id = $1 AND t.tenant = $2 AND t."offset" = $3 AND t.parts IS NULL AND (t.length IS NULL OR t."offset" < t.length)
		RETURNING ` + transferColumns
	err = s.do(ctx, "claim a transfer", func(ctx context.Context) (err error) {
		t, err = one(ctx, s.pool, scanTransfer, sql, [16]byte(id), string(tenant), offset)
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		return t, err == nil, err
	}
	t, err = s.Transfer(ctx, tenant, id)
	return t, false, err
}

// AdvanceTransfer notes how far the transfer has come.
func (s *Store) AdvanceTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, epoch int64, to store.TransferProgress) (touched time.Time, err error) {
	const sql = `
		UPDATE transfers SET length = nullif($4::bigint, -1), "offset" = $5, state = $6, touched_at = now()
		WHERE id = $1 AND tenant = $2 AND epoch = $3 AND job_id IS NULL AND "offset" <= $5
		RETURNING touched_at`
	err = s.do(ctx, "advance a transfer", func(ctx context.Context) error {
		return still(s.pool.QueryRow(ctx, sql, [16]byte(id), string(tenant), epoch, to.Length, to.Offset, to.State).Scan(&touched))
	})
	return touched, err
}

// still says of a transfer whose row did not fit that it is lost.
func still(err error) error {
	if errors.Is(found(err), store.ErrNotFound) {
		return store.ErrTransferLost
	}
	return err
}

// FinishTransfer accepts the file that has come in, with the transfer's end. Whoever claims, drops or
// finishes the transfer meanwhile waits for it.
func (s *Store) FinishTransfer(
	ctx context.Context, tenant jobs.Tenant, id uuid.UUID, epoch int64, upload store.Upload, once *store.OnceAnswer,
) (done store.Accepted, err error) {
	const (
		look = `SELECT ` + transferColumns + ` FROM transfers t
			WHERE t.id = $1 AND t.tenant = $2 AND t.epoch = $3 AND t.job_id IS NULL FOR UPDATE`
		end  = `UPDATE transfers SET length = $2, "offset" = $2, job_id = $3, blob_key = NULL, state = NULL, touched_at = now() WHERE id = $1`
		drop = `DELETE FROM blobs WHERE key = $1`
	)
	err = s.acceptSolo(ctx, "finish a transfer", tenant, []store.Upload{upload}, func(ctx context.Context, tx pgx.Tx, accept func() ([]store.Accepted, error)) error {
		t, err := one(ctx, tx, scanTransfer, look, [16]byte(id), string(tenant), epoch)
		if err != nil {
			return still(err)
		}
		if err := t.CanBe(&upload.File); err != nil {
			return err
		}
		all, err := accept()
		if err != nil {
			return err
		}
		done = all[0]
		if _, err := tx.Exec(ctx, end, [16]byte(id), upload.File.Size, [16]byte(upload.Job.ID)); err != nil {
			return err
		}
		if upload.File.BlobKey == uuid.Nil && t.BlobKey != uuid.Nil {
			if _, err := tx.Exec(ctx, drop, [16]byte(t.BlobKey)); err != nil {
				return err
			}
		}
		if once == nil {
			return nil
		}
		return giveOnce(ctx, tx, tenant, once.Once, &once.Answer)
	})
	if err != nil {
		return store.Accepted{}, err
	}
	return done, nil
}

// DropTransfer forgets a transfer, with the row of its blob.
func (s *Store) DropTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (blobKey uuid.UUID, err error) {
	const sql = `
		WITH gone AS (
			DELETE FROM transfers WHERE id = $1 AND tenant = $2 RETURNING blob_key
		), blob AS (
			DELETE FROM blobs b USING gone WHERE b.key = gone.blob_key
		)
		SELECT blob_key FROM gone`
	err = s.do(ctx, "drop a transfer", func(ctx context.Context) (err error) {
		blobKey, err = one(ctx, s.pool, scanParent, sql, planned, [16]byte(id), string(tenant))
		return err
	})
	return blobKey, err
}

// PruneTransfers forgets transfers that nobody has touched for long. It passes over those that others hold.
func (s *Store) PruneTransfers(ctx context.Context, age time.Duration, limit int) (n int, freed []uuid.UUID, err error) {
	const sql = `
		WITH old AS MATERIALIZED (
			SELECT id FROM transfers WHERE touched_at < now() - $1 * interval '1 microsecond'
			ORDER BY touched_at LIMIT $2
			FOR UPDATE SKIP LOCKED
		), gone AS (
			DELETE FROM transfers t USING old WHERE t.id = old.id RETURNING t.blob_key
		), blob AS (
			DELETE FROM blobs b USING gone WHERE b.key = gone.blob_key
		)
		SELECT blob_key FROM gone`
	keys, err := read(ctx, s, "prune transfers", scanParent, sql, age.Microseconds(), limit)
	return len(keys), known(keys), err
}
