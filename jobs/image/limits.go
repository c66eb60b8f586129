package image

import (
	"image/color"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
)

const (
	// MaxPixels bounds an image's width times its height.
	MaxPixels = 120_000_000
	// MaxMemory bounds what work on one image may take, in bytes, as its headers let it expect.
	MaxMemory = 768 << 20
)

// admit refuses an image for what its headers say, before anything is allocated for its pixels.
func (h *handler) admit(f *file, variants []spec.ImageVariant) error {
	// Formats can say up to 2³² for each side.
	if f.Width > h.maxPixels || f.Height > h.maxPixels || f.Width*f.Height > h.maxPixels {
		return jobs.Fail(jobs.CodeLimitMemory, "the image has %d × %d pixels, and %d are the most that is decoded",
			f.Width, f.Height, h.maxPixels)
	}
	var err error
	if f.config, err = f.readConfig(); err != nil {
		return err
	}
	need := f.Width*f.Height*f.perPixel() + f.kept() + largest(f, variants)
	if need > h.maxMemory {
		return jobs.Fail(jobs.CodeLimitMemory, "to decode %d × %d pixels of this format takes %d MiB, and %d are the most that is given",
			f.Width, f.Height, need>>20, h.maxMemory>>20)
	}
	return nil
}

// perPixel is the most that the decoders keep of a pixel at once, in bytes.
func (f *file) perPixel() int64 {
	switch f.Format {
	case "jpeg":
		return f.perJPEGPixel()
	case "webp":
		if f.First.Lossless || f.First.Alpha.Size > 0 {
			return 8 // the transforms make copies; transparency may be stored as a lossless picture
		}
		return 2
	case "tiff":
		return 16 // a strip may be the whole picture again
	case "png":
		if f.Layered {
			return 2 * f.depth() // each pass is decoded to a picture of its own
		}
	}
	return f.depth()
}

func (f *file) perJPEGPixel() int64 {
	planes, coefficients := int64(3), int64(3*4)
	switch f.config.model {
	case color.GrayModel:
		planes, coefficients = 1, 4
	case color.RGBAModel:
		planes = 3 + 4 // stored as such, and put together
	case color.CMYKModel:
		planes, coefficients = 4+4, 4*4
	}
	if f.Layered {
		return planes + coefficients
	}
	return planes
}

// depth is the size of a pixel of the decoded picture, in bytes.
func (f *file) depth() int64 {
	switch f.config.model {
	case color.GrayModel:
		return 1
	case color.Gray16Model:
		return 2
	case color.RGBA64Model, color.NRGBA64Model:
		return 8
	}
	if f.config.paletted {
		return 1
	}
	return 4
}

// kept is what decoders keep of the file itself, in bytes. A JPEG, a PNG, a GIF and a BMP are only
// streamed.
func (f *file) kept() int64 {
	switch f.Format {
	case "webp":
		return f.First.Pixels.Size
	case "tiff":
		return f.src.Size()
	}
	return 0
}

// largest is what the largest variant takes while it is made, in bytes: it, its turned copy, and
// what an encoder keeps.
func largest(f *file, variants []spec.ImageVariant) int64 {
	most := int64(0)
	for _, v := range variants {
		width, height := fit(int(f.Width), int(f.Height), v.Size)
		perPixel := int64(12)
		if v.Format == spec.ImageWebP {
			perPixel = 64
		}
		most = max(most, int64(width)*int64(height)*perPixel)
	}
	return most
}

// fit gives the size of a variant whose longest side is at most size. It never enlarges.
func fit(width, height, size int) (int, int) {
	longest := max(width, height)
	if longest <= size {
		return width, height
	}
	scaled := func(side int) int { return max(1, (2*side*size+longest)/(2*longest)) }
	return scaled(width), scaled(height)
}
