package image

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
)

// extensions gives the extension of each format's artifacts.
func extensions() map[string]string {
	return map[string]string{spec.ImageJPEG: ".jpg", spec.ImagePNG: ".png", spec.ImageWebP: ".webp"}
}

// store encodes a picture and makes it an artifact. The encoders write pixels and nothing else.
func store(ctx context.Context, run *jobs.Run, picture *image.NRGBA, v spec.ImageVariant, transparent bool) (Variant, error) {
	format := v.Format
	switch {
	case format != spec.ImageAuto:
	case transparent:
		format = spec.ImagePNG
	default:
		format = spec.ImageJPEG
	}
	made := Variant{
		Name: v.Name, Width: picture.Rect.Dx(), Height: picture.Rect.Dy(),
		Format: format, Artifact: v.Name + extensions()[format],
	}
	var content bytes.Buffer
	if err := encode(&bounded{ctx, &content}, picture, format, v.Quality); err != nil {
		return made, fmt.Errorf("encode %s: %w", made.Artifact, err)
	}
	if _, err := run.Artifact(ctx, made.Artifact, "image/"+format, &content); err != nil {
		return made, fmt.Errorf("store %s: %w", made.Artifact, err)
	}
	return made, nil
}

// encode writes a picture in a format.
func encode(w io.Writer, picture *image.NRGBA, format string, quality int) error {
	switch format {
	case spec.ImagePNG:
		return png.Encode(w, picture)
	case spec.ImageWebP:
		return encodeWebP(w, picture)
	default:
		return jpeg.Encode(w, onWhite(picture), &jpeg.Options{Quality: quality})
	}
}

// onWhite gives a picture without transparency, for formats that have none.
func onWhite(picture *image.NRGBA) *image.RGBA {
	out := &image.RGBA{Pix: picture.Pix, Stride: picture.Stride, Rect: picture.Rect}
	if picture.Opaque() { // then the two are the same
		return out
	}
	out.Pix = make([]byte, len(picture.Pix))
	for i := 0; i+3 < len(out.Pix); i += 4 {
		a := uint32(picture.Pix[i+3])
		for j := i; j < i+3; j++ {
			out.Pix[j] = uint8((uint32(picture.Pix[j])*a + 255*(255-a) + 127) / 255)
		}
		out.Pix[i+3] = 0xFF
	}
	return out
}

// bounded ends an encoder when its context ends.
type bounded struct {
	ctx context.Context // lives as long as one call of Handle
	w   io.Writer
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	return b.w.Write(p)
}
