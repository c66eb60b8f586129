package image

import (
	"bufio"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/input"
)

// readAhead is how much of a file its decoder reads at once, in bytes.
const readAhead = 128 << 10

// codec decodes one format.
type codec struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

// formats gives the codec of each media type that is decoded.
func formats() map[string]codec {
	pngs := codec{png.DecodeConfig, png.Decode}
	return map[string]codec{
		"image/jpeg": {jpeg.DecodeConfig, jpeg.Decode},
		"image/png":  pngs,
		"image/apng": pngs,
		"image/gif":  {gif.DecodeConfig, gif.Decode}, // which stops behind the first picture
		"image/webp": {webp.DecodeConfig, webp.Decode},
		"image/bmp":  {bmp.DecodeConfig, bmp.Decode},
		"image/tiff": {tiff.DecodeConfig, tiff.Decode},
	}
}

// config is what a decoder says of an image before it decodes it.
type config struct {
	model    color.Model
	paletted bool
}

// readConfig asks the decoder itself for the size that it will allocate, since it reads headers by
// other rules than those by which they were judged.
func (f *file) readConfig() (config, error) {
	c, err := formats()["image/"+f.Format].config(f.reader())
	if err != nil {
		return config{}, f.fault(err)
	}
	width, height := f.Width, f.Height
	if f.Format == "webp" {
		width, height = f.First.Width, f.First.Height
		if f.First.X+width > f.Width || f.First.Y+height > f.Height {
			return config{}, jobs.Fail(jobs.CodeMalformed, "the first picture does not lie within the image")
		}
	}
	if int64(c.Width) != width || int64(c.Height) != height {
		return config{}, jobs.Fail(jobs.CodeMalformed, "the headers disagree on the image's size")
	}
	if _, ok := c.ColorModel.(color.Palette); ok { // which cannot be compared with the other models
		return config{paletted: true}, nil
	}
	return config{model: c.ColorModel}, nil
}

// reader reads what the decoder is given: the file, or the first picture of a WebP.
func (f *file) reader() io.Reader {
	switch f.Format {
	case "webp":
		return bufio.NewReaderSize(stillWebP(f.src, f.First), readAhead)
	case "tiff":
		return io.NewSectionReader(f.src, 0, f.src.Size()) // read at offsets
	}
	return bufio.NewReaderSize(f.src.Stream(), readAhead)
}

// decode decodes the first picture. It reports the share of the file that it has read, as a share
// of the whole work.
func (f *file) decode(report func(float64)) (*shot, error) {
	m := &meter{src: f.src, r: f.reader(), report: report}
	var r io.Reader = m
	if f.Format == "tiff" {
		r = m.r
	}
	decoded, err := formats()["image/"+f.Format].decode(r)
	if err != nil || f.src.Err() != nil {
		return nil, f.fault(err)
	}
	canvas := image.Rect(0, 0, int(f.Width), int(f.Height))
	s := &shot{canvas: canvas, picture: decoded, orientation: f.Orientation, coding: fullCoding()}
	if f.Format == "webp" {
		s.coding = studioCoding()
		s.at = image.Pt(int(f.First.X), int(f.First.Y))
	} else {
		s.at = decoded.Bounds().Min // a GIF's picture has bounds within the canvas
	}
	o, ok := decoded.(interface{ Opaque() bool })
	s.opaque = ok && o.Opaque() && decoded.Bounds().Size() == canvas.Size()
	if f.profile != nil && f.profile.convert != nil {
		if _, ok := decoded.(*image.CMYK); !ok {
			s.convert, s.converted = f.profile.convert, true
		}
	}
	return s, nil
}

// fault tells what an error of a decoder means. What it could not read is the source's fault.
func (f *file) fault(err error) error {
	if f.src.Err() != nil {
		return f.src.Err()
	}
	if isUnsupported(err) {
		return jobs.Fail(jobs.CodeUnsupported, "the image is of a form that is not decoded: %v", err)
	}
	return jobs.Fail(jobs.CodeMalformed, "the image cannot be decoded: %v", err)
}

func isUnsupported(err error) bool {
	if _, ok := errors.AsType[jpeg.UnsupportedError](err); ok {
		return true
	}
	if _, ok := errors.AsType[png.UnsupportedError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tiff.UnsupportedError](err); ok {
		return true
	}
	return errors.Is(err, bmp.ErrUnsupported)
}

// decoding is the share of the work that is reading and decoding, as progress reports it.
const decoding = 0.75

// meter reports progress by what is read through it. Decoders read a few kilobytes at a time: where
// these are many passes over a large picture, it ends them with the run.
type meter struct {
	src    *input.Source
	r      io.Reader
	report func(float64)
	done   int64 // bytes
}

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	if err := m.src.Ended(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.done += int64(n)
	m.report(decoding * min(1, float64(m.done)/float64(m.src.Size())))
	return n, err
}
