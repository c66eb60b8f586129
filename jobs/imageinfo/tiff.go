package imageinfo

import (
	"encoding/binary"

	"github.com/leat-dev/leat/jobs/input"
)

// The tags of a TIFF directory that are read.
const (
	tagWidth       = 0x0100
	tagHeight      = 0x0101
	tagOrientation = 0x0112
	tagProfile     = 0x8773
)

// exifPrefix comes before EXIF data in a JPEG segment, and, by some writers, in a WebP chunk.
const exifPrefix = "Exif\x00\x00"

// maxPages bounds how many directories of one TIFF are followed, since each is remembered.
const maxPages = 10_000

// tiff reads a TIFF file. EXIF data is one too, inside of another file.
type tiff struct {
	c     *input.Cursor
	base  int64 // where offsets count from
	order binary.ByteOrder
}

// openTIFF reads the header where the cursor stands, and gives the first directory's offset.
func openTIFF(c *input.Cursor) (t *tiff, first int64, ok bool) {
	if p, err := c.Peek(6); err == nil && string(p) == exifPrefix {
		c.Skip(6)
	}
	t = &tiff{c: c, base: c.Off}
	p, err := c.Take(8)
	if err != nil {
		return nil, 0, false
	}
	switch string(p[:4]) {
	case "II*\x00":
		t.order = binary.LittleEndian
	case "MM\x00*":
		t.order = binary.BigEndian
	default:
		return nil, 0, false
	}
	return t, int64(t.order.Uint32(p[4:])), true
}

// entry is one of a directory: a number, or where many bytes are.
type entry struct {
	tag   uint16
	count int64 // of bytes; 1 for a number
	value int64
}

// directory calls visit with each number of the directory at an offset, and with each run of bytes. It gives the offset of the
// next one, 0 after the last, and false when the directory is not all there.
func (t *tiff) directory(at int64, visit func(entry)) (next int64, ok bool) {
	t.c.MoveTo(t.base + at)
	p, err := t.c.Take(2)
	if err != nil {
		return 0, false
	}
	for range t.order.Uint16(p) {
		if p, err = t.c.Take(12); err != nil {
			return 0, false
		}
		tag, kind, count := t.order.Uint16(p), t.order.Uint16(p[2:]), t.order.Uint32(p[4:])
		switch {
		case kind == 7 && count > 4:
			visit(entry{tag, int64(count), int64(t.order.Uint32(p[8:]))})
		case count != 1:
		case kind == 3:
			visit(entry{tag, 1, int64(t.order.Uint16(p[8:]))})
		case kind == 4:
			visit(entry{tag, 1, int64(t.order.Uint32(p[8:]))})
		}
	}
	if p, err = t.c.Take(4); err != nil {
		return 0, true // EXIF writers that need no next directory leave its offset out
	}
	return int64(t.order.Uint32(p)), true
}

// note takes what a directory says of an image.
func (i *Info) note(e entry) {
	switch {
	case e.tag == tagProfile && e.count > 1:
		i.Profile = []Section{{e.value, e.count}}
	case e.count != 1:
	case e.tag == tagWidth:
		i.Width = e.value
	case e.tag == tagHeight:
		i.Height = e.value
	case e.tag == tagOrientation && e.value >= 1 && e.value <= 8:
		i.Orientation = int(e.value)
	}
}

// orient takes the orientation from a part of the file that is EXIF data, the first that there is.
func (i *picture) orient(off, end int64) {
	if i.oriented {
		return
	}
	i.oriented = true
	t, first, ok := openTIFF(input.NewCursor(i.src, off, min(end, i.src.Size())))
	if !ok {
		return
	}
	var exif Info
	t.directory(first, exif.note)
	if exif.Orientation != 0 {
		i.Orientation = exif.Orientation
	}
}

// readTIFF reads the first page's directory and counts the others.
func readTIFF(image *picture) {
	t, at, ok := openTIFF(image.src.Whole())
	if !ok {
		return
	}
	at, ok = t.directory(at, image.note)
	seen := map[int64]bool{}
	for ok && at != 0 && !seen[at] && len(seen) < maxPages {
		seen[at] = true
		if at, ok = t.directory(at, func(entry) {}); ok {
			image.Frames++
		}
	}
	image.Truncated = !ok || at != 0
}
