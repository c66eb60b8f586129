package imageinfo

import (
	"encoding/binary"

	"github.com/leat-dev/leat/jobs/input"
)

// readWebP walks the chunks. The size that the outermost one declares is not believed: only the
// file's own end counts.
func readWebP(image *picture) {
	c := image.src.Whole()
	c.Skip(12)
	frames := int64(0)
	for c.Off < c.End {
		p, err := c.Take(8)
		if err != nil {
			image.Truncated = true
			break
		}
		kind, length := string(p[:4]), int64(binary.LittleEndian.Uint32(p[4:]))
		end := c.Off + length
		switch kind {
		case "VP8X", "VP8 ", "VP8L":
			if p, err = c.Take(int(min(length, 10))); err == nil && image.Width == 0 {
				image.Width, image.Height = webpSize(kind, p) // VP8X is first, and has the whole canvas
			}
			image.First.take(kind, p, Section{end - length, length})
		case "ALPH":
			image.First.take(kind, nil, Section{c.Off, length})
		case "ICCP":
			if image.Profile == nil {
				image.Profile = []Section{{c.Off, length}}
			}
		case "ANMF":
			if frames++; frames == 1 {
				image.First.read(c, end)
			}
		case "EXIF":
			image.orient(c.Off, end)
		}
		if !c.MoveTo(end) {
			image.Truncated = true
			break
		}
		c.Skip(length & 1) // padding, which a last chunk may lack
	}
	image.Frames = max(frames, 1)
}

// take notes a chunk of the first picture, which starts with p. Only the first of each counts.
func (f *Frame) take(kind string, p []byte, at Section) {
	switch {
	case f.Pixels.Size > 0 || kind == "VP8X":
	case kind == "ALPH":
		f.Alpha = at
	default:
		f.Pixels, f.Lossless = at, kind == "VP8L"
		f.Width, f.Height = webpSize(kind, p)
	}
}

// read walks the chunks of an animation's first frame.
func (f *Frame) read(c *input.Cursor, end int64) {
	p, err := c.Take(16)
	if err != nil || f.Pixels.Size > 0 {
		return
	}
	f.X, f.Y = 2*uint24(p), 2*uint24(p[3:])
	for c.Off < end && f.Pixels.Size == 0 {
		if p, err = c.Take(8); err != nil {
			return
		}
		kind, length := string(p[:4]), int64(binary.LittleEndian.Uint32(p[4:]))
		if c.Off+length > end {
			return
		}
		switch kind {
		case "VP8 ", "VP8L":
			if p, err = c.Peek(int(min(length, 10))); err == nil {
				f.take(kind, p, Section{c.Off, length})
			}
		case "ALPH":
			f.take(kind, nil, Section{c.Off, length})
		}
		if !c.Skip(length + length&1) {
			return
		}
	}
}

// webpSize reads the size of a picture from the first ten bytes, or all, of a chunk that has it.
func webpSize(kind string, p []byte) (width, height int64) {
	switch {
	case kind == "VP8X" && len(p) >= 10:
		return uint24(p[4:]) + 1, uint24(p[7:]) + 1
	case kind == "VP8L" && len(p) >= 5 && p[0] == 0x2F:
		bits := int64(binary.LittleEndian.Uint32(p[1:]))
		return bits&0x3FFF + 1, bits>>14&0x3FFF + 1
	case kind == "VP8 " && len(p) >= 10 && string(p[3:6]) == "\x9d\x01\x2a": // a key frame's start
		return int64(binary.LittleEndian.Uint16(p[6:]) & 0x3FFF), int64(binary.LittleEndian.Uint16(p[8:]) & 0x3FFF)
	}
	return 0, 0
}

func uint24(p []byte) int64 { return int64(p[0]) | int64(p[1])<<8 | int64(p[2])<<16 }
