package inspect

import "encoding/binary"

// readGIF walks the blocks and counts the pictures.
func readGIF(image *picture) {
	c := image.src.whole()
	p, err := c.take(13)
	if err != nil {
		return
	}
	image.Width = int64(binary.LittleEndian.Uint16(p[6:]))
	image.Height = int64(binary.LittleEndian.Uint16(p[8:]))
	image.Frames = 0
	image.Truncated = !c.skip(colorTable(p[10])) || !readGIFBlocks(image, c)
	image.Frames = max(image.Frames, 1)
}

// readGIFBlocks is false when the file breaks off before its trailer.
func readGIFBlocks(image *picture, c *cursor) bool {
	for {
		p, err := c.take(1)
		if err != nil {
			return false
		}
		switch p[0] {
		case 0x21: // an extension, of any label
			if !c.skip(1) {
				return false
			}
		case 0x2C: // a picture
			if p, err = c.take(9); err != nil {
				return false
			}
			if image.Width == 0 || image.Height == 0 { // some files leave the screen's size out
				image.Width = int64(binary.LittleEndian.Uint16(p[4:]))
				image.Height = int64(binary.LittleEndian.Uint16(p[6:]))
			}
			image.Frames++
			if !c.skip(colorTable(p[8]) + 1) { // and the code size
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

func skipSubBlocks(c *cursor) bool {
	for {
		p, err := c.take(1)
		if err != nil {
			return false
		}
		if p[0] == 0 {
			return true
		}
		if !c.skip(int64(p[0])) {
			return false
		}
	}
}

// readWebP walks the chunks. The size that the outermost one declares is not believed: only the
// file's own end counts.
func readWebP(image *picture) {
	c := image.src.whole()
	c.skip(12)
	frames := int64(0)
	for c.off < c.end {
		p, err := c.take(8)
		if err != nil {
			image.Truncated = true
			break
		}
		kind, length := string(p[:4]), int64(binary.LittleEndian.Uint32(p[4:]))
		end := c.off + length
		switch kind {
		case "VP8X", "VP8 ", "VP8L":
			if p, err = c.take(int(min(length, 10))); err == nil && image.Width == 0 {
				image.Width, image.Height = webpSize(kind, p) // VP8X is first, and has the whole canvas
			}
		case "ANMF":
			frames++
		case "EXIF":
			image.orient(c.off, end)
		}
		if !c.moveTo(end) {
			image.Truncated = true
			break
		}
		c.skip(length & 1) // padding, which a last chunk may lack
	}
	image.Frames = max(frames, 1)
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
