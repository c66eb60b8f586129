package api_test

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func TestFile(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		u := into[wire.Upload](f.sendForm(file("notes.txt", "hello", "Content-Type: text/x-notes")).is(http.StatusAccepted))
		got := into[wire.File](f.get("/v1/files/" + u.FileID.String()).is(http.StatusOK))
		f.equal("file", wire.File{
			ID: u.FileID, Name: "notes.txt", Size: 5, SHA256: hexOf("hello"), MediaType: "text/plain", ClaimedType: "text/x-notes",
			CreatedAt: got.CreatedAt, URL: "/v1/files/" + u.FileID.String() + "/content",
		}, got)
	})
}

func TestContent(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		for where, content := range map[string]string{
			"in the row":        "0123456789",
			"in the blob store": "0123456789" + strings.Repeat("x", 100<<10),
		} {
			u := f.uploadRaw(content, "filename=na%C3%AFve%20%22x%22.txt")
			path := "/v1/files/" + u.FileID.String() + "/content"
			etag := `"` + hexOf(content) + `"`
			for _, test := range []struct {
				name    string
				headers []string
				status  int
				body    string
			}{
				{"all of it", nil, http.StatusOK, content},
				{"a range", []string{"Range: bytes=2-4"}, http.StatusPartialContent, "234"},
				{"the end", []string{"Range: bytes=-3"}, http.StatusPartialContent, content[len(content)-3:]},
				{"from somewhere", []string{"Range: bytes=5-"}, http.StatusPartialContent, content[5:]},
				{"the same range of the same content", []string{"Range: bytes=0-0", "If-Range: " + etag}, http.StatusPartialContent, "0"},
				{"a range of other content", []string{"Range: bytes=0-0", "If-Range: \"other\""}, http.StatusOK, content},
				{"what is known", []string{"If-None-Match: " + etag}, http.StatusNotModified, ""},
				{"what is known among others", []string{"If-None-Match: \"a\", " + etag}, http.StatusNotModified, ""},
				{"what is not known", []string{"If-None-Match: \"a\""}, http.StatusOK, content},
				{"what it must be", []string{"If-Match: " + etag}, http.StatusOK, content},
			} {
				r := f.get(path, test.headers...)
				if r.status != test.status || string(r.body) != test.body {
					t.Errorf("%s, %s: status %d with %d bytes, want %d with %d", where, test.name, r.status, len(r.body), test.status, len(test.body))
				}
			}
			f.get(path, "Range: bytes=900000-").fails(wire.CodeRangeNotSatisfiable)
			f.get(path, "If-Match: \"other\"").fails(wire.CodePreconditionFailed)

			r := f.get(path)
			for name, want := range map[string]string{
				"Content-Type":                 "text/plain",
				"Cache-Control":                "private, immutable, max-age=31536000",
				"X-Content-Type-Options":       "nosniff",
				"Content-Security-Policy":      "default-src 'none'; sandbox",
				"Cross-Origin-Resource-Policy": "same-origin",
				"Etag":                         etag,
				"Accept-Ranges":                "bytes",
				"Content-Disposition":          `attachment; filename="na__ve _x_.txt"; filename*=UTF-8''na%C3%AFve%20%22x%22.txt`,
			} {
				f.equal(name, want, r.header.Get(name))
			}
			head := f.send(http.MethodHead, path, nil).is(http.StatusOK)
			f.equal("length by HEAD", r.header.Get("Content-Length"), head.header.Get("Content-Length"))
			f.equal("bytes by HEAD", 0, len(head.body))
		}
	})
}

func TestContentOfSeveralRanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	u := f.uploadRaw("0123456789", "")
	r := f.get("/v1/files/"+u.FileID.String()+"/content", "Range: bytes=0-1,8-9").is(http.StatusPartialContent)
	if mediaType, _, err := mime.ParseMediaType(r.header.Get("Content-Type")); err != nil || mediaType != "multipart/byteranges" {
		t.Errorf("content type %q", r.header.Get("Content-Type"))
	}
}

func TestAttachmentNamesComeBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	for _, name := range []string{
		"plain.txt", "two words.txt", `quo"te.txt`, "100%.txt", "semi;colon=.txt", "ünïcödé €.txt", "日本.txt", "a'b*c.txt", "emoji 🎉",
	} {
		u := into[wire.Upload](f.sendForm(file(strings.ReplaceAll(name, `"`, `\"`), "x")).is(http.StatusAccepted))
		header := f.get("/v1/files/" + u.FileID.String() + "/content").header.Get("Content-Disposition")
		disposition, params, err := mime.ParseMediaType(header)
		if err != nil || disposition != "attachment" || params["filename"] != name {
			t.Errorf("%q came back as %q from %s: %v", name, params["filename"], header, err)
		}
	}
}

// emptyBlobs is a blob store that lost everything.
type emptyBlobs struct{ blob.Store }

func (emptyBlobs) Open(context.Context, blob.Key) (blob.Object, error) {
	return nil, blob.ErrNotExist
}

func TestContentThatIsMissing(t *testing.T) {
	t.Parallel()
	s := openSQLite(t)
	f := newFixture(t, s)
	u := f.uploadRaw(strings.Repeat("x", 100<<10), "")
	f.blobs = emptyBlobs{f.blobs}
	g := newFixture(t, s, blobsOf(f))
	r := g.get("/v1/files/" + u.FileID.String() + "/content")
	r.fails(wire.CodeContentMissing)
	f.equal("Cache-Control", "no-store", r.header.Get("Cache-Control"))
}

// tornObject ends in the middle.
type tornObject struct{ blob.Object }

func (o tornObject) Read(p []byte) (int, error) {
	at, err := o.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if at > 50<<10 {
		return 0, io.ErrUnexpectedEOF
	}
	return o.Object.Read(p[:min(len(p), 10<<10)])
}

type tornBlobs struct{ blob.Store }

func (b tornBlobs) Open(ctx context.Context, key blob.Key) (blob.Object, error) {
	object, err := b.Store.Open(ctx, key)
	return tornObject{object}, err
}

func TestContentThatCannotBeReadToItsEndIsNotTakenForWhole(t *testing.T) {
	t.Parallel()
	s := openSQLite(t)
	f := newFixture(t, s)
	u := f.uploadRaw(strings.Repeat("x", 100<<10), "")
	f.blobs = tornBlobs{f.blobs}
	g := newFixture(t, s, blobsOf(f))
	res, err := http.DefaultTransport.RoundTrip(mustRequest(g, "/v1/files/"+u.FileID.String()+"/content"))
	f.ok(err)
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("%d bytes came without an error", n)
	}
}

func TestArtifactWithAnAwkwardName(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		u := f.uploadRaw("x", "")
		names := []string{"a b.txt", "100%.txt", "?#.txt", "日本.txt", "a+b;c=d&e.txt"}
		var arts []store.NewArtifact
		for _, name := range names {
			arts = append(arts, store.NewArtifact{Artifact: jobs.Artifact{Name: name, MediaType: "text/plain", Size: int64(len(name))}, Content: []byte(name)})
		}
		f.run(u.JobID, 1, store.RunEnd{Outcome: jobs.RunSucceeded, Artifacts: arts})
		job := into[wire.Job](f.get("/v1/jobs/" + u.JobID.String()).is(http.StatusOK))
		f.equal("artifacts", len(names), len(job.Artifacts))
		for _, art := range job.Artifacts {
			f.equal("artifact", art.Name, string(f.get(art.URL).is(http.StatusOK).body))
		}
		f.get("/v1/jobs/" + u.JobID.String() + "/artifacts/none").fails(wire.CodeNotFound)
		f.get("/v1/jobs/" + uuid.NewString() + "/artifacts/none").fails(wire.CodeNotFound)
	})
}
