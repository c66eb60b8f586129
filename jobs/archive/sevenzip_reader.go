package archive

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"unicode/utf16"

	"github.com/leat-dev/leat/jobs"
)

var errDamaged = errors.New("the archive's directory is damaged")

// What the parts of a 7z archive's directory begin with.
const (
	sevenEnd        = 0x00
	sevenHeader     = 0x01
	sevenProperties = 0x02
	sevenMain       = 0x04
	sevenFiles      = 0x05
	sevenPackInfo   = 0x06
	sevenUnpackInfo = 0x07
	sevenSubStreams = 0x08
	sevenSizes      = 0x09
	sevenSums       = 0x0a
	sevenFolders    = 0x0b
	sevenOutSizes   = 0x0c
	sevenCounts     = 0x0d
	sevenNoStream   = 0x0e
	sevenNoContent  = 0x0f
	sevenAnti       = 0x10
	sevenNames      = 0x11
	sevenAttributes = 0x15
	sevenPacked     = 0x17
	sevenDummy      = 0x19
)

// sevenReader reads a directory. After its first error it reads zeros. What it allocates is bounded by
// the directory's own length and by the number of files that are allowed, whatever the directory says.
type sevenReader struct {
	p    []byte
	most int // files, and folders
	err  error
}

// sections reads what comes one behind the other, each but the filling at most once, up to its end.
func (r *sevenReader) sections(read func(id byte)) {
	var seen [256]bool
	for id := r.byte(); r.err == nil && id != sevenEnd; id = r.byte() {
		if seen[id] && id != sevenDummy {
			r.fail()
			return
		}
		seen[id] = true
		read(id)
	}
}

func (r *sevenReader) fail() {
	if r.err == nil {
		r.err = errDamaged
	}
	r.p = nil
}

// take gives the next n bytes; nil when there are fewer.
func (r *sevenReader) take(n uint64) []byte {
	if n > uint64(len(r.p)) {
		r.fail()
		return nil
	}
	p := r.p[:n]
	r.p = r.p[n:]
	return p
}

func (r *sevenReader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *sevenReader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

// number reads one of 1 to 9 bytes: the ones that the first begins with say how many follow.
func (r *sevenReader) number() uint64 {
	first := r.byte()
	more := bits.LeadingZeros8(^first)
	var v uint64
	for i, b := range r.take(uint64(more)) {
		v |= uint64(b) << (8 * i)
	}
	if more < 7 {
		v |= uint64(first&(1<<(7-more)-1)) << (8 * more)
	}
	return v
}

// size reads a number of bytes.
func (r *sevenReader) size() uint64 {
	v := r.number()
	if v > math.MaxInt64/4 {
		r.fail()
		return 0
	}
	return v
}

// count reads how many there are of what takes at least one bit each, and of which most are allowed.
func (r *sevenReader) count(most int) int {
	v := r.number()
	switch {
	case v > 8*uint64(len(r.p)):
		r.fail()
		return 0
	case v > uint64(most):
		r.tooMany()
		return 0
	}
	return int(v)
}

func (r *sevenReader) tooMany() {
	if r.err == nil {
		r.err = jobs.Fail(jobs.CodeLimitOutput, "the archive has more than %d entries", r.most)
	}
	r.p = nil
}

// expect reads the byte that has to be there.
func (r *sevenReader) expect(id byte) {
	if r.byte() != id {
		r.fail()
	}
}

// bits reads n bits, the highest of each byte first.
func (r *sevenReader) bits(n int) []bool {
	p := r.take(uint64(n+7) / 8)
	if p == nil {
		return nil
	}
	set := make([]bool, n)
	for i := range set {
		set[i] = p[i/8]&(0x80>>(i%8)) != 0
	}
	return set
}

// defined reads which of n things are told of: all, or those with a bit.
func (r *sevenReader) defined(n int) []bool {
	if r.byte() == 0 {
		return r.bits(n)
	}
	if n > len(r.p) {
		r.fail()
		return nil
	}
	set := make([]bool, n)
	for i := range set {
		set[i] = true
	}
	return set
}

// parse reads an unpacked directory.
func (a *sevenZip) parse(directory []byte, maxFiles int) error {
	if len(directory) == 0 {
		return nil // an empty archive
	}
	r := &sevenReader{p: directory, most: maxFiles}
	r.expect(sevenHeader)
	r.sections(func(id byte) {
		switch id {
		case sevenProperties:
			for r.byte() != sevenEnd {
				r.take(r.number())
			}
		case sevenMain:
			a.streams = r.streams()
		case sevenFiles:
			a.files = r.files()
		default:
			r.fail()
		}
	})
	return r.err
}

// files reads what the directory says of the files.
func (r *sevenReader) files() []sevenFile {
	files := make([]sevenFile, r.count(r.most))
	for i := range files {
		files[i].stream = true
	}
	r.sections(func(id byte) {
		property := &sevenReader{p: r.take(r.number())}
		property.file(id, files)
		if r.err == nil {
			r.err = property.err
		}
	})
	return files
}

// file reads one property of all files.
func (r *sevenReader) file(id byte, files []sevenFile) {
	switch id {
	case sevenNoStream:
		for i, set := range r.bits(len(files)) {
			files[i].stream, files[i].folder = !set, set
		}
	case sevenNoContent:
		r.emptyFiles(files, func(f *sevenFile) { f.folder = false })
	case sevenAnti:
		r.emptyFiles(files, func(f *sevenFile) { f.anti = true })
	case sevenNames:
		r.expect(0) // not elsewhere
		for i := range files {
			files[i].name = r.name()
		}
	case sevenAttributes:
		set := r.defined(len(files))
		r.expect(0) // not elsewhere
		for i, defined := range set {
			if defined {
				files[i].attributes = r.uint32()
			}
		}
	}
}

// emptyFiles reads a bit for each file without a stream, and changes those whose bit is set.
func (r *sevenReader) emptyFiles(files []sevenFile, change func(*sevenFile)) {
	var empty []int
	for i := range files {
		if !files[i].stream {
			empty = append(empty, i)
		}
	}
	for i, set := range r.bits(len(empty)) {
		if set {
			change(&files[empty[i]])
		}
	}
}

// name reads UTF-16 up to a zero.
func (r *sevenReader) name() string {
	var units []uint16
	for {
		p := r.take(2)
		if p == nil {
			return ""
		}
		unit := binary.LittleEndian.Uint16(p)
		if unit == 0 {
			return string(utf16.Decode(units))
		}
		units = append(units, unit)
	}
}
