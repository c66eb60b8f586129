package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// Transfers keeps uploads that come in several requests, until their files are accepted. Bound to a
// tenant.
//
// Who writes to one holds its latest epoch. A new request takes the next one at once, whatever has
// become of the one before it, whose writes have no effect from then on; reading never waits.
type Transfers interface {
	// BeginTransfer keeps a new transfer, and makes the row of its blob. It returns it with what the
	// store sets: its first epoch and its times.
	BeginTransfer(ctx context.Context, tenant jobs.Tenant, t Transfer) (Transfer, error)
	// Transfer returns a transfer, or ErrNotFound.
	Transfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (Transfer, error)
	// ClaimTransfer gives the caller the next epoch, if the transfer stands at offset and can go on:
	// its length is not reached, and it is not made of parts. It returns the transfer as it stands,
	// claimed or not, or ErrNotFound.
	ClaimTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, offset int64) (t Transfer, claimed bool, err error)
	// AdvanceTransfer notes how far the transfer has come; the bytes are durable. It returns when that
	// was. Errors: ErrTransferLost.
	AdvanceTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, epoch int64, to TransferProgress) (touched time.Time, err error)
	// FinishTransfer accepts the file that has come in, with its job, as Uploads.Accept does: the
	// transfer is at its end, and its blob the file's, in the same commit. A file whose content is
	// inline leaves the blob to the caller, who deletes it; its row is gone. once, unless nil, keeps
	// the answer to a request that began the transfer and ends it (see Onces).
	// Errors: ErrTransferLost, also once it is finished; those of Accept.
	FinishTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, epoch int64, upload Upload, once *OnceAnswer) (Accepted, error)
	// DropTransfer forgets a transfer and the row of its blob, whose key it returns for the caller to
	// delete the object, uuid.Nil where there is none. A file that was accepted stays. Errors: ErrNotFound.
	DropTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (blobKey uuid.UUID, err error)
}

// ErrTransferLost: another request writes to the transfer now, or it is finished, or gone.
var ErrTransferLost = errors.New("store: the transfer is another's")

// Transfer is an upload that comes in several requests.
type Transfer struct {
	ID       uuid.UUID   // also of the file that it becomes
	BlobKey  uuid.UUID   // of the object in the making; uuid.Nil for one made of parts, and once finished
	Metadata string      // as its sender gave it
	Digests  string      // of the whole, as its sender gave them
	Partial  bool        // will not be a file, but a part of other transfers
	Parts    []uuid.UUID // that it is made of
	TransferProgress
	JobID     uuid.UUID // of the accepted file; uuid.Nil until then
	Epoch     int64
	CreatedAt time.Time
	TouchedAt time.Time // when something was last claimed, advanced or finished
}

// CanBe checks that the transfer, which is not finished, can end as the file: under its ID, with its
// blob unless the content is inline or it was made of parts, and with all bytes that have come in.
func (t *Transfer) CanBe(f *NewFile) error {
	itsBlob := f.BlobKey == uuid.Nil || t.BlobKey == uuid.Nil || f.BlobKey == t.BlobKey
	itsSize := f.Size == t.Length || t.Length == UnknownLength && f.Size >= t.Offset
	if f.ID != t.ID || t.Partial || !itsBlob || !itsSize {
		return fmt.Errorf("store: transfer %s of %d bytes as blob %s (partial: %t) cannot end as file %s of %d bytes as blob %s",
			t.ID, t.Length, t.BlobKey, t.Partial, f.ID, f.Size, f.BlobKey)
	}
	return nil
}

// UnknownLength is the length of a transfer whose sender does not know it yet.
const UnknownLength = -1

// TransferProgress is how far a transfer has come.
type TransferProgress struct {
	Length int64  // bytes in all, or UnknownLength
	Offset int64  // bytes that are durable
	State  []byte // blob.Progress.State at Offset
}

// OnceAnswer is what is answered to a request that is to have its effect once.
type OnceAnswer struct {
	Once   Once
	Answer Answer
}
