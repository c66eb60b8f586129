package tus_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	tusd "github.com/tus/tusd/v2/pkg/handler"
	"golang.org/x/net/http/httpguts"

	"github.com/leat-dev/leat/api/tus"
)

// FuzzMetadata: what is understood is what tusd understands, whole, and comes back from what tusd writes;
// what tusd writes of any names and values is understood.
func FuzzMetadata(f *testing.F) {
	for _, header := range []string{
		"", "filename YS50eHQ=,filetype dGV4dA==", "own", "a ,b YQ==", " a YQ== , b", "a YQ==,a Yg==", "a !", "a YR==", "a  YQ==", ",,", "\u00a0a\u00a0 YQ==", strings.Repeat("a,", tus.MaxMetadata),
	} {
		f.Add(header, "Name", []byte("Value"))
	}
	f.Add("", "\u00a0", []byte{})
	f.Add("", "", []byte{0xff})
	f.Fuzz(func(t *testing.T, header, name string, value []byte) {
		if got, err := tus.ParseMetadata(header); err == nil && httpguts.ValidHeaderFieldValue(header) {
			if theirs := tusd.ParseMetadataHeader(header); !maps.Equal(got, theirs) {
				t.Fatalf("%q is %q, and to tusd %q", header, got, theirs)
			}
			text := tusd.SerializeMetadataHeader(got)
			if again, err := tus.ParseMetadata(text); len(text) <= tus.MaxMetadata && (err != nil || !maps.Equal(got, again)) {
				t.Fatalf("%q came back as %q: %v", got, again, err)
			}
		} else if refused := new(tus.HeaderError); err != nil && !errors.As(err, &refused) {
			t.Fatalf("%q: %v", header, err)
		}
		written := map[string]string{name: string(value), "other": "x"}
		text := tusd.SerializeMetadataHeader(written)
		if name == "" || strings.TrimSpace(name) != name || strings.ContainsAny(name, " ,") || len(text) > tus.MaxMetadata {
			return // no name in the protocol, or too much
		}
		if got, err := tus.ParseMetadata(text); err != nil || !maps.Equal(got, written) {
			t.Fatalf("%q came back as %q: %v", written, got, err)
		}
	})
}

// FuzzChecksum: a body is taken for what its checksum says if, and only if, it adds up to that, whether the
// checksum comes before it or behind it.
func FuzzChecksum(f *testing.F) {
	sums := map[string]func([]byte) []byte{
		"md5":    func(b []byte) []byte { s := md5.Sum(b); return s[:] },
		"sha1":   func(b []byte) []byte { s := sha1.Sum(b); return s[:] },
		"sha256": func(b []byte) []byte { s := sha256.Sum256(b); return s[:] },
		"sha512": func(b []byte) []byte { s := sha512.Sum512(b); return s[:] },
	}
	header := func(name string, body []byte) string {
		return name + " " + base64.StdEncoding.EncodeToString(sums[name](body))
	}
	for name := range sums {
		f.Add(header(name, []byte("abc")), false, []byte("abc"))
		f.Add(header(name, []byte("abc")), true, []byte("abd"))
	}
	for _, bad := range []string{"", "sha1", "sha1 ", "sha1 !", "SHA1 x", "crc32 AAAAAA==", "sha1  ", "md5 AAAAAAAAAAAAAAAAAAAAAA==", "md5 kAFQmDzST7DWlj99KOF/ch=="} {
		f.Add(bad, false, []byte("abc"))
		f.Add(bad, true, []byte("abc"))
	}
	f.Fuzz(func(t *testing.T, text string, behind bool, body []byte) {
		check := func(text string, body []byte) (bool, error) {
			r := httptest.NewRequest(http.MethodPatch, "/tus/x", bytes.NewReader(body))
			if behind {
				r.Trailer = http.Header{"Upload-Checksum": {text}}
			} else {
				r.Header.Set("Upload-Checksum", text)
			}
			return tus.CheckBody(r)
		}
		has, err := check(text, body)
		name, _, _ := strings.Cut(text, " ")
		right := sums[name] != nil && text == header(name, body)
		switch refused := new(tus.HeaderError); {
		case err == nil && has != right, err != nil && right:
			t.Fatalf("%q of %q (has: %t, right: %t): %v", text, body, has, right, err)
		case err != nil && !errors.Is(err, tus.ErrBadChecksum) && !errors.As(err, &refused):
			t.Fatalf("%q of %q: %v", text, body, err)
		case err == nil && !has && (text != "" || behind):
			t.Fatalf("%q is ignored", text)
		}
		for name := range sums {
			if has, err := check(header(name, body), body); !has || err != nil {
				t.Fatalf("%s of %q: %v", name, body, err)
			}
			if _, err := check(header(name, body), append([]byte{'x'}, body...)); !errors.Is(err, tus.ErrBadChecksum) {
				t.Fatalf("%s of another body than %q: %v", name, body, err)
			}
		}
	})
}
