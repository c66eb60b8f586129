package tus

import (
	"io"
	"net/http"
)

// CheckBody reads the body of a request and holds it against its checksum, if it has one.
func CheckBody(r *http.Request) (has bool, err error) {
	sum, err := parseChecksum(r)
	if err != nil || sum == nil {
		return false, err
	}
	if _, err := io.Copy(io.Discard, sum.over(r.Body)); err != nil {
		return true, err
	}
	return true, sum.check()
}

// MaxMetadata bounds the metadata of a transfer, in bytes.
const MaxMetadata = maxMetadata
