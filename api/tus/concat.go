package tus

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	tusd "github.com/tus/tusd/v2/pkg/handler"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/store"
)

// ConcatUploads makes a file of parts. It copies them: the bytes have to be read for their hash anyway,
// and parts can be used again.
func (u *upload) ConcatUploads(ctx context.Context, parts []tusd.Upload) error {
	h, q := u.handler, u.request
	if q.Once != nil {
		ctx = context.WithoutCancel(ctx) // a client that gave up finds it done when it asks again
	}
	content := &sequence{ctx: ctx, blobs: h.Blobs}
	for _, part := range parts {
		content.parts = append(content.parts, *mine(part).t)
	}
	key := blob.NewKey()
	info, err := h.Blobs.Put(ctx, key, content)
	err = errors.Join(err, content.Close())
	if err != nil {
		return q.failedBlob(err)
	}
	u.t.BlobKey, u.t.Offset = uuid.UUID(key), info.Size
	if info.Size != u.t.Length {
		h.Intake.Dropped(ctx, u.t.BlobKey)
		return q.fail(fmt.Errorf("join the parts of a transfer: %d bytes of %d: %w", info.Size, u.t.Length, blob.ErrNotExist))
	}
	up, err := h.Intake.Accept(ctx, u.t, info)
	if err != nil {
		h.Intake.Dropped(ctx, u.t.BlobKey)
		return q.fail(err)
	}
	return u.finish(ctx, up)
}

// sequence reads objects one after the other.
type sequence struct {
	ctx   context.Context //nolint:containedctx // a reader's
	blobs blob.Store
	parts []store.Transfer
	open  blob.Object
	rest  io.Reader // of it
}

func (s *sequence) Read(p []byte) (int, error) {
	for {
		if s.rest != nil {
			n, err := s.rest.Read(p)
			if n > 0 || err != io.EOF { // a reader promises io.EOF itself
				return n, err
			}
			if err := s.Close(); err != nil {
				return 0, err
			}
		}
		if len(s.parts) == 0 {
			return 0, io.EOF
		}
		part := s.parts[0]
		s.parts = s.parts[1:]
		if part.Length == 0 {
			continue // no byte of it was ever kept
		}
		object, err := s.blobs.Open(s.ctx, blob.Key(part.BlobKey))
		if err != nil {
			return 0, err
		}
		s.open, s.rest = object, io.LimitReader(object, part.Length)
	}
}

// Close closes the object that is open.
func (s *sequence) Close() error {
	if s.open == nil {
		return nil
	}
	err := s.open.Close()
	s.open, s.rest = nil, nil
	return err
}
