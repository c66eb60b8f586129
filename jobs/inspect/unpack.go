package inspect

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"

	"github.com/leat-dev/leat/jobs/input"
	"github.com/leat-dev/leat/jobs/sniff"
)

const (
	// maxUnpacked bounds how much of a compressed file is unpacked, in bytes.
	maxUnpacked = 8 << 30
	// maxWindow bounds what xz and zstd may keep of their output, in bytes: enough for xz -9.
	maxWindow = 64 << 20
	// maxWindows bounds how many runs of a process keep that much at once.
	maxWindows = 2
)

// unpacker unpacks one kind of compressed file.
type unpacker struct {
	format string // of a compressed file
	tar    string // of a compressed tar archive
	wide   bool   // keeps up to maxWindow
	open   func(io.Reader) (io.ReadCloser, error)
}

// unpackers gives the unpacker of each media type that has one.
func unpackers() map[string]*unpacker {
	return map[string]*unpacker{
		"application/gzip": {format: "gzip", tar: "tar.gz", open: func(r io.Reader) (io.ReadCloser, error) {
			return gzip.NewReader(r)
		}},
		"application/x-bzip2": {format: "bzip2", tar: "tar.bz2", open: func(r io.Reader) (io.ReadCloser, error) {
			return io.NopCloser(bzip2.NewReader(r)), nil
		}},
		"application/x-xz": {format: "xz", tar: "tar.xz", wide: true, open: func(r io.Reader) (io.ReadCloser, error) {
			unpacked, err := xz.NewReader(r, maxWindow)
			return io.NopCloser(unpacked), err
		}},
		"application/zstd": {format: "zstd", tar: "tar.zst", wide: true, open: func(r io.Reader) (io.ReadCloser, error) {
			unpacked, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, err
			}
			return unpacked.IOReadCloser(), nil
		}},
	}
}

// unpack counts what a compressed file holds. It keeps nothing of it, and stops at a limit: a small
// file may unpack to far more than anybody wants to wait for.
func (h *handler) unpack(ctx context.Context, src *input.Source, meter *meter, u *unpacker) (*Archive, error) {
	if u.wide {
		select {
		case h.windows <- struct{}{}:
			defer func() { <-h.windows }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	archive := &Archive{Format: u.format, Entries: 1}
	unpacked, err := u.open(io.TeeReader(src.Whole(), meter))
	if err == nil {
		err = archive.count(&limited{ctx: ctx, r: unpacked, left: h.maxUnpacked}, u)
		err = errors.Join(err, unpacked.Close())
	}
	if ended := context.Cause(ctx); ended != nil {
		return nil, ended
	}
	if src.Err() != nil {
		return nil, src.Err()
	}
	archive.Truncated = archive.Truncated || err != nil // the content's fault, whatever it is
	return archive, nil
}

// count reads what was unpacked: as a tar archive if it begins like one.
func (a *Archive) count(unpacked io.Reader, u *unpacker) error {
	r := bufio.NewReaderSize(unpacked, input.WindowSize)
	head, _ := r.Peek(sniff.Limit) // an error comes again behind what is there
	if sniff.Type(head, "") == "application/x-tar" {
		*a = Archive{Format: u.tar}
		a.readTar(r)
		return nil
	}
	size, err := io.Copy(io.Discard, r)
	a.UncompressedSize = size
	return err
}

// errLimit ends the reading of a file that unpacks to too much.
var errLimit = errors.New("unpacks to more than is counted")

// limited reads until its context or its limit ends, with an error when there was more.
type limited struct {
	ctx  context.Context // lives as long as one call of Handle
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if err := context.Cause(l.ctx); err != nil {
		return 0, err
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n, errLimit
	}
	return n, err
}
