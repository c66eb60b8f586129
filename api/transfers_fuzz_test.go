package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http/httpguts"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// shelf is a store of transfers in memory, for one request after the other.
type shelf struct {
	store.Tenanted
	transfers map[uuid.UUID]store.Transfer
	finished  []store.Upload
}

func (s *shelf) BeginOnce(context.Context, jobs.Tenant, store.Once, time.Duration) (*store.Answer, error) {
	return nil, nil //nolint:nilnil // no key was used before
}

func (s *shelf) EndOnce(context.Context, jobs.Tenant, store.Once, *store.Answer) error { return nil }

func (s *shelf) BeginTransfer(_ context.Context, _ jobs.Tenant, t store.Transfer) (store.Transfer, error) {
	if t.Length < store.UnknownLength {
		return t, fmt.Errorf("a length of %d", t.Length)
	}
	t.Epoch, t.TouchedAt = 1, time.Now()
	s.transfers[t.ID] = t
	return t, nil
}

func (s *shelf) Transfer(_ context.Context, _ jobs.Tenant, id uuid.UUID) (store.Transfer, error) {
	t, ok := s.transfers[id]
	if !ok {
		return t, store.ErrNotFound
	}
	return t, nil
}

func (s *shelf) ClaimTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, offset int64) (store.Transfer, bool, error) {
	t, err := s.Transfer(ctx, tenant, id)
	if err != nil || t.Offset != offset || t.Parts != nil || t.Offset == t.Length {
		return t, false, err
	}
	t.Epoch++
	s.transfers[id] = t
	return t, true, nil
}

func (s *shelf) AdvanceTransfer(_ context.Context, _ jobs.Tenant, id uuid.UUID, epoch int64, to store.TransferProgress) (time.Time, error) {
	t, ok := s.transfers[id]
	if !ok || t.Epoch != epoch || t.JobID != uuid.Nil || to.Offset < t.Offset {
		return time.Time{}, store.ErrTransferLost
	}
	t.TransferProgress = to
	s.transfers[id] = t
	return t.TouchedAt, nil
}

func (s *shelf) FinishTransfer(_ context.Context, _ jobs.Tenant, id uuid.UUID, epoch int64, up store.Upload, _ *store.OnceAnswer) (store.Accepted, error) {
	t, ok := s.transfers[id]
	if !ok || t.Epoch != epoch || t.JobID != uuid.Nil {
		return store.Accepted{}, store.ErrTransferLost
	}
	if err := t.CanBe(&up.File); err != nil {
		return store.Accepted{}, err
	}
	t.Length, t.Offset, t.JobID, t.BlobKey = up.File.Size, up.File.Size, up.Job.ID, uuid.Nil
	s.transfers[id] = t
	s.finished = append(s.finished, up)
	return store.Accepted{JobID: up.Job.ID, Generation: 1, RunAt: time.Now(), Due: true}, nil
}

func (s *shelf) DropTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (uuid.UUID, error) {
	t, err := s.Transfer(ctx, tenant, id)
	delete(s.transfers, id)
	return t.BlobKey, err
}

// onShelf are the transfers that each request finds, by the last digit of their IDs.
var onShelf = []struct {
	content       string // that has come
	length        int64
	partial, done bool
}{
	{"", 6, false, false},
	{"abc", 6, false, false},
	{"abcdefghijklmnopqrst", 30, false, false},
	{"abc", store.UnknownLength, false, false},
	{"", store.UnknownLength, true, false},
	{"abc", 6, true, false},
	{"abcdef", 6, true, false},
	{"abcdef", 6, false, true},
}

func onShelfID(i int) uuid.UUID {
	return uuid.MustParse("00000000-0000-7000-8000-00000000000" + strconv.Itoa(i))
}

// reset puts the transfers there, and nothing else.
func (s *shelf) reset(t *testing.T, blobs blob.Appender) {
	t.Helper()
	empty(t, blobs)
	s.transfers, s.finished = map[uuid.UUID]store.Transfer{}, nil
	for i, is := range onShelf {
		one := store.Transfer{ID: onShelfID(i), BlobKey: uuid.UUID(blob.NewKey()), Partial: is.partial, Epoch: 1, TouchedAt: time.Now()}
		at := blob.Progress{}
		if is.content != "" {
			var err error
			if at, err = blobs.Append(t.Context(), blob.Key(one.BlobKey), at, strings.NewReader(is.content), nil); err != nil {
				t.Fatal(err)
			}
		}
		one.TransferProgress = store.TransferProgress{Length: is.length, Offset: at.Size, State: at.State}
		if is.done {
			one.JobID, one.BlobKey = jobs.NewID(), uuid.Nil
		}
		s.transfers[one.ID] = one
	}
}

// final is the recorder of an answer, without the interim ones.
type final struct{ *httptest.ResponseRecorder }

func (w final) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.ResponseRecorder.WriteHeader(status)
	}
}

// FuzzTusHeaders: whatever a request to an upload says, it is answered or refused with a code that is
// known; what is told to be there is there, and a job has a whole file.
func FuzzTusHeaders(f *testing.F) {
	add := func(method string, at byte, body string, headers ...string) {
		for _, inChunks := range []bool{false, true} {
			f.Add(method, at, inChunks, strings.Join(append(headers, tusVersion), "\n"), []byte(body))
		}
	}
	const one, none = byte(2), byte(250) // the first on the shelf, and one that is not
	part := "/tus/" + onShelfID(6).String()
	add("POST", 0, "", length(6), metadata("filename", "a", "kind", "inspect"))
	add("POST", 1, "hello", length(5), octets, "Repr-Digest: "+sha256Digest("hello"))
	add("POST", 0, "hel", deferred, octets, "Idempotency-Key: k")
	add("POST", 0, "abc", length(3), octets, asPart)
	add("POST", 0, "", "Upload-Concat: final;"+part+" "+part)
	add("POST", 0, "", "Upload-Concat: final;/tus/"+onShelfID(7).String())
	for i := range onShelf {
		at, offset := one+byte(i), "Upload-Offset: "+strconv.Itoa(len(onShelf[i].content))
		add("PATCH", at, "def", offset, octets)
		add("PATCH", at, "def", offset, octets, "Upload-Checksum: sha1 WJuZ4eF4ai8wDyXpLHw0ewBG+4w=", "Content-Digest: "+sha256Digest("def"))
		add("PATCH", at, "uvwxyzabcd", offset, octets, length(13))
		add("HEAD", at, "")
		add("DELETE", at, "")
		for version := range 4 {
			draft := "Upload-Draft-Interop-Version: " + strconv.Itoa(3+version)
			add("PATCH", at, "def", offset, partial, draft, "Upload-Complete: ?1", "Upload-Incomplete: ?0")
			add("POST", 0, "hello", draft, "Upload-Complete: ?1", "Content-Type: text/plain", `Content-Disposition: attachment; filename="a"`)
			add("HEAD", at, "", draft)
		}
	}
	add("POST", 0, strings.Repeat("x", fuzzMax+1), deferred, octets)
	add("POST", 0, "", "Upload-Draft-Interop-Version: 6", "Upload-Length: -5")
	add("POST", 0, strings.Repeat("x", fuzzMax+1), "Upload-Draft-Interop-Version: 6", "Upload-Complete: ?1")
	add("POST", 0, "x", "Upload-Draft-Interop-Version: 6", "Content-Type: ;")
	add("POST", one, "", "X-HTTP-Method-Override: DELETE")
	add("OPTIONS", 0, "")
	add("HEAD", none, "")

	book := &shelf{}
	a, blobs := benchOver(f, book)
	f.Fuzz(func(t *testing.T, method string, at byte, inChunks bool, headers string, body []byte) {
		path := []string{"/tus/", "/tus"}[at%2]
		if at >= one {
			path = "/tus/" + onShelfID(int(at-one)%9).String()
		}
		r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
		if r.Method = method; !httpguts.ValidHeaderFieldName(method) { // a token, as well
			t.Skip("the method is no token: net/http lets no such request in")
		}
		if inChunks {
			r.ContentLength = -1
		}
		for line := range strings.SplitSeq(headers, "\n") {
			name, value, _ := strings.Cut(line, ":")
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				t.Skip("a line is no header: net/http lets no such request in")
			}
			r.Header.Add(name, strings.Trim(value, " \t"))
		}
		book.reset(t, blobs)
		w := final{httptest.NewRecorder()}
		a.ServeHTTP(w, r)
		if refused(t, w.ResponseRecorder) {
			known := slices.ContainsFunc(api.ErrorCodes(), func(c api.ErrorCode) bool {
				return c.Status == w.Code && bytes.Contains(w.Body.Bytes(), []byte(`"code":"`+string(c.Code)+`"`))
			})
			if !known || len(book.finished) > 0 {
				t.Fatalf("status %d, and %d files were made: %s", w.Code, len(book.finished), w.Body)
			}
		}
		for _, up := range book.finished {
			checkWhole(t, &up, blobs, body)
		}
		told, err := strconv.ParseInt(w.Header().Get("Upload-Offset"), 10, 64)
		id, known := transferOf(path, w.Header().Get("Location"))
		if err == nil && known && w.Code < 300 {
			if t2 := book.transfers[id]; t2.Offset != told || told > fuzzMax || t2.Length != store.UnknownLength && told > t2.Length {
				t.Fatalf("%d bytes are told, and there are %d of %d", told, t2.Offset, t2.Length)
			}
		}
	})
}

// transferOf finds the ID in where a request began an upload, or in its path.
func transferOf(path, location string) (uuid.UUID, bool) {
	if location != "" {
		path = location
	}
	id, err := uuid.Parse(strings.TrimPrefix(path, "/tus/"))
	return id, err == nil
}

// checkWhole checks that a file is what it says, and ends as the body did if it is no more than what was
// there and the body.
func checkWhole(t *testing.T, up *store.Upload, blobs blob.Store, body []byte) {
	t.Helper()
	content := up.File.Content
	if up.File.BlobKey != uuid.Nil {
		object, err := blobs.Open(t.Context(), blob.Key(up.File.BlobKey))
		if err != nil {
			t.Fatal(err)
		}
		if content, err = io.ReadAll(object); err != nil {
			t.Fatal(err)
		}
		if err := object.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if int64(len(content)) != up.File.Size || len(content) > fuzzMax || sha256.Sum256(content) != up.File.SHA256 {
		t.Fatalf("file %+v has the content %q", up.File, content)
	}
	for i := range onShelf {
		if up.File.ID == onShelfID(i) && string(content) != onShelf[i].content+string(body) {
			t.Fatalf("%q was sent to %q, and became %q", body, onShelf[i].content, content)
		}
	}
}
