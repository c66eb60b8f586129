// Package inspect is the kind of work that tells what a file is: its size, hash and media type,
// and for text, images and archives what is in them.
//
// It reads any file once in whole, and a compressed archive twice, in memory that does not depend
// on the file. It decodes no pixels and extracts nothing. Content that is damaged, cut short or
// hostile makes the answer poorer, never wrong, and fails no job.
//
// It imports jobs, jobs/charset, jobs/imageinfo, jobs/input, jobs/sniff and jobs/zipdir, and nothing
// else of Leat.
package inspect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/imageinfo"
	"github.com/leat-dev/leat/jobs/input"
	"github.com/leat-dev/leat/jobs/sniff"
)

// Result is what the handler answers. Text, Image and Archive are there where they apply.
type Result struct {
	Size        int64    `json:"size"`                   // bytes
	SHA256      string   `json:"sha256"`                 // hexadecimal
	MediaType   string   `json:"media_type"`             // by content, without parameters
	ClaimedType string   `json:"claimed_type,omitempty"` // as the sender said
	Extension   string   `json:"extension,omitempty"`    // usual for MediaType, with its dot
	Text        *Text    `json:"text,omitempty"`
	Image       *Image   `json:"image,omitempty"`
	Archive     *Archive `json:"archive,omitempty"`
}

// Image tells what an image's headers say. An image whose headers cannot be read has none.
type Image = imageinfo.Image

// New returns the handler of the kind inspect.
func New() jobs.Handler {
	return &handler{windows: make(chan struct{}, maxWindows), maxUnpacked: maxUnpacked}
}

type handler struct {
	windows     chan struct{} // held by runs that unpack with a large window
	maxUnpacked int64
}

// Handle answers with a *Result. It fails for good when the bytes are not the ones that were
// uploaded; an error in reading them is tried again.
func (h *handler) Handle(ctx context.Context, run *jobs.Run) (any, error) {
	src := input.NewSource(ctx, run.Input)
	head, err := src.Head(sniff.Limit)
	if err != nil {
		return nil, err
	}
	result := &Result{
		MediaType:   sniff.Type(head, run.File.Name),
		ClaimedType: run.File.ClaimedType,
	}
	result.Extension = sniff.Extension(result.MediaType)
	unpacker := unpackers()[result.MediaType]
	meter := &meter{report: run.Progress, total: src.Size()}
	if unpacker != nil {
		meter.total *= 2
	}
	if err := result.read(src, meter, head, run.File); err != nil {
		return nil, err
	}
	info, err := imageinfo.Read(src, result.MediaType)
	if err != nil {
		return nil, err
	}
	if info != nil {
		result.Image = &info.Image
	}
	if unpacker != nil {
		result.Archive, err = h.unpack(ctx, src, meter, unpacker)
	} else {
		result.Archive, err = readArchive(src, result.MediaType)
	}
	if err != nil {
		return nil, err
	}
	return result, nil
}

// read goes over the whole file once: it hashes it, compares it with what was uploaded, and reads
// it as text if it is one.
func (r *Result) read(src *input.Source, meter *meter, head []byte, file jobs.File) error {
	hash := sha256.New()
	into := []io.Writer{hash, meter}
	var text *textReader
	if sniff.IsText(r.MediaType) {
		text = newTextReader(head)
		into = append(into, text)
	}
	size, err := io.CopyBuffer(io.MultiWriter(into...), src.Stream(), make([]byte, chunk))
	if err != nil {
		return err
	}
	sum := hash.Sum(nil)
	if size != file.Size || [sha256.Size]byte(sum) != file.SHA256 {
		return jobs.Fail(jobs.CodeInputCorrupt, "%d bytes with SHA-256 %x were uploaded, %d bytes with SHA-256 %x are there",
			file.Size, file.SHA256, size, sum)
	}
	r.Size, r.SHA256 = size, hex.EncodeToString(sum)
	if text != nil {
		r.Text = text.result()
	}
	return nil
}
