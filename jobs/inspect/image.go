package inspect

import "encoding/binary"

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

// picture is an image while it is read.
type picture struct {
	Image
	src      *source
	oriented bool // EXIF data was read; any more of it is not
}

// readImage reads the headers of an image. It answers nil for other types and for images that have
// no readable header; its errors are those of the source.
func readImage(src *source, mediaType string) (*Image, error) {
	image := &picture{Image: Image{Orientation: 1, Frames: 1}, src: src}
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
	if src.err != nil || image.Width <= 0 || image.Height <= 0 {
		return nil, src.err
	}
	return &image.Image, nil
}

// whole makes a cursor over the whole file.
func (s *source) whole() *cursor { return newCursor(s, 0, s.size()) }

// readJPEG walks the segments up to the first scan for the frame header and EXIF.
func readJPEG(image *picture) {
	c := image.src.whole()
	c.skip(2) // the start marker
	for {
		marker, ok := nextMarker(c)
		if !ok || marker == 0xD9 || marker == 0xDA { // the image's end; the scan's start
			return
		}
		if standsAlone(marker) {
			continue
		}
		p, err := c.take(2)
		if err != nil {
			return
		}
		end := c.off - 2 + int64(max(binary.BigEndian.Uint16(p), 2))
		switch {
		case isSOF(marker) && image.Width == 0:
			if p, err = c.take(5); err == nil && c.off <= end {
				image.Height = int64(binary.BigEndian.Uint16(p[1:]))
				image.Width = int64(binary.BigEndian.Uint16(p[3:]))
			}
		case marker == 0xE1:
			if p, err = c.peek(6); err == nil && string(p) == exifPrefix { // not XMP
				image.orient(c.off, end)
			}
		}
		if !c.moveTo(end) {
			return
		}
	}
}

// standsAlone tells whether a marker has no segment.
func standsAlone(marker byte) bool { return marker == 0x01 || marker >= 0xD0 && marker <= 0xD8 }

// nextMarker finds the next marker of a JPEG, over fill bytes and garbage, as decoders do.
func nextMarker(c *cursor) (byte, bool) {
	for {
		p, err := c.take(1)
		if err != nil {
			return 0, false
		}
		for p[0] == 0xFF {
			if p, err = c.take(1); err != nil {
				return 0, false
			}
			if p[0] != 0 && p[0] != 0xFF {
				return p[0], true
			}
		}
	}
}

// isSOF tells the frame headers of all JPEG processes from the tables among them.
func isSOF(marker byte) bool {
	return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC
}

// readPNG walks the chunks. The pictures of an animation are counted, not believed.
func readPNG(image *picture) {
	c := image.src.whole()
	c.skip(8) // the signature
	frames, animated := int64(0), false
	for kind := ""; kind != "IEND"; {
		p, err := c.take(8)
		if err != nil {
			image.Truncated = true
			break
		}
		kind = string(p[4:])
		end := c.off + int64(binary.BigEndian.Uint32(p))
		switch kind {
		case "IHDR":
			if p, err = c.take(8); err == nil && c.off <= end && image.Width == 0 {
				image.Width = int64(binary.BigEndian.Uint32(p))
				image.Height = int64(binary.BigEndian.Uint32(p[4:]))
			}
		case "acTL":
			animated = true
		case "fcTL":
			frames++
		case "eXIf":
			image.orient(c.off, end)
		}
		if !c.moveTo(end + 4) { // behind the checksum
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
	p, err := image.src.whole().take(26)
	if err != nil {
		return
	}
	image.Width = int64(int32(binary.LittleEndian.Uint32(p[18:])))
	image.Height = int64(int32(binary.LittleEndian.Uint32(p[22:])))
	if image.Height < 0 { // rows from the top down
		image.Height = -image.Height
	}
}
