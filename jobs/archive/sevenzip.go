package archive

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/leat-dev/leat/jobs"
)

// sevenStart is the length of the record that a 7z archive begins with, in bytes.
const sevenStart = 32

// largeWindow is how much of a folder is kept that is worth being collected at once, in bytes.
const largeWindow = 64 << 20

// sevenZip is a 7z archive whose directory has been read.
type sevenZip struct {
	src     *source
	streams sevenStreams
	files   []sevenFile
}

// read7z takes the files of a 7z archive in their order, so that each folder, which is what files are
// packed in together, is unpacked once.
func read7z(t *taker) error {
	archive := &sevenZip{src: t.src}
	directory, err := archive.directory()
	if err != nil {
		return err
	}
	if err := archive.parse(directory, t.params.MaxEntries); err != nil {
		return err
	}
	walk := &sevenWalk{archive: archive, bounded: bounded{src: t.src, left: t.budget, budget: t.budget}}
	for i := range archive.files {
		if err := walk.next(t, &archive.files[i]); err != nil {
			return errors.Join(err, walk.close())
		}
	}
	return walk.close()
}

// directory reads the archive's directory, unpacked. It may be packed, and that again.
func (a *sevenZip) directory() ([]byte, error) {
	var start [sevenStart]byte
	if _, err := a.src.ReadAt(start[:], 0); err != nil {
		return nil, noEOF(err)
	}
	le := binary.LittleEndian
	if crc32.ChecksumIEEE(start[12:]) != le.Uint32(start[8:]) {
		return nil, errChecksum
	}
	off, size := le.Uint64(start[12:]), le.Uint64(start[20:])
	if left := uint64(a.src.size()) - sevenStart; size > left || off > left-size {
		return nil, io.ErrUnexpectedEOF
	}
	if size > MaxHeader {
		return nil, failDirectory()
	}
	directory, err := readDirectory(a.src.section(int64(sevenStart+off), int64(size)), size, le.Uint32(start[28:]), true)
	const deepest = 4
	for range deepest {
		if err != nil || len(directory) == 0 || directory[0] != sevenPacked {
			return directory, err
		}
		directory, err = a.unpackDirectory(directory[1:])
	}
	return nil, jobs.Fail(jobs.CodeMalformed, "the archive's directory is packed again and again")
}

func (a *sevenZip) unpackDirectory(packed []byte) ([]byte, error) {
	r := &sevenReader{p: packed, most: 1}
	streams := r.streams()
	if r.err != nil {
		return nil, r.err
	}
	if len(streams.folders) != 1 {
		return nil, errDamaged
	}
	folder := &streams.folders[0]
	if locked := folder.locked(); locked == Encrypted {
		return nil, jobs.Fail(jobs.CodeEncrypted, "the archive's directory is encrypted")
	} else if locked == Method {
		return nil, jobs.Fail(jobs.CodeUnsupported, "the archive's directory is packed in a way that cannot be unpacked")
	}
	if folder.size() > MaxHeader {
		return nil, failDirectory()
	}
	unpacked, err := folder.open(a.src)
	if err != nil {
		return nil, err
	}
	directory, err := readDirectory(unpacked, folder.size(), folder.sum, folder.summed)
	return directory, errors.Join(err, unpacked.Close())
}

func readDirectory(r io.Reader, size uint64, sum uint32, summed bool) ([]byte, error) {
	directory := make([]byte, size)
	if _, err := io.ReadFull(r, directory); err != nil {
		return nil, noEOF(err)
	}
	if summed && crc32.ChecksumIEEE(directory) != sum {
		return nil, errChecksum
	}
	return directory, nil
}

func failDirectory() error {
	return jobs.Fail(jobs.CodeLimitMemory, "the archive's directory has more than %d bytes", MaxHeader)
}

// sevenWalk goes through the files and, as far as they are wanted, through the folders.
type sevenWalk struct {
	archive *sevenZip
	bounded bounded // reads the open folder; its budget is that of all
	folder  int
	stream  int           // of the folder, whose turn it is
	open    io.ReadCloser // the folder; nil until a file in it is wanted
	passed  int64         // bytes of the folder before stream
	read    int64         // bytes of the folder that were read
}

// next takes one file.
func (w *sevenWalk) next(t *taker, file *sevenFile) error {
	if !file.stream {
		return t.take(file.item(0, ""), func() (io.ReadCloser, error) { return io.NopCloser(eof{}), nil })
	}
	for w.folder < len(w.archive.streams.folders) && w.stream == len(w.archive.streams.folders[w.folder].parts) {
		if err := w.close(); err != nil {
			return err
		}
		w.folder, w.stream, w.passed, w.read = w.folder+1, 0, 0, 0
	}
	if w.folder == len(w.archive.streams.folders) {
		return errDamaged
	}
	folder := &w.archive.streams.folders[w.folder]
	part := folder.parts[w.stream]
	err := t.take(file.item(part.size, folder.locked()), func() (io.ReadCloser, error) { return w.content(folder, part) })
	w.stream++
	w.passed += part.size
	return err
}

// content gives a file's content, behind what was passed by in its folder.
func (w *sevenWalk) content(folder *sevenFolder, part sevenPart) (io.ReadCloser, error) {
	if w.open == nil {
		open, err := folder.open(w.archive.src)
		if err != nil {
			return nil, err
		}
		w.open, w.bounded.r = open, open
	}
	n, err := io.CopyN(io.Discard, &w.bounded, w.passed-w.read)
	w.read += n
	if err != nil {
		return nil, noEOF(err)
	}
	w.read += part.size // the reader below gives all of it, or an error that ends the run
	content := io.LimitReader(&w.bounded, part.size)
	return io.NopCloser(newChecked(content, part.size, part.sum, part.summed)), nil
}

func (w *sevenWalk) close() error {
	if w.open == nil {
		return nil
	}
	open := w.open
	w.open, w.bounded.r = nil, nil
	if w.archive.streams.folders[w.folder].size() > largeWindow {
		defer runtime.GC() // so that the next folder's window takes the place of this one's
	}
	return open.Close()
}

// eof is an empty content.
type eof struct{}

// Read implements io.Reader.
func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// sevenFile is what the directory says of a file.
type sevenFile struct {
	name       string
	attributes uint32
	stream     bool // has content
	folder     bool
	anti       bool // says that a file is to be deleted
}

// What a file's attributes say.
const (
	sevenIsFolder = 1 << 4
	sevenReparse  = 1 << 10 // a link of Windows
	sevenUnix     = 1 << 15 // the upper half is a mode
	zipUnix       = 3 << 8  // the creator whose mode is in the upper half
)

// item tells what a file is.
func (f *sevenFile) item(size int64, locked Reason) item {
	it := item{name: f.name, size: size, folder: f.folder || f.attributes&sevenIsFolder != 0, locked: locked}
	switch {
	case f.anti:
		it.kind = Special
	case f.attributes&sevenReparse != 0:
		it.kind = Link
	case f.attributes&sevenUnix != 0:
		header := zip.FileHeader{CreatorVersion: zipUnix, ExternalAttrs: f.attributes}
		_, it.kind = modeKind(header.Mode())
	}
	if it.folder && f.stream && it.kind == "" {
		it.kind = Special // content that nobody would look for
	}
	return it
}
