// Package zipdir reads the directory at the end of a ZIP file, entry by entry, in memory that does
// not depend on the file: neither a long directory nor a lie about its length costs any. Handlers
// share it. It reads no entry's content.
//
// It imports nothing else of Leat.
package zipdir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// ErrFormat says that a file has no ZIP directory, or a damaged one.
var ErrFormat = errors.New("not a ZIP directory")

// The records at a ZIP file's end: what each starts with, and the length of its fixed part.
const (
	end           = "PK\x05\x06"
	endSize       = 22
	locator64     = "PK\x06\x07"
	locator64Size = 20
	end64         = "PK\x06\x06"
	end64Size     = 56
)

// Directory is where a ZIP file's last record says that its directory is.
type Directory struct {
	r    io.ReaderAt
	off  uint64 // as declared
	size uint64 // as declared
	end  uint64 // where the record begins, and the directory should end

	entries uint64 // as declared
	mask    uint64 // the bits of entries that can be declared
}

// Find reads the record at the end of a file of size bytes, before the comment, or the ZIP64 one
// that this one stands for. It answers ErrFormat when there is none, and other errors are the
// reader's.
func Find(r io.ReaderAt, size int64) (*Directory, error) {
	start := max(size-endSize-math.MaxUint16, 0)
	tail := make([]byte, size-start)
	if err := readAt(r, tail, start); err != nil {
		return nil, err
	}
	at := len(tail) - endSize
	for ; at >= 0; at-- {
		at = bytes.LastIndex(tail[:at+len(end)], []byte(end))
		if at < 0 || int(binary.LittleEndian.Uint16(tail[at+20:])) <= len(tail)-at-endSize {
			break
		}
	}
	if at < 0 {
		return nil, ErrFormat
	}
	d := &Directory{
		r:       r,
		entries: uint64(binary.LittleEndian.Uint16(tail[at+10:])),
		size:    uint64(binary.LittleEndian.Uint32(tail[at+12:])),
		off:     uint64(binary.LittleEndian.Uint32(tail[at+16:])),
		end:     uint64(start) + uint64(at),
		mask:    math.MaxUint16,
	}
	return d, d.read64()
}

// read64 replaces what the last record says by what a ZIP64 record before it says, if there is one:
// where its locator points, or, when something was put before the archive, right before that.
func (d *Directory) read64() error {
	locator := int64(d.end) - locator64Size
	if locator < 0 {
		return nil
	}
	var p [end64Size]byte
	if err := readAt(d.r, p[:locator64Size], locator); err != nil {
		return err
	}
	if string(p[:4]) != locator64 {
		return nil
	}
	for _, at := range []int64{int64(binary.LittleEndian.Uint64(p[8:])), locator - end64Size} {
		if at < 0 || at > locator-end64Size {
			continue
		}
		if err := readAt(d.r, p[:], at); err != nil {
			return err
		}
		if string(p[:4]) == end64 {
			d.entries = binary.LittleEndian.Uint64(p[32:])
			d.size = binary.LittleEndian.Uint64(p[40:])
			d.off = binary.LittleEndian.Uint64(p[48:])
			d.end = uint64(at)
			d.mask = math.MaxUint64
			return nil
		}
	}
	return nil
}

// readAt fills p. Its error is ErrFormat when the file ends before, else the reader's.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: cut short", ErrFormat)
	}
	return err
}
