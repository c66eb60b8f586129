package archive

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/sniff"
)

// readPacked reads a compressed file: as a tar archive if what it unpacks to begins like one, else
// as the one file that it holds.
func readPacked(t *taker, u unpacker) error {
	unpacked, err := u.open(bufio.NewReaderSize(t.src.section(0, t.src.size()), buffer))
	if err != nil {
		return noEOF(err)
	}
	bounded := &bounded{r: unpacked, src: t.src, left: t.budget, budget: t.budget}
	r := bufio.NewReaderSize(bounded, buffer)
	head, _ := r.Peek(sniff.Limit) // an error comes again behind what is there
	if isTar(head) {
		t.result.Format = u.tar
		err = t.readTar(r)
		if err == nil { // what is behind the tar archive is padding, and then the checksum
			_, err = io.Copy(io.Discard, r)
		}
	} else {
		it := item{name: innerName(t.run.File.Name, unpacked, u), size: -1}
		err = t.take(it, func() (io.ReadCloser, error) { return io.NopCloser(r), nil })
	}
	return errors.Join(err, unpacked.Close())
}

// innerName is the name of the file in a compressed one: its own without the extension that tells
// of the compression, else the one that is written in it, if there is one and it is good.
func innerName(name string, unpacked io.Reader, u unpacker) string {
	name = jobs.CleanName(name)
	extension := path.Ext(name)
	for _, e := range u.extensions {
		if strings.EqualFold(extension, e) && len(name) > len(extension) {
			return name[:len(name)-len(extension)]
		}
	}
	if z, ok := unpacked.(*gzip.Reader); ok && z.Name != "" {
		if clean, reason := cleanPath(z.Name); reason == "" {
			return path.Base(clean)
		}
	}
	return name
}

// bounded reads what a decompressor makes until its run or its budget ends.
type bounded struct {
	r            io.Reader
	src          *source
	left, budget int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if err := b.src.ended(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, failBytes(b.budget)
	}
	return n, err
}
