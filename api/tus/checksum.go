package tus

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // see algorithms
	"crypto/sha1" //nolint:gosec // see algorithms
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"
)

const checksumHeader = "Upload-Checksum"

// algorithms are those of the checksum extension, which asks for sha1 at least. They find what was
// damaged on its way, and are no proof against anybody.
var algorithms = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New,
}

// Algorithms are the names of those by which an Upload-Checksum can be made, with commas.
var Algorithms = func() string {
	var names []string
	for name := range algorithms {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}()

// checksum is what a body is to add up to.
type checksum struct {
	sums    map[string]hash.Hash // by algorithm: one, or all until the trailer says which
	header  string
	trailer http.Header // brings the header behind the body; nil when it came before it
}

// parseChecksum reads the checksum of a request, nil for none.
func parseChecksum(r *http.Request) (*checksum, error) {
	c := &checksum{sums: map[string]hash.Hash{}, header: r.Header.Get(checksumHeader)}
	if _, announced := r.Trailer[checksumHeader]; announced && c.header == "" {
		c.trailer = r.Trailer
		for name, make := range algorithms {
			c.sums[name] = make()
		}
		return c, nil
	}
	if c.header == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	name, _, err := splitChecksum(c.header)
	if err != nil {
		return nil, err
	}
	c.sums[name] = algorithms[name]()
	return c, nil
}

// splitChecksum takes the header apart: the algorithm's name, and the sum in Base64.
func splitChecksum(header string) (name string, sum []byte, err error) {
	name, text, _ := strings.Cut(header, " ")
	make, known := algorithms[name]
	if !known {
		return "", nil, &HeaderError{checksumHeader, "the algorithm is none of " + Algorithms}
	}
	sum, err = decodeBase64(text)
	if err != nil || len(sum) != make().Size() {
		return "", nil, &HeaderError{checksumHeader, "the sum is not one of " + name + " in Base64"}
	}
	return name, sum, nil
}

func decodeBase64(text string) ([]byte, error) { return base64.StdEncoding.Strict().DecodeString(text) }

// over reads from src and adds up what comes.
func (c *checksum) over(src io.Reader) io.Reader {
	for _, sum := range c.sums {
		src = io.TeeReader(src, sum)
	}
	return src
}

// check holds what came against what was promised.
func (c *checksum) check() error {
	header := c.header
	if c.trailer != nil {
		header = c.trailer.Get(checksumHeader)
	}
	name, want, err := splitChecksum(header)
	if err != nil {
		return err
	}
	if !bytes.Equal(c.sums[name].Sum(nil), want) {
		return ErrBadChecksum
	}
	return nil
}
