package api_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/store"
)

func sha256Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func sha512Digest(text string) string {
	sum := sha512.Sum512([]byte(text))
	return "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func TestDigestsAreHeldAgainstWhatArrived(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		large := strings.Repeat("large ", 50_000) // beyond what lies in the row
		for _, content := range []string{"", "small", large} {
			for _, header := range []string{
				"Content-Digest: " + sha256Digest(content),
				"Repr-Digest: " + sha512Digest(content),
				"Content-Digest: " + sha512Digest(content) + ", " + sha256Digest(content),
				"Content-Digest: md5=:CY9rzUYh03PK3k6DJie09g==:", // not one that is checked
			} {
				f.send(http.MethodPost, "/v1/uploads", strings.NewReader(content), header).is(http.StatusAccepted)
			}
			for _, header := range []string{
				"Content-Digest: " + sha256Digest(content+"x"),
				"Repr-Digest: " + sha512Digest(content+"x"),
				"Repr-Digest: " + sha256Digest(content) + ", " + sha512Digest("x"),
			} {
				p := f.send(http.MethodPost, "/v1/uploads", strings.NewReader(content), header).is(http.StatusBadRequest).fails(wire.CodeDigestMismatch)
				if !strings.Contains(p.Detail, "adds up to") {
					t.Errorf("detail %q", p.Detail)
				}
			}
		}
		for _, bad := range []string{
			"Content-Digest: sha-256", "Content-Digest: sha-256=abc", "Content-Digest: sha-256=:AAAA:", "Content-Digest: sha-256=(:AAAA:)",
			"Repr-Digest: =", "Repr-Digest: sha-512=:!:", "Content-Digest: " + strings.Repeat("x=:AAAA:, ", 1000) + "y=:AAAA:",
		} {
			f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), bad).is(http.StatusBadRequest).fails(wire.CodeMalformedRequest)
		}
		jobs := into[wire.Jobs](f.get("/v1/jobs").is(http.StatusOK))
		f.equal("accepted", 12, len(jobs.Jobs))
		f.equal("blobs", 4, f.countBlobs())
	})
}

// countBlobs counts what lies in the blob store.
func (f *fixture) countBlobs() int {
	f.Helper()
	list, err := f.blobs.List(f.Context(), blob.Key{}, 1000)
	f.ok(err)
	return len(list)
}

func TestDigestsInForms(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	good := form(file("a", "one", "Content-Digest: "+sha256Digest("one")), file("b", "two", "Repr-Digest: "+sha512Digest("two")))
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader(good), formType, "Content-Digest: "+sha512Digest(good)).is(http.StatusAccepted)
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader(good), formType, "Content-Digest: "+sha256Digest("one")).is(http.StatusBadRequest).fails(wire.CodeDigestMismatch)
	bad := form(file("a", "one"), file("b", "two", "Content-Digest: "+sha256Digest("one")))
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader(bad), formType).is(http.StatusBadRequest).fails(wire.CodeDigestMismatch)
	bad = form(file("a", "one", "Content-Digest: ?"))
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader(bad), formType).is(http.StatusBadRequest).fails(wire.CodeMalformedRequest)
	f.equal("accepted", 2, len(into[wire.Jobs](f.get("/v1/jobs")).Jobs))
}

// Who streams knows the digest only at the end.
func TestDigestBehindTheBody(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	for digest, status := range map[string]int{sha256Digest("streamed"): 202, sha512Digest("streamed"): 202, sha256Digest("x"): 400, "?": 400} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/v1/uploads", io.NopCloser(strings.NewReader("streamed")))
		f.ok(err)
		req.ContentLength = -1
		req.Trailer = http.Header{"Content-Digest": {digest}}
		res, err := http.DefaultTransport.RoundTrip(req)
		f.ok(err)
		if err := res.Body.Close(); err != nil || res.StatusCode != status {
			t.Errorf("%s: status %d, want %d (%v)", digest, res.StatusCode, status, err)
		}
	}
}

func TestWantedDigestIsAnswered(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), func(o *api.Options) { o.InlineLimit = 4 })
	u := f.uploadRaw("0123456789", "")
	path := "/v1/files/" + u.FileID.String() + "/content"
	for want, answer := range map[string]string{
		"sha-256=1": sha256Digest("0123456789"), "sha-512=3, sha-256=10": sha256Digest("0123456789"),
		"sha-256=0": "", "sha-512=1": "", "sha-256": "", "?": "", "": "",
	} {
		for _, more := range []string{"Accept: */*", "Range: bytes=2-4"} {
			r := f.get(path, "Want-Repr-Digest: "+want, more)
			f.equal(want+" "+more, answer, r.header.Get("Repr-Digest"))
		}
	}
	f.equal("of a refusal", "", f.get(path, "Want-Repr-Digest: sha-256=1", "Range: bytes=90-").is(http.StatusRequestedRangeNotSatisfiable).header.Get("Repr-Digest"))
}
