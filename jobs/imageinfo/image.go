// Package imageinfo reads the headers of images: their size, orientation and number of frames, and
// where in the file a decoder finds what it needs. It decodes no pixels. Its memory does not depend
// on the image.
//
// It imports package jobs/input, and nothing else of Leat.
package imageinfo

import (
	"encoding/binary"

	"github.com/leat-dev/leat/jobs/input"
)

// Image tells what an image's headers say. An image whose headers cannot be read has none.
type Image struct {
	Format string `json:"format"` // "jpeg", "png", "gif", "webp", "bmp" or "tiff"
	Width  int64  `json:"width"`  // pixels, as stored: before Orientation is applied
	Height int64  `json:"height"`
	// Orientation is EXIF's, 1 to 8; 1 when the image says none, or none that there is.
	Orientation int `json:"orientation"`
	// Frames counts the pictures of an animation or the pages of a document.
	Frames int64 `json:"frames"`
	// Truncated says that the file ends or breaks off before its frames do: there may be more.
	Truncated bool `json:"truncated,omitempty"`
}

// Info is an image with what a decoder has to know before it begins.
type Info struct {
	Image
	// Layered says that the picture is stored in several passes over all of it, a progressive JPEG
	// or an interlaced PNG, for which decoders take more memory.
	Layered bool
	// Profile is where the ICC profile lies, in parts that are to be put together, as the file
	// orders them; a PNG's is compressed with zlib behind its name and two zeros.
	Profile []Section
	First   Frame // of a WebP
}

// Section is a part of the file.
type Section struct {
	Off, Size int64 // bytes
}

// Frame is the first picture of a WebP, on its canvas.
type Frame struct {
	X, Y, Width, Height int64   // pixels
	Alpha               Section // of the transparency of a lossy picture; empty without
	Pixels              Section // of the content of a chunk "VP8 " or "VP8L"; empty when there is none
	Lossless            bool    // the chunk is a VP8L
}

// picture is an image while it is read.
type picture struct {
	Info
	src      *input.Source
	oriented bool // EXIF data was read; any more of it is not
}

// Read reads the headers of an image of a media type. It answers nil for types other than those of
// the formats that Image names, and for images that have no readable header; its errors are those
// of the source.
func Read(src *input.Source, mediaType string) (*Info, error) {
	image := &picture{Info: Info{Image: Image{Orientation: 1, Frames: 1}}, src: src}
	var read func(*picture)
	switch mediaType {
	case "image/jpeg":
		image.Format, read = "jpeg", readJPEG
	case "image/png", "image/apng":
		image.Format, read = "png", readPNG
	case "image/gif":
		image.Format, read = "gif", readGIF
	case "image/webp":
		image.Format, read = "webp", readWebP
	case "image/bmp":
		image.Format, read = "bmp", readBMP
	case "image/tiff":
		image.Format, read = "tiff", readTIFF
	default:
		return nil, nil
	}
	read(image)
	if src.Err() != nil || image.Width <= 0 || image.Height <= 0 {
		return nil, src.Err()
	}
	return &image.Info, nil
}

// readPNG walks the chunks. The pictures of an animation are counted, not believed.
func readPNG(image *picture) {
	c := image.src.Whole()
	c.Skip(8) // the signature
	frames, animated := int64(0), false
	for kind := ""; kind != "IEND"; {
		p, err := c.Take(8)
		if err != nil {
			image.Truncated = true
			break
		}
		kind = string(p[4:])
		end := c.Off + int64(binary.BigEndian.Uint32(p))
		switch kind {
		case "IHDR":
			if p, err = c.Take(8); err == nil && c.Off <= end && image.Width == 0 {
				image.Width = int64(binary.BigEndian.Uint32(p))
				image.Height = int64(binary.BigEndian.Uint32(p[4:]))
				p, err = c.Peek(5)
				image.Layered = err == nil && p[4] != 0
			}
		case "iCCP":
			if image.Profile == nil {
				image.Profile = []Section{{c.Off, end - c.Off}}
			}
		case "acTL":
			animated = true
		case "fcTL":
			frames++
		case "eXIf":
			image.orient(c.Off, end)
		}
		if !c.MoveTo(end + 4) { // behind the checksum
			image.Truncated = true
			break
		}
	}
	if animated {
		image.Frames = max(frames, 1)
	}
}

// readBMP reads the header. Old OS/2 files, whose header has another form, are not taken for BMP.
func readBMP(image *picture) {
	p, err := image.src.Whole().Take(26)
	if err != nil {
		return
	}
	image.Width = int64(int32(binary.LittleEndian.Uint32(p[18:])))
	image.Height = int64(int32(binary.LittleEndian.Uint32(p[22:])))
	if image.Height < 0 { // rows from the top down
		image.Height = -image.Height
	}
}
