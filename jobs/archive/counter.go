package archive

import (
	"errors"
	"hash"
	"hash/crc32"
	"io"

	"github.com/leat-dev/leat/jobs"
)

// counter reads an entry's content as far as the limits allow, and keeps why it did not go on.
type counter struct {
	r            io.Reader
	src          *source
	file         int64 // bytes that it may have
	left, budget int64 // bytes that are left for it of all, and all
	n            int64
	err          error // other than io.EOF
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	if c.err == nil {
		c.err = c.src.ended()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		c.err = err
	case c.n > c.file:
		c.err = jobs.Fail(jobs.CodeLimitOutput, "a file in the archive has more than %d bytes", c.file)
	case c.n > c.left:
		c.err = failBytes(c.budget)
	default:
		return n, err
	}
	return n, c.err
}

// checked reads content that has to have the size and, if there is one, the checksum that were
// declared.
type checked struct {
	r      io.Reader
	left   int64
	sum    hash.Hash32
	want   uint32
	summed bool // want is there
}

func newChecked(r io.Reader, size int64, sum uint32, summed bool) *checked {
	return &checked{r: r, left: size, sum: crc32.NewIEEE(), want: sum, summed: summed}
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.left -= int64(n)
	if c.left < 0 {
		return n, errLong
	}
	_, _ = c.sum.Write(p[:n]) // a hash's never fails
	if errors.Is(err, io.EOF) {
		switch {
		case c.left > 0:
			return n, errShort
		case c.summed && c.sum.Sum32() != c.want:
			return n, errChecksum
		}
	}
	return n, err
}
