package imageinfo

import (
	"encoding/binary"

	"github.com/leat-dev/leat/jobs/input"
)

// readGIF walks the blocks and counts the pictures.
func readGIF(image *picture) {
	c := image.src.Whole()
	p, err := c.Take(13)
	if err != nil {
		return
	}
	image.Width = int64(binary.LittleEndian.Uint16(p[6:]))
	image.Height = int64(binary.LittleEndian.Uint16(p[8:]))
	image.Frames = 0
	image.Truncated = !c.Skip(colorTable(p[10])) || !readGIFBlocks(image, c)
	image.Frames = max(image.Frames, 1)
}

// readGIFBlocks is false when the file breaks off before its trailer.
func readGIFBlocks(image *picture, c *input.Cursor) bool {
	for {
		p, err := c.Take(1)
		if err != nil {
			return false
		}
		switch p[0] {
		case 0x21: // an extension, of any label
			if !c.Skip(1) {
				return false
			}
		case 0x2C: // a picture
			if p, err = c.Take(9); err != nil {
				return false
			}
			if image.Width == 0 || image.Height == 0 { // some files leave the screen's size out
				image.Width = int64(binary.LittleEndian.Uint16(p[4:]))
				image.Height = int64(binary.LittleEndian.Uint16(p[6:]))
			}
			image.Frames++
			if !c.Skip(colorTable(p[8]) + 1) { // and the code size
				return false
			}
		case 0x3B:
			return true
		default:
			return false
		}
		if !skipSubBlocks(c) {
			return false
		}
	}
}

// colorTable gives the size of the color table that a GIF's flags announce.
func colorTable(flags byte) int64 {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

func skipSubBlocks(c *input.Cursor) bool {
	for {
		p, err := c.Take(1)
		if err != nil {
			return false
		}
		if p[0] == 0 {
			return true
		}
		if !c.Skip(int64(p[0])) {
			return false
		}
	}
}
