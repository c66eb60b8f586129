package table

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"

	"github.com/leat-dev/leat/jobs"
)

const (
	// chunk is how much of a file is read at once, in bytes.
	chunk = 256 << 10
	// maxUnpacked bounds how much of a compressed file is unpacked, in bytes.
	maxUnpacked = 8 << 30
)

// source reads a run's input from start to end, once for each pass. It keeps two kinds of trouble
// apart: content that is bad is its reader's to judge, while an input that cannot be read, or a
// context that has ended, stays here as err and ends the run, however its reader took it.
type source struct {
	ctx      context.Context // lives as long as one call of Handle
	input    *io.SectionReader
	progress func(fraction float64)
	total    int64 // bytes that all passes read together
	done     int64 // bytes read in all passes that count
	err      error
}

// pass gives a reader over the whole file from its start. Only passes that count add to progress.
func (s *source) pass(counts bool) io.Reader { return &pass{source: s, counts: counts} }

type pass struct {
	source *source
	off    int64
	counts bool
}

// Read implements io.Reader.
func (p *pass) Read(buf []byte) (int, error) {
	s := p.source
	if s.err == nil {
		s.err = context.Cause(s.ctx)
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.input.ReadAt(buf, p.off)
	p.off += int64(n)
	if p.counts {
		s.done += int64(n)
		s.progress(float64(s.done) / float64(max(s.total, 1)))
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		s.err = fmt.Errorf("read the file: %w", err)
		return n, s.err
	case n > 0:
		return n, nil
	}
	return n, err
}

// unpack gives what a gzip'd file holds; of content that is no gzip its errors are permanent ones.
func unpack(packed io.Reader, limit int64) (io.Reader, error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(packed, chunk))
	if err != nil {
		return nil, malformedGzip(err)
	}
	return &unpacked{z: z, left: limit}, nil
}

func malformedGzip(err error) error {
	return jobs.Fail(jobs.CodeMalformed, "the gzip'd file is damaged or cut short: %v", err)
}

// unpacked reads until its limit, behind which there is an error.
type unpacked struct {
	z    *gzip.Reader
	left int64
}

// Read implements io.Reader.
func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.z.Read(p)
	if u.left -= int64(n); u.left < 0 {
		return n, jobs.Fail(jobs.CodeLimitOutput, "the gzip'd file unpacks to more than is read")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, malformedGzip(err) // an error of the source is asked for before this one is
	}
	return n, err
}
