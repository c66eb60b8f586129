package imageinfo

import (
	"encoding/binary"

	"github.com/leat-dev/leat/jobs/input"
)

// readJPEG walks the segments up to the first scan for the frame header and EXIF.
func readJPEG(image *picture) {
	c := image.src.Whole()
	c.Skip(2) // the start marker
	for {
		marker, ok := nextMarker(c)
		if !ok || marker == 0xD9 || marker == 0xDA { // the image's end; the scan's start
			return
		}
		if standsAlone(marker) {
			continue
		}
		p, err := c.Take(2)
		if err != nil {
			return
		}
		end := c.Off - 2 + int64(max(binary.BigEndian.Uint16(p), 2))
		image.readSegment(c, marker, end)
		if !c.MoveTo(end) {
			return
		}
	}
}

// readSegment takes what counts of a segment that ends at end.
func (i *picture) readSegment(c *input.Cursor, marker byte, end int64) {
	switch {
	case isSOF(marker) && i.Width == 0:
		if p, err := c.Take(5); err == nil && c.Off <= end {
			i.Height = int64(binary.BigEndian.Uint16(p[1:]))
			i.Width = int64(binary.BigEndian.Uint16(p[3:]))
			i.Layered = marker&3 == 2
		}
	case marker == 0xE1:
		if p, err := c.Peek(len(exifPrefix)); err == nil && string(p) == exifPrefix { // not XMP
			i.orient(c.Off, end)
		}
	case marker == 0xE2:
		i.profile(c, end)
	}
}

// standsAlone tells whether a marker has no segment.
func standsAlone(marker byte) bool { return marker == 0x01 || marker >= 0xD0 && marker <= 0xD8 }

// nextMarker finds the next marker of a JPEG, over fill bytes and garbage, as decoders do.
func nextMarker(c *input.Cursor) (byte, bool) {
	for {
		p, err := c.Take(1)
		if err != nil {
			return 0, false
		}
		for p[0] == 0xFF {
			if p, err = c.Take(1); err != nil {
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

// profilePrefix comes before a part of an ICC profile in a JPEG segment, and before two bytes: which
// part it is, and how many there are.
const profilePrefix = "ICC_PROFILE\x00"

// maxParts is how many parts a profile can have in a JPEG.
const maxParts = 255

// profile takes a part of an ICC profile from a JPEG segment. Writers put them in order.
func (i *picture) profile(c *input.Cursor, end int64) {
	const header = len(profilePrefix) + 2
	p, err := c.Peek(header)
	if err != nil || string(p[:len(profilePrefix)]) != profilePrefix || len(i.Profile) >= maxParts {
		return
	}
	if off := c.Off + int64(header); off <= end {
		i.Profile = append(i.Profile, Section{off, end - off})
	}
}
