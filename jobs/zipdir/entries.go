package zipdir

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// The record of an entry: what it starts with, and the length of its fixed part.
const (
	entry     = "PK\x01\x02"
	entrySize = 46
)

// buffer is how much of a directory is read at once, in bytes: enough for files on a disk, and for
// those that are farther away not too much for a short one.
const buffer = 32 << 10

// Entry is what the directory says of an entry; the numbers may be anything.
type Entry struct {
	Name           string // the bytes as they are
	CreatorVersion uint16
	Flags          uint16
	Method         uint16
	CRC32          uint32
	CompressedSize uint64
	Size           uint64 // uncompressed
	Attributes     uint32 // external
	Offset         uint64 // of the entry's own header, from the file's start
}

// Entries walks through a directory. It is not safe for concurrent use.
type Entries struct {
	dir   *Directory
	r     *bufio.Reader
	left  uint64 // bytes of the directory that are not read yet
	start uint64
	base  uint64 // what offsets count from
	count uint64
}

// Entries starts at the first entry. The declared offset is wrong when something was put before
// the archive; then the directory's size tells where it begins. Its errors are those of the reader.
func (d *Directory) Entries() (*Entries, error) {
	e := &Entries{dir: d, start: d.end}
	var p [len(entry)]byte
	if d.off <= d.end && d.end-d.off >= entrySize {
		if err := readAt(d.r, p[:], int64(d.off)); err != nil {
			return nil, err
		}
	}
	switch {
	case string(p[:]) == entry:
		e.start = d.off
	case d.size <= d.end:
		e.start = d.end - d.size
		e.base = e.start - d.off // wraps around when it was behind, and back when it is added
	}
	e.left = d.end - e.start
	e.r = bufio.NewReaderSize(io.NewSectionReader(d.r, int64(e.start), int64(e.left)), buffer)
	return e, nil
}

// Start is where the directory begins, and the entries' contents have to end.
func (e *Entries) Start() int64 { return int64(e.start) }

// Next reads the next entry. Behind the last it answers io.EOF when the directory declared as many
// entries as there are, and ErrFormat when not, or when one is damaged. Other errors are the
// reader's.
func (e *Entries) Next() (Entry, error) {
	var p [entrySize]byte
	head, err := e.r.Peek(len(p))
	if err != nil && !errors.Is(err, io.EOF) {
		return Entry{}, err
	}
	if len(head) < len(p) || string(head[:4]) != entry {
		if e.count&e.dir.mask != e.dir.entries {
			return Entry{}, fmt.Errorf("%w: %d entries declared, %d there", ErrFormat, e.dir.entries, e.count)
		}
		return Entry{}, io.EOF
	}
	copy(p[:], head)
	le := binary.LittleEndian
	name, extra, comment := int(le.Uint16(p[28:])), int(le.Uint16(p[30:])), int(le.Uint16(p[32:]))
	whole := uint64(len(p) + name + extra + comment)
	if whole > e.left {
		return Entry{}, fmt.Errorf("%w: cut short", ErrFormat)
	}
	tail := make([]byte, name+extra)
	if err := e.read(tail, comment); err != nil {
		return Entry{}, err
	}
	e.left -= whole
	e.count++
	next := Entry{
		Name:           string(tail[:name]),
		CreatorVersion: le.Uint16(p[4:]),
		Flags:          le.Uint16(p[8:]),
		Method:         le.Uint16(p[10:]),
		CRC32:          le.Uint32(p[16:]),
		CompressedSize: uint64(le.Uint32(p[20:])),
		Size:           uint64(le.Uint32(p[24:])),
		Attributes:     le.Uint32(p[38:]),
		Offset:         uint64(le.Uint32(p[42:])),
	}
	next.read64(tail[name:])
	next.Offset += e.base
	return next, nil
}

// read takes what stands behind an entry's fixed part, without the comment.
func (e *Entries) read(tail []byte, comment int) error {
	_, err := e.r.Discard(entrySize)
	if err == nil {
		_, err = io.ReadFull(e.r, tail)
	}
	if err == nil {
		_, err = e.r.Discard(comment)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: cut short", ErrFormat)
	}
	return err
}

// read64 takes the numbers that have no room in the fixed part from the extra field that holds
// them, in their order.
func (n *Entry) read64(extra []byte) {
	le := binary.LittleEndian
	for len(extra) >= 4 {
		id, length := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if extra = extra[4:]; length > len(extra) {
			return
		}
		if id != 1 {
			extra = extra[length:]
			continue
		}
		field := extra[:length]
		for _, v := range []*uint64{&n.Size, &n.CompressedSize, &n.Offset} {
			if *v == math.MaxUint32 && len(field) >= 8 {
				*v, field = le.Uint64(field), field[8:]
			}
		}
		return
	}
}
