// Package image is the kind of work that makes smaller pictures of an image: thumbnails, previews
// and the like, upright, in sRGB, with eight bits a channel and without any metadata.
//
// An image that would take too much memory is refused by its headers, before it is decoded. What is
// decoded is decoded once and whole; the pictures are then made row by row. Of an animation or a
// document only the first picture is decoded.
//
// It imports package jobs, jobs/imageinfo, jobs/input, jobs/sniff and jobs/spec, and nothing else
// of Leat.
package image

import (
	"context"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/imageinfo"
	"github.com/leat-dev/leat/jobs/input"
	"github.com/leat-dev/leat/jobs/sniff"
	"github.com/leat-dev/leat/jobs/spec"
)

// Result is what the handler answers.
type Result struct {
	Format string `json:"format"` // of the file: "jpeg", "png", "gif", "webp", "bmp" or "tiff"
	Width  int    `json:"width"`  // pixels, as stored: before Orientation is applied
	Height int    `json:"height"`
	// Orientation is EXIF's, 1 to 8, which was applied to the variants.
	Orientation int `json:"orientation"`
	// Frames counts the pictures of an animation or the pages of a document; the variants show the
	// first.
	Frames   int64 `json:"frames"`
	Animated bool  `json:"animated"`
	// Profile names the file's ICC profile, empty when there is none. Converted then tells whether
	// the variants' colors were converted from it to sRGB; if not, they are as the file has them.
	Profile   string    `json:"profile,omitempty"`
	Converted *bool     `json:"converted,omitempty"`
	Variants  []Variant `json:"variants"` // in the order of the parameters
}

// Variant is a picture that was made.
type Variant struct {
	Name     string `json:"name"`
	Width    int    `json:"width"` // pixels
	Height   int    `json:"height"`
	Format   string `json:"format"`   // "jpeg", "png" or "webp"
	Artifact string `json:"artifact"` // its name
}

// New returns the handler of the kind image.
func New() jobs.Handler { return newHandler(MaxPixels, MaxMemory) }

func newHandler(maxPixels, maxMemory int64) *handler {
	return &handler{maxPixels: maxPixels, maxMemory: maxMemory}
}

type handler struct {
	maxPixels, maxMemory int64
}

// Handle answers with a *Result.
func (h *handler) Handle(ctx context.Context, run *jobs.Run) (any, error) {
	params, err := jobs.DecodeParams[spec.ImageParams](run)
	if err != nil {
		return nil, err
	}
	variants := params.List()
	src := input.NewSource(ctx, run.Input)
	f, err := open(src, run.File.Name)
	if err != nil {
		return nil, err
	}
	if err := h.admit(f, variants); err != nil {
		return nil, err
	}
	shot, err := f.decode(run.Progress)
	if err != nil {
		return nil, err
	}
	result := &Result{
		Format: f.Format, Width: int(f.Width), Height: int(f.Height), Orientation: f.Orientation,
		Frames: f.Frames, Animated: f.Frames > 1 && f.Format != "tiff",
	}
	if f.profile != nil {
		result.Profile, result.Converted = f.profile.name, &shot.converted
	}
	if result.Variants, err = makeAll(ctx, run, shot, variants); err != nil {
		return nil, err
	}
	return result, nil
}

// file is an image before it is decoded.
type file struct {
	*imageinfo.Info
	src     *input.Source
	config  config
	profile *profile // nil for none
}

// open reads what the headers say.
func open(src *input.Source, name string) (*file, error) {
	head, err := src.Head(sniff.Limit)
	if err != nil {
		return nil, err
	}
	mediaType := sniff.Type(head, name)
	if _, ok := formats()[mediaType]; !ok {
		return nil, jobs.Fail(jobs.CodeUnsupported, "%s is no image that can be decoded", mediaType)
	}
	info, err := imageinfo.Read(src, mediaType)
	switch {
	case err != nil:
		return nil, err
	case info == nil:
		return nil, jobs.Fail(jobs.CodeMalformed, "the image has no header that says its size")
	case info.Truncated && !judgedByDecoder(info.Format):
		return nil, jobs.Fail(jobs.CodeMalformed, "the file ends or breaks off before the image does")
	}
	f := &file{Info: info, src: src}
	if f.profile, err = readProfile(src, info); err != nil {
		return nil, err
	}
	return f, nil
}

// judgedByDecoder tells of which formats a file that is cut short may still have all of its first
// picture: the decoder reads that alone, and fails when it is cut. GIFs without a trailer are common, and
// so are WebPs with something behind them.
func judgedByDecoder(format string) bool {
	return format == "gif" || format == "tiff" || format == "webp"
}
