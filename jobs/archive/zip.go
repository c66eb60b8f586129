package archive

import (
	"archive/zip"
	"bufio"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/zipdir"
)

// What an entry's flags and methods say.
const (
	zipEncrypted  = 1 << 0
	zipUTF8       = 1 << 11
	zipMasked     = 1 << 13 // parts of the headers are encrypted
	zipAES        = 99
	zipBzip2      = 12
	zipZstd       = 93
	zipXZ         = 95
	zipHeader     = "PK\x03\x04"
	zipHeaderSize = 30
)

// zipArchive is a ZIP archive whose directory has been looked over once.
type zipArchive struct {
	src   *source
	parts []zipPart // ordered, and none shares bytes with the next
	end   int64     // where the contents have to end
}

// zipPart is where an entry's header begins, and where its content ends at the earliest.
type zipPart struct{ start, end int64 }

// readZIP goes through the directory twice: to see that the archive is sound, and to take its
// entries. The directory alone says what is in the archive; what the entries' own headers say
// besides is not believed.
func readZIP(t *taker) error {
	dir, err := zipdir.Find(t.src, t.src.size())
	if err != nil {
		return err
	}
	archive, err := surveyZIP(t, dir)
	if err != nil {
		return err
	}
	return eachZIP(dir, func(_ *zipdir.Entries, entry zipdir.Entry) error {
		return t.take(zipItem(&entry), func() (io.ReadCloser, error) { return archive.open(&entry) })
	})
}

// eachZIP calls visit with every entry of the directory.
func eachZIP(dir *zipdir.Directory, visit func(*zipdir.Entries, zipdir.Entry) error) error {
	entries, err := dir.Entries()
	if err != nil {
		return err
	}
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(entries, entry); err != nil {
			return err
		}
	}
}

// surveyZIP finds where the entries are. An archive whose entries share bytes is refused as a whole:
// no program makes one, and a small one unpacks to any size.
func surveyZIP(t *taker, dir *zipdir.Directory) (*zipArchive, error) {
	archive := &zipArchive{src: t.src}
	err := eachZIP(dir, func(entries *zipdir.Entries, entry zipdir.Entry) error {
		archive.end = entries.Start()
		if len(archive.parts) >= t.params.MaxEntries {
			return jobs.Fail(jobs.CodeLimitOutput, "the archive has more than %d entries", t.params.MaxEntries)
		}
		size, end := entry.CompressedSize, uint64(archive.end)
		if size > end || entry.Offset > end-size || end-size-entry.Offset < zipHeaderSize {
			return jobs.Fail(jobs.CodeMalformed, "%q lies outside of the archive", shown(entry.Name))
		}
		start := int64(entry.Offset)
		archive.parts = append(archive.parts, zipPart{start, start + zipHeaderSize + int64(size)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(archive.parts, func(a, b zipPart) int { return cmp.Compare(a.start, b.start) })
	for i := 1; i < len(archive.parts); i++ {
		if archive.parts[i].start < archive.parts[i-1].end {
			return nil, failOverlap()
		}
	}
	return archive, nil
}

func failOverlap() error {
	return jobs.Fail(jobs.CodeMalformed, "entries of the archive share bytes")
}

// zipItem tells what an entry is.
func zipItem(entry *zipdir.Entry) item {
	header := zip.FileHeader{Name: entry.Name, CreatorVersion: entry.CreatorVersion, ExternalAttrs: entry.Attributes}
	it := item{name: zipName(entry), size: int64(min(entry.Size, 1<<62))}
	it.folder, it.kind = modeKind(header.Mode())
	if strings.HasSuffix(it.name, `\`) && it.kind == "" { // as some programs on Windows write them
		it.folder = true
	}
	if it.folder && entry.Size > 0 && it.kind == "" {
		it.kind = Special // content that nobody would look for
	}
	switch {
	case entry.Flags&(zipEncrypted|zipMasked) != 0 || entry.Method == zipAES:
		it.locked = Encrypted
	case zipUnpacker(entry.Method) == nil:
		it.locked = Method
	}
	return it
}

// modeKind tells what an entry with a mode is: a folder, a file, or something to refuse.
func modeKind(mode fs.FileMode) (folder bool, refused Reason) {
	switch {
	case mode&fs.ModeSymlink != 0:
		return false, Link
	case mode&fs.ModeDevice != 0:
		return false, Device
	case mode&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeIrregular) != 0:
		return false, Special
	}
	return mode.IsDir(), ""
}

// zipName reads an entry's name. One that does not say that it is UTF-8 should be in code page 437;
// many programs write UTF-8 all the same, and hardly any text in another encoding is UTF-8 by chance.
func zipName(entry *zipdir.Entry) string {
	if utf8.ValidString(entry.Name) {
		return entry.Name
	}
	if entry.Flags&zipUTF8 == 0 {
		if name, err := charmap.CodePage437.NewDecoder().String(entry.Name); err == nil {
			return name
		}
	}
	return strings.ToValidUTF8(entry.Name, "\ufffd")
}

// zipUnpacker gives what unpacks a method's content; nil when nothing does.
func zipUnpacker(method uint16) func(io.Reader) (io.ReadCloser, error) {
	switch method {
	case zip.Store:
		return func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(r), nil }
	case zip.Deflate:
		return func(r io.Reader) (io.ReadCloser, error) { return flate.NewReader(r), nil }
	case zipBzip2:
		return openBzip2
	case zipZstd:
		return openZstd
	case zipXZ:
		return openXZ
	}
	return nil
}

// open gives an entry's content, which is held against the size and checksum in the directory.
func (a *zipArchive) open(entry *zipdir.Entry) (io.ReadCloser, error) {
	var header [zipHeaderSize]byte
	start := int64(entry.Offset)
	if _, err := a.src.ReadAt(header[:], start); err != nil {
		return nil, noEOF(err)
	}
	if string(header[:4]) != zipHeader {
		return nil, jobs.Fail(jobs.CodeMalformed, "the directory points to %q where there is nothing", shown(entry.Name))
	}
	name, extra := binary.LittleEndian.Uint16(header[26:]), binary.LittleEndian.Uint16(header[28:])
	off := start + zipHeaderSize + int64(name) + int64(extra)
	size := int64(entry.CompressedSize)
	if off+size > a.limit(start) {
		return nil, failOverlap()
	}
	unpacked, err := zipUnpacker(entry.Method)(bufio.NewReaderSize(a.src.section(off, size), buffer))
	if err != nil {
		return nil, noEOF(err)
	}
	return &zipContent{newChecked(unpacked, int64(min(entry.Size, 1<<62)), entry.CRC32, true), unpacked}, nil
}

// limit is where the part that begins at start has to end: where the next one, or the directory,
// begins.
func (a *zipArchive) limit(start int64) int64 {
	next, _ := slices.BinarySearchFunc(a.parts, start+1, func(p zipPart, at int64) int { return cmp.Compare(p.start, at) })
	if next == len(a.parts) {
		return a.end
	}
	return a.parts[next].start
}

// zipContent is an entry's content.
type zipContent struct {
	io.Reader
	io.Closer
}
