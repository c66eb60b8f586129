package inspect

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/leat-dev/leat/jobs/input"
)

// The records of a ZIP file: what each starts with, and the length of its fixed part.
const (
	zipEntry         = "PK\x01\x02"
	zipEntrySize     = 46
	zipEnd           = "PK\x05\x06"
	zipEndSize       = 22
	zip64Locator     = "PK\x06\x07"
	zip64LocatorSize = 20
	zip64End         = "PK\x06\x06"
	zip64EndSize     = 56
)

// zipDirectory is where a ZIP file's last record says that its directory is.
type zipDirectory struct {
	off, size, end uint64 // end is where the record begins, and the directory should end
	entries        uint64 // declared
	mask           uint64 // the bits of entries that can be declared
}

// readZIP walks the directory at the end of a ZIP file, entry by entry, so that neither a long one
// nor a lie about its length costs memory.
func readZIP(src *input.Source) *Archive {
	archive := &Archive{Format: "zip"}
	dir, ok := findZIPDirectory(src)
	c := dir.open(src)
	for size, more := nextZIPEntry(c); more; size, more = nextZIPEntry(c) {
		archive.add(int64(min(size, math.MaxInt64)))
	}
	archive.Truncated = !ok || uint64(archive.Entries)&dir.mask != dir.entries
	return archive
}

// open gives a cursor over the directory's entries. The declared offset is wrong when something was
// put before the archive; then the directory's size tells where it begins.
func (d *zipDirectory) open(src *input.Source) *input.Cursor {
	c := input.NewCursor(src, 0, int64(d.end))
	if d.off <= d.end && c.MoveTo(int64(d.off)) {
		if p, err := c.Peek(len(zipEntry)); err == nil && string(p) == zipEntry {
			return c
		}
	}
	if d.size > d.end || !c.MoveTo(int64(d.end-d.size)) {
		c.Off = c.End
	}
	return c
}

// nextZIPEntry reads one entry's uncompressed size.
func nextZIPEntry(c *input.Cursor) (size uint64, ok bool) {
	p, err := c.Take(zipEntrySize)
	if err != nil || string(p[:4]) != zipEntry {
		return 0, false
	}
	size = uint64(binary.LittleEndian.Uint32(p[24:]))
	name := int64(binary.LittleEndian.Uint16(p[28:]))
	extra := int64(binary.LittleEndian.Uint16(p[30:]))
	comment := int64(binary.LittleEndian.Uint16(p[32:]))
	behind := c.Off + name + extra
	if size == math.MaxUint32 && c.Skip(name) {
		size = zip64Size(c, min(behind, c.End))
	}
	return size, c.MoveTo(behind + comment)
}

// zip64Size looks for an entry's true size in its extra fields, up to end. It is the first number
// of the field that holds it.
func zip64Size(c *input.Cursor, end int64) uint64 {
	for end-c.Off >= 4 {
		p, err := c.Take(4)
		if err != nil {
			break
		}
		id, length := binary.LittleEndian.Uint16(p), int64(binary.LittleEndian.Uint16(p[2:]))
		if id == 1 {
			if p, err = c.Take(8); err != nil || length < 8 || c.Off > end {
				break
			}
			return binary.LittleEndian.Uint64(p)
		}
		if !c.Skip(length) {
			break
		}
	}
	return math.MaxUint32
}

// findZIPDirectory reads the record at the file's end, before the comment, or the ZIP64 one that
// this one stands for.
func findZIPDirectory(src *input.Source) (dir zipDirectory, ok bool) {
	start := max(src.Size()-zipEndSize-math.MaxUint16, 0)
	tail := make([]byte, src.Size()-start)
	if n, _ := src.ReadAt(tail, start); n < len(tail) { // the source keeps an error
		return dir, false
	}
	at := len(tail) - zipEndSize
	for ; at >= 0; at-- {
		at = bytes.LastIndex(tail[:at+len(zipEnd)], []byte(zipEnd))
		if at < 0 || int(binary.LittleEndian.Uint16(tail[at+20:])) <= len(tail)-at-zipEndSize {
			break
		}
	}
	if at < 0 {
		return dir, false
	}
	dir = zipDirectory{
		entries: uint64(binary.LittleEndian.Uint16(tail[at+10:])),
		size:    uint64(binary.LittleEndian.Uint32(tail[at+12:])),
		off:     uint64(binary.LittleEndian.Uint32(tail[at+16:])),
		end:     uint64(start) + uint64(at),
		mask:    math.MaxUint16,
	}
	dir.read64(input.NewCursor(src, 0, int64(dir.end)))
	return dir, true
}

// read64 replaces what the last record says by what a ZIP64 record before it says, if there is one:
// where its locator points, or, when something was put before the archive, right before that.
func (d *zipDirectory) read64(c *input.Cursor) {
	locator := c.End - zip64LocatorSize
	if !c.MoveTo(locator) {
		return
	}
	p, err := c.Take(zip64LocatorSize)
	if err != nil || string(p[:4]) != zip64Locator {
		return
	}
	for _, at := range []int64{int64(binary.LittleEndian.Uint64(p[8:])), locator - zip64EndSize} {
		if at < 0 || at > locator-zip64EndSize || !c.MoveTo(at) {
			continue
		}
		if p, err = c.Take(zip64EndSize); err == nil && string(p[:4]) == zip64End {
			*d = zipDirectory{
				entries: binary.LittleEndian.Uint64(p[32:]),
				size:    binary.LittleEndian.Uint64(p[40:]),
				off:     binary.LittleEndian.Uint64(p[48:]),
				end:     uint64(at),
				mask:    math.MaxUint64,
			}
			return
		}
	}
}
