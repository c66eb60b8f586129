package archive

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"

	"github.com/leat-dev/leat/jobs/sniff"
)

// format is a kind of archive.
type format struct {
	name  string
	magic string // what it begins with
	read  func(*taker) error
}

// formatOf tells a file's format from its first bytes; nil when it is none of them. The content
// decides alone, so that a document that is a ZIP file can be taken apart by whoever asks for it.
func formatOf(head []byte) *format {
	formats := []format{
		{"zip", "PK\x03\x04", readZIP},
		{"zip", "PK\x05\x06", readZIP}, // an empty one
		{"7z", "7z\xbc\xaf\x27\x1c", read7z},
	}
	for _, u := range unpackers() {
		formats = append(formats, format{u.name, u.magic, func(t *taker) error { return readPacked(t, u) }})
	}
	for _, f := range formats {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return &f
		}
	}
	if isTar(head) {
		return &format{name: "tar", read: func(t *taker) error { return t.readTar(t.src.section(0, t.src.size())) }}
	}
	return nil
}

func isTar(head []byte) bool { return sniff.Type(head, "") == "application/x-tar" }

// unpacker unpacks one kind of compressed file.
type unpacker struct {
	name       string
	tar        string // the name for a compressed tar archive
	magic      string
	extensions []string
	open       func(io.Reader) (io.ReadCloser, error)
}

func unpackers() []unpacker {
	return []unpacker{
		{"gzip", "tar.gz", "\x1f\x8b", []string{".gz"}, func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
		{"bzip2", "tar.bz2", "BZh", []string{".bz2"}, openBzip2},
		{"xz", "tar.xz", "\xfd7zXZ\x00", []string{".xz"}, openXZ},
		{"zstd", "tar.zst", "\x28\xb5\x2f\xfd", []string{".zst", ".zstd"}, openZstd},
		{"zstd", "tar.zst", "\x50\x2a\x4d\x18", []string{".zst", ".zstd"}, openZstd}, // a skippable frame, as pzstd begins with
	}
}

func openBzip2(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(bzip2.NewReader(r)), nil }

func openXZ(r io.Reader) (io.ReadCloser, error) {
	unpacked, err := xz.NewReader(r, MaxXZWindow)
	return io.NopCloser(unpacked), err
}

func openZstd(r io.Reader) (io.ReadCloser, error) {
	unpacked, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(MaxZstdWindow))
	if err != nil {
		return nil, err
	}
	return unpacked.IOReadCloser(), nil
}
