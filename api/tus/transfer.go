package tus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	tusd "github.com/tus/tusd/v2/pkg/handler"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// lookEvery is how often a request that writes looks whether the transfer is still its own.
const lookEvery = time.Second

func parseID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text {
		return uuid.Nil, tusd.ErrNotFound
	}
	return id, nil
}

// find reads a transfer that has not expired.
func (h *Handler) find(ctx context.Context, q *request, id uuid.UUID) (store.Transfer, error) {
	t, err := h.Store.Transfer(ctx, q.Tenant, id)
	if err != nil {
		return t, q.failed(err)
	}
	if h.Now().Sub(t.TouchedAt) >= h.Expiry {
		return t, q.fail(ErrExpired)
	}
	return t, nil
}

// NewUpload begins a transfer.
func (h *Handler) NewUpload(ctx context.Context, info tusd.FileInfo) (tusd.Upload, error) {
	q := requestOf(ctx)
	t := store.Transfer{
		ID: jobs.NewID(), Digests: q.Digests, Metadata: q.metadata, Partial: info.IsPartial,
		TransferProgress: store.TransferProgress{Length: info.Size},
	}
	switch { // tusd looks at lengths of tus alone
	case info.SizeIsDeferred:
		t.Length = store.UnknownLength
	case info.Size < 0:
		return nil, tusd.ErrInvalidUploadLength
	case info.Size > h.MaxSize:
		return nil, tusd.ErrMaxSizeExceeded
	}
	if t.Metadata == "" { // the drafts of the IETF have other headers
		t.Metadata = tusd.SerializeMetadataHeader(info.MetaData)
	}
	if info.IsFinal {
		for _, text := range info.PartialUploads {
			id, err := parseID(text)
			if err != nil {
				return nil, err
			}
			t.Parts = append(t.Parts, id)
		}
	} else {
		t.BlobKey = uuid.UUID(blob.NewKey())
	}
	if err := h.Intake.Check(ctx, &t); err != nil {
		return nil, q.fail(err)
	}
	t, err := h.Store.BeginTransfer(ctx, q.Tenant, t)
	if err != nil {
		return nil, q.failed(err)
	}
	q.transfer, q.owned = t, true
	// One that ends with this request is answered for when it has.
	if ends := info.IsFinal || t.Length == 0 && !t.Partial; !ends {
		if err := h.answered(ctx, q); err != nil {
			return nil, q.failed(err)
		}
	}
	return &upload{handler: h, request: q, t: &q.transfer}, nil
}

// answered keeps the answer to a POST with a key: where the transfer is.
func (h *Handler) answered(ctx context.Context, q *request) error {
	if q.Once == nil {
		return nil
	}
	answer := answerOf(q.transfer.ID)
	return h.Store.EndOnce(ctx, q.Tenant, *q.Once, &answer)
}

func answerOf(id uuid.UUID) store.Answer {
	return store.Answer{Status: http.StatusCreated, Location: urlOf(id)}
}

// GetUpload finds a transfer.
func (h *Handler) GetUpload(ctx context.Context, text string) (tusd.Upload, error) {
	q := requestOf(ctx)
	id, err := parseID(text)
	if err != nil {
		return nil, err
	}
	if q.transfer.ID == id {
		return &upload{handler: h, request: q, t: &q.transfer}, nil
	}
	t, err := h.find(ctx, q, id)
	if err != nil {
		return nil, err
	}
	if q.method == http.MethodPost { // a part of the one that is to be made
		if !t.Partial {
			return nil, tusd.ErrInvalidConcat
		}
		return &upload{handler: h, request: q, t: &t}, nil
	}
	q.transfer = t
	return &upload{handler: h, request: q, t: &q.transfer}, nil
}

// AsTerminatableUpload tells tusd that every transfer can be given up.
func (h *Handler) AsTerminatableUpload(u tusd.Upload) tusd.TerminatableUpload { return mine(u) }

// AsConcatableUpload tells tusd that every transfer can be made of parts.
func (h *Handler) AsConcatableUpload(u tusd.Upload) tusd.ConcatableUpload { return mine(u) }

// AsLengthDeclarableUpload tells tusd that the length of every transfer can be told later.
func (h *Handler) AsLengthDeclarableUpload(u tusd.Upload) tusd.LengthDeclarableUpload { return mine(u) }

func mine(u tusd.Upload) *upload {
	return u.(*upload) //nolint:errcheck,forcetypeassert // tusd gives back what it was given
}

// upload is a transfer as a request sees it.
type upload struct {
	handler *Handler
	request *request
	t       *store.Transfer
}

// GetInfo tells tusd how the transfer stands.
func (u *upload) GetInfo(context.Context) (tusd.FileInfo, error) {
	meta, err := ParseMetadata(u.t.Metadata)
	if err != nil {
		return tusd.FileInfo{}, u.request.fail(err)
	}
	info := tusd.FileInfo{
		ID: u.t.ID.String(), Size: u.t.Length, Offset: u.t.Offset, MetaData: meta,
		IsPartial: u.t.Partial, IsFinal: len(u.t.Parts) > 0,
	}
	if u.t.Length == store.UnknownLength {
		info.Size, info.SizeIsDeferred = 0, true
	}
	for _, part := range u.t.Parts {
		info.PartialUploads = append(info.PartialUploads, part.String())
	}
	return info, nil
}

// GetReader is for a GET, which is not served.
func (u *upload) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, tusd.ErrNotImplemented
}

// DeclareLength takes the length that was not known. One that is reached already is kept when the
// transfer is finished, not before: who asks is never told of an end that is not committed.
func (u *upload) DeclareLength(ctx context.Context, length int64) error {
	u.t.Length = length
	if length == u.t.Offset {
		return nil
	}
	return u.advance(ctx, u.progress())
}

// progress is how far the object has come.
func (u *upload) progress() blob.Progress { return blob.Progress{Size: u.t.Offset, State: u.t.State} }

// advance notes how far the object has come.
func (u *upload) advance(ctx context.Context, to blob.Progress) error {
	ctx, cancel := context.WithTimeout(ctx, u.handler.Commit)
	defer cancel()
	p := store.TransferProgress{Length: u.t.Length, Offset: to.Size, State: to.State}
	touched, err := u.handler.Store.AdvanceTransfer(ctx, u.request.Tenant, u.t.ID, u.t.Epoch, p)
	if err != nil {
		return u.request.failed(err)
	}
	u.t.TransferProgress, u.t.TouchedAt = p, touched
	return nil
}

// ends reports whether the transfer becomes a file at that size. The store learns of that with the
// file, and not before.
func (u *upload) ends(size int64) bool { return size == u.t.Length && !u.t.Partial }

// WriteChunk keeps what comes behind the first offset bytes, and returns how many are durable of it.
func (u *upload) WriteChunk(ctx context.Context, offset int64, src io.Reader) (int64, error) {
	q := u.request
	if err := u.admit(); err != nil {
		return 0, err
	}
	// What has come is kept even if the client goes.
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	watch.Go(func() { u.watch(ctx) })
	defer watch.Wait()
	defer stop()

	at := u.progress()
	saved := func(p blob.Progress) error {
		if u.ends(p.Size) {
			return nil
		}
		return u.advance(ctx, p)
	}
	if q.Verify != nil {
		saved = nil // no offset moves before all is checked
	}
	content := &counter{src: src, begin: func() error { return u.mine(ctx) }}
	var got blob.Progress
	err := u.withObject(ctx, func() (err error) {
		got, err = u.handler.Blobs.Append(ctx, blob.Key(u.t.BlobKey), at, content, saved)
		return err
	})
	u.handler.writers.leave(u.t.ID, q.writer) // there is nothing more to interrupt
	if err != nil {
		if saved != nil && got.Size > u.t.Offset && !u.ends(got.Size) {
			err = errors.Join(err, u.advance(ctx, got)) // such as what came before the disk was full
		}
		return 0, err
	}
	if q.body.n > content.n { // tusd takes no more than fits, and tells of the rest only later
		return 0, tusd.ErrSizeExceeded
	}
	if q.Verify != nil {
		if !q.body.end {
			return 0, q.fail(ErrInterrupted)
		}
		if err := q.Verify(); err != nil {
			return 0, q.fail(err)
		}
	}
	if u.ends(got.Size) {
		u.t.Offset, u.t.State = got.Size, got.State
	} else if got.Size > u.t.Offset {
		if err := u.advance(ctx, got); err != nil {
			return 0, err
		}
	}
	return got.Size - offset, nil
}

// admit refuses what is not to be written at all.
func (u *upload) admit() error {
	q := u.request
	switch {
	case !q.owned: // tusd has seen to it that there is nothing to write, or that it does not fit
		return q.fail(ErrLocked)
	case u.t.Length == store.UnknownLength && q.length > u.handler.MaxSize-u.t.Offset: // tusd trusts a Content-Length
		return tusd.ErrSizeExceeded
	}
	return nil
}

// withObject does what takes the object, once the request before this one has let go of it. The object of
// a transfer that was given up meanwhile is gone, which is no fault of the blob store.
func (u *upload) withObject(ctx context.Context, do func() error) error {
	limit := time.NewTimer(lockWait)
	defer limit.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		err := do()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, blob.ErrNotExist):
			if lost := u.mine(ctx); lost != nil {
				return lost
			}
			return u.request.failedBlob(err)
		case !errors.Is(err, blob.ErrBusy):
			return u.request.failedBlob(err)
		}
		select {
		case <-again.C:
		case <-limit.C:
			return u.request.fail(ErrLocked)
		}
	}
}

// mine makes sure that the transfer is still this request's, once it holds the object. One that comes
// later waits for the object, and one that came earlier finds here that it is too late: without this, it
// would write over bytes that the other has told its client of.
func (u *upload) mine(ctx context.Context) error {
	t, err := u.handler.Store.Transfer(ctx, u.request.Tenant, u.t.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && t.Epoch != u.t.Epoch {
		err = store.ErrTransferLost
	}
	if err != nil {
		return u.request.failed(err)
	}
	return nil
}

// watch interrupts the request when another process has taken the transfer over.
func (u *upload) watch(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		// While the store cannot be asked, nobody can have taken it over.
		t, err := u.handler.Store.Transfer(ctx, u.request.Tenant, u.t.ID)
		if errors.Is(err, store.ErrNotFound) || err == nil && t.Epoch != u.t.Epoch {
			u.handler.writers.lost(u.t.ID)
			return
		}
	}
}

// counter counts what is read, and calls begin before the first of it.
type counter struct {
	src   io.Reader
	begin func() error
	n     int64
}

func (c *counter) Read(p []byte) (int, error) {
	if c.begin != nil {
		if err := c.begin(); err != nil {
			return 0, err
		}
		c.begin = nil
	}
	n, err := c.src.Read(p)
	c.n += int64(n)
	return n, err
}

// FinishUpload makes a file and a job of a transfer that has come in whole, unless it is a part.
func (u *upload) FinishUpload(ctx context.Context) error {
	if u.t.Partial || u.t.JobID != uuid.Nil {
		return nil
	}
	if !u.request.owned || !u.ends(u.t.Offset) {
		return u.request.fail(ErrLocked)
	}
	ctx = context.WithoutCancel(ctx)
	var info blob.Info
	err := u.withObject(ctx, func() (err error) {
		info, err = u.handler.Blobs.Seal(ctx, blob.Key(u.t.BlobKey), u.progress())
		return err
	})
	if err != nil {
		return err
	}
	up, err := u.handler.Intake.Accept(ctx, u.t, info)
	if err != nil {
		if u.handler.Intake.Hopeless(err) {
			u.drop(ctx)
		}
		return u.request.fail(err)
	}
	return u.finish(ctx, up)
}

// finish commits the file and its job.
func (u *upload) finish(ctx context.Context, up store.Upload) error {
	h, q := u.handler, u.request
	ctx, cancel := context.WithTimeout(ctx, h.Commit)
	defer cancel()
	var once *store.OnceAnswer
	if q.Once != nil {
		once = &store.OnceAnswer{Once: *q.Once, Answer: answerOf(u.t.ID)}
	}
	accepted, err := h.Store.FinishTransfer(ctx, q.Tenant, u.t.ID, u.t.Epoch, up, once)
	if err != nil {
		return q.failed(fmt.Errorf("commit a transfer: %w", err))
	}
	if up.File.BlobKey == uuid.Nil && u.t.BlobKey != uuid.Nil {
		h.Intake.Dropped(ctx, u.t.BlobKey)
	}
	u.t.JobID, u.t.BlobKey = accepted.JobID, uuid.Nil
	h.Intake.Accepted(ctx, up, accepted)
	return nil
}

// drop forgets a transfer of which nothing can come, as far as that goes: else it expires.
func (u *upload) drop(ctx context.Context) {
	if key, err := u.handler.Store.DropTransfer(ctx, u.request.Tenant, u.t.ID); err == nil && key != uuid.Nil {
		u.handler.Intake.Dropped(ctx, key)
	}
}

// Terminate forgets a transfer that has not become a file.
func (u *upload) Terminate(ctx context.Context) error {
	q := u.request
	if u.t.JobID != uuid.Nil {
		return q.fail(ErrAccepted)
	}
	key, err := u.handler.Store.DropTransfer(ctx, q.Tenant, u.t.ID)
	if err != nil {
		return q.failed(err)
	}
	u.handler.writers.lost(u.t.ID)
	if key != uuid.Nil {
		u.handler.Intake.Dropped(ctx, key)
	}
	return nil
}
