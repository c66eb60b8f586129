package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// transferColumns are what scanTransfer reads of a row of transfers.
const transferColumns = `id, blob_key, metadata, digests, partial, parts, coalesce(length, -1), "offset", state, job_id, epoch, created_at, touched_at`

// scanTransfer reads a row of transferColumns. It gives store.ErrNotFound when there is none.
func scanTransfer(row scanner) (store.Transfer, error) {
	var (
		t     store.Transfer
		parts json.RawMessage
	)
	err := row.Scan(intoID{&t.ID}, intoID{&t.BlobKey}, &t.Metadata, &t.Digests, &t.Partial, intoRaw(&parts), &t.Length, &t.Offset, &t.State,
		intoID{&t.JobID}, &t.Epoch, intoTime{&t.CreatedAt}, intoTime{&t.TouchedAt})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return t, store.ErrNotFound
	case err != nil || parts == nil:
		return t, err
	}
	return t, json.Unmarshal(parts, &t.Parts)
}

// lengthOrNull stores a length that nobody knows as NULL.
func lengthOrNull(length int64) any {
	if length == store.UnknownLength {
		return nil
	}
	return length
}

// BeginTransfer keeps a new transfer, with the row of its blob.
func (s *Store) BeginTransfer(ctx context.Context, tenant jobs.Tenant, begun store.Transfer) (store.Transfer, error) {
	var parts json.RawMessage
	if len(begun.Parts) > 0 {
		list, err := encode(begun.Parts)
		if err != nil {
			return store.Transfer{}, fmt.Errorf("begin transfer %s: %w", begun.ID, err)
		}
		parts = json.RawMessage(list)
	}
	return write(ctx, s, func(ctx context.Context, t *tx) (store.Transfer, error) {
		if begun.BlobKey != uuid.Nil {
			if _, err := t.exec(ctx, `INSERT INTO blobs (key, created_at) VALUES (?, ?)`, key(begun.BlobKey), micros(t.now)); err != nil {
				return store.Transfer{}, fmt.Errorf("own blob %s: %w", begun.BlobKey, err)
			}
		}
		kept, err := scanTransfer(t.row(ctx, `
			INSERT INTO transfers (id, tenant, blob_key, metadata, digests, partial, parts, length, "offset", state, created_at, touched_at)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)
			RETURNING `+transferColumns,
			key(begun.ID), string(tenant), keyOrNull(begun.BlobKey), begun.Metadata, begun.Digests, begun.Partial, jsonOrNull(parts),
			lengthOrNull(begun.Length), begun.Offset, begun.State, micros(t.now)))
		if err != nil {
			return store.Transfer{}, fmt.Errorf("begin transfer %s: %w", begun.ID, err)
		}
		return kept, nil
	})
}

// Transfer returns a transfer.
func (s *Store) Transfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (store.Transfer, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) (store.Transfer, error) { return q.transfer(ctx, tenant, id) })
}

func (t *tx) transfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (store.Transfer, error) {
	found, err := scanTransfer(t.row(ctx, `SELECT `+transferColumns+` FROM transfers WHERE id = ? AND tenant = ?`, key(id), string(tenant)))
	if err != nil {
		return store.Transfer{}, fmt.Errorf("read transfer %s: %w", id, err)
	}
	return found, nil
}

// ClaimTransfer gives the caller the next epoch, if the transfer can go on at offset.
func (s *Store) ClaimTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, offset int64) (store.Transfer, bool, error) {
	type outcome struct {
		transfer store.Transfer
		claimed  bool
	}
	out, err := write(ctx, s, func(ctx context.Context, t *tx) (out outcome, err error) {
		out.transfer, err = scanTransfer(t.row(ctx, `
			UPDATE transfers SET epoch = epoch + 1, touched_at = ?
			WHERE id = ? AND tenant = ? AND "offset" = ? AND parts IS NULL AND (length IS NULL OR "offset" < length)
			RETURNING `+transferColumns, micros(t.now), key(id), string(tenant), offset))
		switch {
		case errors.Is(err, store.ErrNotFound):
			out.transfer, err = t.transfer(ctx, tenant, id)
			return out, err
		case err != nil:
			return out, fmt.Errorf("claim transfer %s: %w", id, err)
		}
		out.claimed = true
		return out, nil
	})
	return out.transfer, out.claimed, err
}

// AdvanceTransfer notes how far the transfer has come.
func (s *Store) AdvanceTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, epoch int64, to store.TransferProgress) (time.Time, error) {
	return write(ctx, s, func(ctx context.Context, t *tx) (time.Time, error) {
		n, err := t.exec(ctx, `
			UPDATE transfers SET length = ?, "offset" = ?, state = ?, touched_at = ?
			WHERE id = ? AND tenant = ? AND epoch = ? AND job_id IS NULL AND "offset" <= ?`,
			lengthOrNull(to.Length), to.Offset, to.State, micros(t.now), key(id), string(tenant), epoch, to.Offset)
		switch {
		case err != nil:
			return time.Time{}, fmt.Errorf("advance transfer %s: %w", id, err)
		case n == 0:
			return time.Time{}, store.ErrTransferLost
		}
		return t.now, nil
	})
}

// FinishTransfer accepts the file that has come in, with the transfer's end.
func (s *Store) FinishTransfer(
	ctx context.Context, tenant jobs.Tenant, id uuid.UUID, epoch int64, upload store.Upload, once *store.OnceAnswer,
) (store.Accepted, error) {
	return write(ctx, s, func(ctx context.Context, t *tx) (store.Accepted, error) {
		transfer, err := t.transfer(ctx, tenant, id)
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && (transfer.Epoch != epoch || transfer.JobID != uuid.Nil):
			return store.Accepted{}, store.ErrTransferLost
		case err != nil:
			return store.Accepted{}, err
		}
		if err := transfer.CanBe(&upload.File); err != nil {
			return store.Accepted{}, err
		}
		accepted, err := t.accept(ctx, tenant, nil, &upload)
		if err != nil {
			return store.Accepted{}, err
		}
		if err := t.endTransfer(ctx, &transfer, &upload); err != nil {
			return store.Accepted{}, err
		}
		if once == nil {
			return accepted, nil
		}
		return accepted, t.giveOnce(ctx, tenant, once.Once, &once.Answer)
	})
}

// endTransfer notes that the transfer has become a file, and forgets its blob if the file does without.
func (t *tx) endTransfer(ctx context.Context, transfer *store.Transfer, as *store.Upload) error {
	_, err := t.exec(ctx, `
		UPDATE transfers SET length = ?1, "offset" = ?1, job_id = ?2, blob_key = NULL, state = NULL, touched_at = ?3 WHERE id = ?4`,
		as.File.Size, key(as.Job.ID), micros(t.now), key(transfer.ID))
	switch {
	case err != nil:
		return fmt.Errorf("end transfer %s: %w", transfer.ID, err)
	case as.File.BlobKey != uuid.Nil:
		return nil
	}
	return t.dropBlob(ctx, transfer.BlobKey)
}

// DropTransfer forgets a transfer, with the row of its blob.
func (s *Store) DropTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (uuid.UUID, error) {
	return write(ctx, s, func(ctx context.Context, t *tx) (uuid.UUID, error) {
		transfer, err := t.transfer(ctx, tenant, id)
		if err != nil {
			return uuid.Nil, err
		}
		if _, err := t.exec(ctx, `DELETE FROM transfers WHERE id = ?`, key(id)); err != nil {
			return uuid.Nil, fmt.Errorf("drop transfer %s: %w", id, err)
		}
		return transfer.BlobKey, t.dropBlob(ctx, transfer.BlobKey)
	})
}

// PruneTransfers forgets transfers that nobody has touched for age, and returns how many, and the keys
// of the blobs of those that were not finished.
func (s *Store) PruneTransfers(ctx context.Context, age time.Duration, limit int) (int, []uuid.UUID, error) {
	type pruned struct {
		n     int
		freed []uuid.UUID
	}
	out, err := solo(ctx, s, func(ctx context.Context, t *tx) (p pruned, err error) {
		keys, err := t.ids(ctx, `
			DELETE FROM transfers WHERE id IN (SELECT id FROM transfers WHERE touched_at < ? ORDER BY touched_at LIMIT ?)
			RETURNING blob_key`, micros(t.now.Add(-age)), max(limit, 0))
		if err != nil {
			return p, fmt.Errorf("prune transfers: %w", err)
		}
		p.n = len(keys)
		for _, blob := range keys {
			if err := t.dropBlob(ctx, blob); err != nil {
				return p, err
			}
			if blob != uuid.Nil { // neither finished nor made of parts
				p.freed = append(p.freed, blob)
			}
		}
		return p, nil
	})
	return out.n, out.freed, err
}

// dropBlob deletes the row of a transfer's blob, if it has one.
func (t *tx) dropBlob(ctx context.Context, blob uuid.UUID) error {
	if blob == uuid.Nil {
		return nil
	}
	if _, err := t.exec(ctx, `DELETE FROM blobs WHERE key = ?`, key(blob)); err != nil {
		return fmt.Errorf("drop blob %s: %w", blob, err)
	}
	return nil
}
