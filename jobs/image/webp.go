package image

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/leat-dev/leat/jobs/imageinfo"
)

// stillWebP makes a WebP file of one picture of another, which may be an animation: the decoder
// knows only still ones, and only those that keep every rule.
func stillWebP(src io.ReaderAt, f imageinfo.Frame) io.Reader {
	head := []byte("RIFF____WEBP") // the size comes when it is known
	parts := []io.Reader{nil}
	size := int64(len("WEBP"))
	add := func(kind string, at imageinfo.Section) {
		header := binary.LittleEndian.AppendUint32([]byte(kind), uint32(at.Size))
		parts = append(parts, bytes.NewReader(header), io.NewSectionReader(src, at.Off, at.Size))
		size += int64(len(header)) + at.Size
		if at.Size%2 != 0 {
			parts = append(parts, bytes.NewReader([]byte{0}))
			size++
		}
	}
	switch {
	case f.Lossless:
		add("VP8L", f.Pixels)
	case f.Alpha.Size == 0:
		add("VP8 ", f.Pixels)
	default:
		extended := append24(append24([]byte("VP8X\x0a\x00\x00\x00\x10\x00\x00\x00"), f.Width-1), f.Height-1)
		head = append(head, extended...)
		size += int64(len(extended))
		add("ALPH", f.Alpha)
		add("VP8 ", f.Pixels)
	}
	binary.LittleEndian.PutUint32(head[4:], uint32(size))
	parts[0] = bytes.NewReader(head)
	return io.MultiReader(parts...)
}

func append24(p []byte, v int64) []byte { return append(p, byte(v), byte(v>>8), byte(v>>16)) }
