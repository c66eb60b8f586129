package api

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"io"
	"net/http"

	"github.com/dunglas/httpsfv"

	"github.com/leat-dev/leat/api/wire"
)

// The digests of RFC 9530 that are checked; others are ignored, as it says.
const (
	sha256Name = "sha-256"
	sha512Name = "sha-512"
)

var digestSizes = map[string]int{sha256Name: sha256.Size, sha512Name: sha512.Size}

// The fields in which a sender says what its bytes are to add up to. Nothing is taken that is coded for
// its way, so that both are about the same bytes.
var digestFields = []string{contentDigest, reprDigest}

const (
	contentDigest = "Content-Digest"
	reprDigest    = "Repr-Digest"
)

// maxDigestField bounds such a field, in bytes: there are a handful of algorithms.
const maxDigestField = 4 << 10

// promised is what a sender says of its bytes.
type promised struct {
	field, algorithm string
	sum              []byte
}

// check holds what came against it.
func (p *promised) check(got []byte) error {
	if bytes.Equal(got, p.sum) {
		return nil
	}
	return fail(wire.CodeDigestMismatch, "%s says %s=:%s:, and what arrived adds up to :%s:.", p.field, p.algorithm,
		base64.StdEncoding.EncodeToString(p.sum), base64.StdEncoding.EncodeToString(got))
}

// promises reads the digests in some fields of a header, or of the headers of a form's part.
func promises(fields []string, get func(field string) []string) ([]promised, error) {
	var list []promised
	for _, field := range fields {
		lines := get(field)
		if len(lines) == 0 {
			continue
		}
		size := 0
		for _, line := range lines {
			size += len(line)
		}
		malformed := fail(wire.CodeMalformedRequest, "%s is not a list of digests as RFC 9530 has it, such as sha-256=:...:", field)
		if size > maxDigestField {
			return nil, malformed
		}
		dictionary, err := httpsfv.UnmarshalDictionary(lines)
		if err != nil {
			return nil, malformed
		}
		for _, name := range dictionary.Names() {
			member, _ := dictionary.Get(name)
			item, ok := member.(httpsfv.Item)
			if !ok {
				return nil, malformed
			}
			sum, ok := item.Value.([]byte)
			if want, known := digestSizes[name]; !ok || known && len(sum) != want {
				return nil, malformed
			} else if known {
				list = append(list, promised{field, name, sum})
			}
		}
	}
	return list, nil
}

// digester adds bytes up for the promises that were made of them. A nil one checks nothing.
type digester struct {
	promises []promised
	sums     map[string]hash.Hash
	fields   []string    // in which promises are made
	trailer  http.Header // may bring more of them behind the body; nil when none was announced
}

// newDigester makes one, nil for no promises.
func newDigester(list []promised) *digester {
	if len(list) == 0 {
		return nil
	}
	d := &digester{promises: list, sums: map[string]hash.Hash{}}
	for _, p := range list {
		d.add(p.algorithm)
	}
	return d
}

// bodyDigester makes the digester of a request's body, of which the fields speak.
func bodyDigester(r *http.Request, fields ...string) (*digester, error) {
	list, err := promises(fields, r.Header.Values)
	if err != nil {
		return nil, err
	}
	d := newDigester(list)
	for _, field := range fields {
		if _, announced := r.Trailer[field]; announced {
			if d == nil {
				d = &digester{sums: map[string]hash.Hash{}}
			}
			d.fields, d.trailer = fields, r.Trailer
			d.add(sha256Name)
			d.add(sha512Name)
		}
	}
	return d, nil
}

func (d *digester) add(algorithm string) {
	switch {
	case d.sums[algorithm] != nil:
	case algorithm == sha256Name:
		d.sums[algorithm] = sha256.New()
	case algorithm == sha512Name:
		d.sums[algorithm] = sha512.New()
	}
}

// over reads from src and adds up what comes.
func (d *digester) over(src io.Reader) io.Reader {
	if d == nil {
		return src
	}
	for _, sum := range d.sums {
		src = io.TeeReader(src, sum)
	}
	return src
}

// check holds what came, all of it, against what was promised.
func (d *digester) check() error {
	if d == nil {
		return nil
	}
	late, err := promises(d.fields, d.trailer.Values)
	if err != nil {
		return err
	}
	for _, p := range append(d.promises, late...) {
		if err := p.check(d.sums[p.algorithm].Sum(nil)); err != nil {
			return err
		}
	}
	return nil
}

// answerDigest tells the digest of what is given out to who wants to know it.
func answerDigest(w http.ResponseWriter, r *http.Request, sum [sha256.Size]byte) {
	wanted, err := httpsfv.UnmarshalDictionary(r.Header.Values("Want-Repr-Digest"))
	if err != nil {
		return // a wish that cannot be read is none
	}
	member, _ := wanted.Get(sha256Name)
	if item, ok := member.(httpsfv.Item); ok {
		if weight, ok := item.Value.(int64); ok && weight > 0 {
			w.Header().Set("Repr-Digest", sha256Name+"=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		}
	}
}
