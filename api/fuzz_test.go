package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/blob/fsblob/faultfs"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// notebook is a store that writes down what it is asked for, and agrees.
type notebook struct {
	store.Tenanted
	uploads []store.Upload
	file    jobs.File
	filter  *store.JobFilter
	page    store.Page
}

func (n *notebook) Accept(_ context.Context, _ jobs.Tenant, uploads []store.Upload) ([]store.Accepted, error) {
	n.uploads = uploads
	accepted := make([]store.Accepted, len(uploads))
	for i, u := range uploads {
		accepted[i] = store.Accepted{JobID: u.Job.ID, Generation: 1, RunAt: time.Now(), Due: true}
	}
	return accepted, nil
}

func (n *notebook) File(context.Context, jobs.Tenant, uuid.UUID) (jobs.File, store.Content, error) {
	return n.file, store.Content{Inline: []byte("x")}, nil
}

func (n *notebook) ListJobs(_ context.Context, _ jobs.Tenant, filter store.JobFilter, page store.Page) ([]jobs.Job, store.Cursor, error) {
	n.filter, n.page = &filter, page
	return nil, store.Cursor{}, nil
}

// fuzzMax is the largest file of an API for a fuzzer, in bytes.
const fuzzMax = 10_000

// bench is an API for a fuzzer, for one request after the other: nothing of it touches a disk.
func bench(t testing.TB) (*api.API, *notebook, blob.Store) {
	t.Helper()
	book := &notebook{}
	a, blobs := benchOver(t, book)
	return a, book, blobs
}

// benchOver is bench with a store of the caller's.
func benchOver(t testing.TB, s store.Tenanted) (*api.API, blob.Appender) {
	t.Helper()
	blobs, err := fsblob.New(faultfs.New())
	if err != nil {
		t.Fatal(err)
	}
	o := api.DefaultOptions()
	o.Store, o.Blobs, o.Specs = s, blobs, testSpecs(t)
	o.Auth = api.AuthOff
	o.InlineLimit = 16
	o.Limits.Body, o.Limits.File, o.Limits.Field, o.Limits.PartHeader, o.Limits.Files = 20_000, fuzzMax, 500, 1000, 10
	return mustAPI(t, o), blobs
}

// refused checks that an answer is no surprise, and reports whether it is a refusal.
func refused(t *testing.T, w *httptest.ResponseRecorder) bool {
	t.Helper()
	if w.Code < 400 {
		return false
	}
	var p wire.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || w.Code >= 500 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return true
}

func FuzzUpload(f *testing.F) {
	const typed = "multipart/form-data; boundary=" + boundary
	for _, test := range formTests {
		f.Add("", typed, []byte(test.body))
	}
	f.Add("kind=convert&params=%7B%7D", "multipart/form-data; boundary=\"a b\"", []byte("--a b\r\n\r\n"))
	f.Add("filename=x", "text/plain", []byte(strings.Repeat("x", 30)))
	f.Add("", "", []byte{})
	a, book, blobs := bench(f)
	f.Fuzz(func(t *testing.T, query, contentType string, body []byte) {
		book.uploads = nil
		r := httptest.NewRequest(http.MethodPost, "/v1/uploads", bytes.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		kept := empty(t, blobs)
		if refused(t, w) {
			if kept > 0 || book.uploads != nil {
				t.Fatalf("refused, but %d blobs and %d files were kept", kept, len(book.uploads))
			}
			return
		}
		total := int64(0)
		for _, u := range book.uploads {
			total += u.File.Size
			if u.File.BlobKey != uuid.Nil {
				kept--
			} else if sha256.Sum256(u.File.Content) != u.File.SHA256 || int64(len(u.File.Content)) != u.File.Size {
				t.Fatalf("file %+v is not its content", u.File)
			}
			if u.File.Name != jobs.CleanName(u.File.Name) || len(u.File.ClaimedType) > 255 {
				t.Fatalf("file %+v is not clean", u.File)
			}
		}
		if len(book.uploads) == 0 || kept != 0 || total > int64(len(body)) {
			t.Fatalf("%d files of %d bytes from %d, %d blobs too many", len(book.uploads), total, len(body), kept)
		}
	})
}

// empty deletes what a blob store holds, and returns how much that was.
func empty(t *testing.T, blobs blob.Store) (kept int) {
	t.Helper()
	list, err := blobs.List(t.Context(), blob.Key{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range list {
		if err := blobs.Delete(t.Context(), entry.Key); err != nil {
			t.Fatal(err)
		}
	}
	return len(list)
}

func FuzzFileName(f *testing.F) {
	for _, name := range []string{"a.txt", `"`, `\`, "..", "a\r\nSet-Cookie: x", "\x00", "é€🎉", "\xff", "%41", "a/b", "'", "*", "a;b=c"} {
		f.Add(name)
	}
	a, book, _ := bench(f)
	f.Fuzz(func(t *testing.T, name string) {
		book.file = jobs.File{Name: jobs.CleanName(name), MediaType: "text/plain"}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/files/"+uuid.NewString()+"/content", nil))
		header := w.Header().Get("Content-Disposition")
		disposition, params, err := mime.ParseMediaType(header)
		if err != nil || disposition != "attachment" || params["filename"] != book.file.Name {
			t.Fatalf("%q came back as %q from %q: %v", book.file.Name, params["filename"], header, err)
		}
		for i := range len(header) {
			if header[i] < ' ' || header[i] > '~' {
				t.Fatalf("%q is no header", header)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, query := range []string{
		"", "state=failed&limit=10", "kind=a&queue=b", "cursor=AQ", "file_id=" + uuid.NewString(), "parent_id=x", "state=%66ailed",
		"limit=1e3", "limit=+5", "a", "=", "&", "kind=a;queue=b", "kind=a&kind=b", "cursor=" + store.Cursor{ID: jobs.NewID()}.String(),
	} {
		f.Add(query)
	}
	a, book, _ := bench(f)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/v1/jobs", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if refused(t, w) {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		got, want := *book.filter, store.JobFilter{State: jobs.State(values.Get("state")), Kind: values.Get("kind"), Queue: values.Get("queue")}
		for name, id := range map[string]*uuid.UUID{"file_id": &want.FileID, "parent_id": &want.ParentID} {
			if text := values.Get(name); text != "" {
				*id = uuid.MustParse(text)
			}
		}
		if got != want {
			t.Fatalf("%q became %+v", query, got)
		}
		after, err := store.ParseCursor(values.Get("cursor"))
		if err != nil || after != book.page.After || book.page.Limit < 1 || book.page.Limit > 1000 {
			t.Fatalf("%q became %+v: %v", query, book.page, err)
		}
	})
}

// What a digest says of the body holds, or nothing is accepted.
func FuzzDigests(f *testing.F) {
	f.Add(sha256Digest("x"), sha512Digest("x"), "sha-256=1", []byte("x"))
	f.Add("sha-256=:AAAA:", "", "", []byte("x"))
	f.Add("sha-256=(1 2);q=1, md5=:AA==:", "?", "sha-256=10, *", []byte{})
	a, book, blobs := bench(f)
	f.Fuzz(func(t *testing.T, content, repr, want string, body []byte) {
		book.uploads = nil
		r := httptest.NewRequest(http.MethodPost, "/v1/uploads", bytes.NewReader(body))
		r.Header["Content-Digest"], r.Header["Repr-Digest"] = []string{content}, []string{repr}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		kept := empty(t, blobs)
		if refused(t, w) && (kept > 0 || book.uploads != nil) {
			t.Fatalf("refused, but %d blobs and %d files were kept", kept, len(book.uploads))
		}
		for _, said := range []string{content, repr} {
			plain := strings.HasPrefix(said, "sha-256=:") && len(said) == len(sha256Digest("")) && strings.Count(said, ":") == 2
			if w.Code < 400 && plain && said != sha256Digest(string(body)) {
				t.Fatalf("%q was accepted for %q", said, body)
			}
		}
		book.file = jobs.File{Name: "x", MediaType: "text/plain", SHA256: sha256.Sum256([]byte("x"))}
		r = httptest.NewRequest(http.MethodGet, "/v1/files/"+uuid.NewString()+"/content", nil)
		r.Header["Want-Repr-Digest"] = []string{want}
		w = httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if got := w.Header().Get("Repr-Digest"); w.Code != http.StatusOK || got != "" && got != sha256Digest("x") {
			t.Fatalf("status %d, Repr-Digest %q", w.Code, got)
		}
	})
}
