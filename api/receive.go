package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/sniff"
	"github.com/leat-dev/leat/store"
)

// inlineForms is how many files of the inline limit one form may hold in memory; what comes after
// them goes to the blob store, however small it is.
const inlineForms = 16

// receive reads one file to its end and makes it durable, or nearly: small content is held until
// the commit.
func (in *intake) receive(ctx context.Context, content io.Reader, name, claimed string) error {
	a := in.api
	src := &fileReader{src: content, limit: in.maxFile}
	buffer := a.heads.get()
	defer a.heads.put(buffer)
	n, err := io.ReadFull(src, *buffer)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || src.err != nil {
		return in.cause(src, err)
	}
	head, whole := (*buffer)[:n], err != nil
	file := store.NewFile{
		ID:          jobs.NewID(),
		Name:        jobs.CleanName(name),
		ClaimedType: claimedType(claimed),
	}
	file.MediaType = sniff.Type(head[:min(n, sniff.Limit)], file.Name)

	if err := a.checkType(&file); err != nil {
		return err
	}
	if whole && n <= a.inline && (n == 0 || in.inline+n <= inlineForms*a.inline) {
		in.inline += n
		file.Size = int64(n)
		file.Content = bytes.Clone(head)
		file.SHA256 = sha256.Sum256(head)
	} else if err := in.put(ctx, &file, src, head); err != nil {
		return err
	}
	in.files = append(in.files, file)
	return nil
}

// checkType refuses a file whose bytes are of a type that is not on the list.
func (a *API) checkType(file *store.NewFile) error {
	if len(a.types) == 0 {
		return nil
	}
	mediaType, _, _ := strings.Cut(file.MediaType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	top, _, _ := strings.Cut(mediaType, "/")
	if slices.Contains(a.types, mediaType) || slices.Contains(a.types, top+"/*") {
		return nil
	}
	return fail(wire.CodeTypeNotAccepted, "Its content is %s; accepted are %s.", mediaType, strings.Join(a.types, ", "))
}

// put stores a file's bytes in the blob store.
func (in *intake) put(ctx context.Context, file *store.NewFile, src *fileReader, head []byte) error {
	key := blob.NewKey()
	info, err := in.api.blobs.Put(ctx, key, io.MultiReader(bytes.NewReader(head), src))
	if err != nil {
		return in.cause(src, err)
	}
	in.kept = append(in.kept, uuid.UUID(key))
	file.Size, file.SHA256 = info.Size, info.SHA256
	file.BlobKey = uuid.UUID(key)
	file.StoredAt = time.Now() // a monotonic reading: the store compares it with its own
	return nil
}

// cause finds out why a file could not be received: because of the body, of the form around the
// file, of its size, or of the blob store.
func (in *intake) cause(src *fileReader, err error) error {
	switch {
	case in.body.err != nil:
		return in.body.err
	case src.err != nil:
		return src.err
	case errors.Is(err, blob.ErrNoSpace), errors.Is(err, context.Canceled):
		return err
	}
	return &failure{code: wire.CodeBlobUnavailable, cause: fmt.Errorf("store a file: %w", err)}
}

// fileReader reads one file's bytes, no more than limit, and remembers what stopped it.
type fileReader struct {
	src   io.Reader
	limit int64
	read  int64
	err   error // the first that is not io.EOF
}

func (f *fileReader) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.src.Read(p)
	f.read += int64(n)
	switch {
	case f.read > f.limit:
		f.err = fail(wire.CodeFileTooLarge, "The limit is %d bytes.", f.limit)
		return 0, f.err
	case err != nil && err != io.EOF: // a reader promises io.EOF itself
		f.err = formFailure(err)
		return n, f.err
	}
	return n, err
}

// maxClaimedType bounds what is kept of what the sender says a file is, in bytes.
const maxClaimedType = 255

// claimedType keeps what the sender says a file is, if it is a media type at all.
func claimedType(text string) string {
	if text == "" {
		return ""
	}
	mediaType, params, err := mime.ParseMediaType(text)
	if err != nil {
		return ""
	}
	if full := mime.FormatMediaType(mediaType, params); full != "" {
		mediaType = full
	}
	if len(mediaType) > maxClaimedType {
		return ""
	}
	return mediaType
}
