package api_test

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

const tusVersion = "Tus-Resumable: 1.0.0"

// begin begins an upload in pieces and returns its path.
func (f *fixture) begin(headers ...string) string {
	f.Helper()
	r := f.send(http.MethodPost, "/tus/", nil, append(headers, tusVersion)...).is(http.StatusCreated)
	return r.header.Get("Location")
}

func length(n int) string { return "Upload-Length: " + strconv.Itoa(n) }

// metadata makes an Upload-Metadata header of names and values.
func metadata(pairs ...string) string {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		parts = append(parts, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
	}
	return "Upload-Metadata: " + strings.Join(parts, ",")
}

// patch sends a piece.
func (f *fixture) patch(path string, offset int, body io.Reader, headers ...string) *reply {
	f.Helper()
	return f.send(http.MethodPatch, path, body, append(headers, tusVersion, "Upload-Offset: "+strconv.Itoa(offset), "Content-Type: application/offset+octet-stream")...)
}

func (f *fixture) piece(path string, offset int, body string, headers ...string) *reply {
	f.Helper()
	return f.patch(path, offset, strings.NewReader(body), headers...)
}

// stands checks where an upload stands.
func (f *fixture) stands(path string, offset int) *reply {
	f.Helper()
	r := f.send(http.MethodHead, path, nil, tusVersion).is(http.StatusOK)
	f.equal("Upload-Offset of "+path, strconv.Itoa(offset), r.header.Get("Upload-Offset"))
	return r
}

// became checks that an upload is a file with that content and one job, which it returns.
func (f *fixture) became(r *reply, path, content string, headers ...string) wire.Job {
	f.Helper()
	fileID := strings.TrimPrefix(path, "/tus/")
	job := into[wire.Job](f.get("/v1/jobs/"+r.header.Get("Leat-Job-Id"), headers...).is(http.StatusOK))
	f.equal("file of the job", fileID, job.FileID.String())
	got := f.get("/v1/files/"+fileID+"/content", headers...).is(http.StatusOK)
	if string(got.body) != content {
		f.Errorf("content of %d bytes, want %d, and those of the sender", len(got.body), len(content))
	}
	file := into[wire.File](f.get("/v1/files/"+fileID, headers...).is(http.StatusOK))
	f.equal("SHA-256", fmt.Sprintf("%x", sha256.Sum256([]byte(content))), file.SHA256)
	f.equal("jobs on the file", 1, len(into[wire.Jobs](f.get("/v1/jobs?file_id="+fileID, headers...)).Jobs))
	return job
}

func TestUploadInPieces(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		for _, size := range []int{3_000, 300_000} { // in the row, and as a blob
			f := newFixture(t, s)
			content := strings.Repeat("0123456789", size/10)
			meta := metadata("filename", "a\u00fc.txt", "filetype", "text/x-mine", "kind", "inspect", "queue", "q", "own", "kept") + ",empty"
			path := f.begin(length(size), meta)
			first := f.stands(path, 0)
			f.equal("Upload-Length", strconv.Itoa(size), first.header.Get("Upload-Length"))
			f.equal("Upload-Metadata", strings.TrimPrefix(meta, "Upload-Metadata: "), first.header.Get("Upload-Metadata"))
			f.equal("job before the end", "", first.header.Get("Leat-Job-Id"))
			for offset, step := 0, size/3; offset < size; offset += step {
				r := f.piece(path, offset, content[offset:min(offset+step, size)]).is(http.StatusNoContent)
				f.equal("Upload-Offset", strconv.Itoa(min(offset+step, size)), r.header.Get("Upload-Offset"))
			}
			end := f.stands(path, size)
			job := f.became(end, path, content)
			f.equal("queue", "q", job.Queue)
			f.equal("kind", "inspect", job.Kind)
			file := into[wire.File](f.get("/v1/files/" + job.FileID.String()))
			f.equal("name", "a\u00fc.txt", file.Name)
			f.equal("claimed type", "text/x-mine", file.ClaimedType)
			f.equal("handed over", job.ID, (<-f.over)[0].JobID)
			// Once it is a file it changes no more.
			again := f.piece(path, size, "more").is(http.StatusNoContent)
			f.equal("job", job.ID.String(), again.header.Get("Leat-Job-Id"))
			f.piece(path, 0, "x").is(http.StatusConflict).fails(wire.CodeOffsetMismatch)
			f.send(http.MethodDelete, path, nil, tusVersion).is(http.StatusConflict).fails(wire.CodeUploadFinished)
			f.became(end, path, content)
			f.hasBlobs(map[bool]int{true: 1, false: 0}[size > 16<<10])
		}
	})
}

func TestUploadBegunWithItsFirstBytes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	const chunk = "Content-Type: application/offset+octet-stream"
	whole := f.send(http.MethodPost, "/tus/", strings.NewReader("hello"), tusVersion, chunk, length(5)).is(http.StatusCreated)
	f.equal("Upload-Offset", "5", whole.header.Get("Upload-Offset"))
	f.became(whole, whole.header.Get("Location"), "hello")
	part := f.send(http.MethodPost, "/tus", strings.NewReader("hel"), tusVersion, chunk, length(5)).is(http.StatusCreated)
	f.equal("Upload-Offset", "3", part.header.Get("Upload-Offset"))
	path := part.header.Get("Location")
	f.became(f.piece(path, 3, "lo").is(http.StatusNoContent), path, "hello")
	empty := f.send(http.MethodPost, "/tus/", nil, tusVersion, length(0)).is(http.StatusCreated)
	f.became(empty, empty.header.Get("Location"), "")
	f.hasBlobs(0)
}

func TestUploadOfUnknownLength(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	path := f.begin("Upload-Defer-Length: 1")
	f.equal("deferred", "1", f.stands(path, 0).header.Get("Upload-Defer-Length"))
	f.piece(path, 0, "abc").is(http.StatusNoContent)
	f.piece(path, 3, "def", "Upload-Length: 9").is(http.StatusNoContent)
	f.equal("length", "9", f.stands(path, 6).header.Get("Upload-Length"))
	f.piece(path, 6, "g", "Upload-Length: 7").is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
	f.became(f.piece(path, 6, "ghi").is(http.StatusNoContent), path, "abcdefghi")

	late := f.begin("Upload-Defer-Length: 1")
	f.piece(late, 0, "abc").is(http.StatusNoContent)
	f.became(f.piece(late, 3, "", "Upload-Length: 3").is(http.StatusNoContent), late, "abc")
}

func TestChecksums(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	sums := map[string]func(string) []byte{
		"md5":    func(s string) []byte { b := md5.Sum([]byte(s)); return b[:] },
		"sha1":   func(s string) []byte { b := sha1.Sum([]byte(s)); return b[:] },
		"sha256": func(s string) []byte { b := sha256.Sum256([]byte(s)); return b[:] },
		"sha512": func(s string) []byte { b := sha512.Sum512([]byte(s)); return b[:] },
	}
	header := func(name, of string) string {
		return "Upload-Checksum: " + name + " " + base64.StdEncoding.EncodeToString(sums[name](of))
	}
	for name := range sums {
		path := f.begin(length(6))
		f.piece(path, 0, "abc", header(name, "abd")).is(460).fails(wire.CodeChecksumMismatch)
		f.stands(path, 0)
		f.piece(path, 0, "xyz", header(name, "xyz")).is(http.StatusNoContent) // over what was wrong
		f.piece(path, 3, "def", header(name, "xyzdef")).is(460)
		f.stands(path, 3)
		f.became(f.piece(path, 3, "def", header(name, "def")).is(http.StatusNoContent), path, "xyzdef")

		trailed := f.begin(length(3))
		late := func(of string) *reply {
			req, err := http.NewRequestWithContext(f.Context(), http.MethodPatch, f.url+trailed, chunked{strings.NewReader("abc")})
			f.ok(err)
			for _, h := range []string{tusVersion, "Upload-Offset: 0", "Content-Type: application/offset+octet-stream"} {
				name, value, _ := strings.Cut(h, ": ")
				req.Header.Set(name, value)
			}
			_, value, _ := strings.Cut(header(name, of), ": ")
			req.Trailer = http.Header{"Upload-Checksum": {value}}
			return f.do(req)
		}
		late("abd").is(460).fails(wire.CodeChecksumMismatch)
		f.stands(trailed, 0)
		f.became(late("abc").is(http.StatusNoContent), trailed, "abc")
	}
	path := f.begin(length(3))
	for _, bad := range []string{"crc32 AAAAAA==", "sha1", "sha1 !", "sha256 " + base64.StdEncoding.EncodeToString(sums["sha1"]("abc")), "SHA1 x"} {
		f.piece(path, 0, "abc", "Upload-Checksum: "+bad).is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
	}
	f.piece(path, 0, "abc", "Content-Digest: "+sha256Digest("abd")).is(http.StatusBadRequest).fails(wire.CodeDigestMismatch)
	f.stands(path, 0)
	f.piece(path, 0, "abc", "Content-Digest: "+sha256Digest("abc"), header("sha1", "abc")).is(http.StatusNoContent)
}

func TestDigestOfTheWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	sha512Digest := func(of string) string {
		sum := sha512.Sum512([]byte(of))
		return "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	for _, digest := range []func(string) string{sha256Digest, sha512Digest} {
		good := f.begin(length(6), "Repr-Digest: "+digest("abcdef"))
		f.piece(good, 0, "abc").is(http.StatusNoContent)
		f.became(f.piece(good, 3, "def").is(http.StatusNoContent), good, "abcdef")
		bad := f.begin(length(6), "Repr-Digest: "+digest("abcdeg"))
		f.piece(bad, 0, "abc").is(http.StatusNoContent)
		f.piece(bad, 3, "def").is(http.StatusBadRequest).fails(wire.CodeDigestMismatch)
		f.send(http.MethodHead, bad, nil, tusVersion).is(http.StatusNotFound) // nothing can come of it
	}
	f.equal("jobs", 2, len(into[wire.Jobs](f.get("/v1/jobs")).Jobs))
	f.hasBlobs(0)
	f.send(http.MethodPost, "/tus/", nil, tusVersion, length(3), "Repr-Digest: nonsense").is(http.StatusBadRequest).fails(wire.CodeMalformedRequest)
}

func TestUploadsInPiecesExpire(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	f := newFixture(t, openSQLite(t), func(o *api.Options) { o.Now, o.Limits.TransferExpiry = clock, time.Hour })
	path := f.begin(length(6))
	until, err := http.ParseTime(f.stands(path, 0).header.Get("Upload-Expires"))
	f.ok(err)
	if left := time.Until(until); left < 58*time.Minute || left > time.Hour {
		t.Errorf("expires in %v", left)
	}
	if f.piece(path, 0, "abc").is(http.StatusNoContent).header.Get("Upload-Expires") == "" {
		t.Error("a PATCH does not tell until when")
	}
	ahead.Store(int64(time.Hour + time.Second))
	f.send(http.MethodHead, path, nil, tusVersion).is(http.StatusGone)
	f.piece(path, 3, "def").is(http.StatusGone).fails(wire.CodeUploadExpired)
	n, freed, err := f.store.PruneTransfers(f.Context(), 0, 10)
	f.ok(err)
	f.equal("pruned", 1, n)
	f.equal("blobs to delete", 1, len(freed))
	f.piece(path, 3, "def").is(http.StatusNotFound).fails(wire.CodeNotFound)
}

func TestPartsAreJoined(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s, func(o *api.Options) { o.InlineLimit = 10 })
		const partial = "Upload-Concat: partial"
		a, b, empty := f.begin(partial, length(8)), f.begin(partial, length(8)), f.begin(partial, length(0))
		f.piece(a, 0, "01234567").is(http.StatusNoContent)
		f.piece(b, 0, "abcd").is(http.StatusNoContent)
		join := "Upload-Concat: final;" + a + " " + f.url + b + " " + empty
		f.send(http.MethodPost, "/tus/", nil, tusVersion, join).is(http.StatusBadRequest).fails(wire.CodePartsUnfinished)
		f.piece(b, 4, "efgh").is(http.StatusNoContent)
		f.equal("a part", "partial", f.stands(b, 8).header.Get("Upload-Concat"))
		f.equal("jobs of parts", 0, len(into[wire.Jobs](f.get("/v1/jobs")).Jobs))

		r := f.send(http.MethodPost, "/tus/", nil, tusVersion, join, metadata("filename", "whole.txt", "kind", "inspect")).is(http.StatusCreated)
		path := r.header.Get("Location")
		f.became(r, path, "01234567abcdefgh")
		whole := f.stands(path, 16)
		f.equal("Upload-Concat", "final;"+f.url+a+" "+f.url+b+" "+f.url+empty, whole.header.Get("Upload-Concat"))
		f.piece(path, 16, "x").is(http.StatusForbidden).fails(wire.CodeUploadFromParts)
		// Parts can be used again, a small file needs no blob, and the parts go as they came.
		small := f.send(http.MethodPost, "/tus/", nil, tusVersion, "Upload-Concat: final;"+b).is(http.StatusCreated)
		f.became(small, small.header.Get("Location"), "abcdefgh")
		for _, part := range []string{a, b, empty} {
			f.send(http.MethodDelete, part, nil, tusVersion).is(http.StatusNoContent)
		}
		f.hasBlobs(1)
		f.send(http.MethodPost, "/tus/", nil, tusVersion, "Upload-Concat: final;"+a).is(http.StatusNotFound).fails(wire.CodeNotFound)
		for _, bad := range []string{"final;", "final; ", "nonsense", "final;/elsewhere/x"} {
			if r := f.send(http.MethodPost, "/tus/", nil, tusVersion, "Upload-Concat: "+bad); r.status != http.StatusBadRequest && r.status != http.StatusNotFound {
				t.Errorf("%q: status %d", bad, r.status)
			}
		}
	})
}

// feed is a body that comes when the test says so.
type feed struct {
	*io.PipeReader
	to *io.PipeWriter
}

func newFeed() feed {
	r, w := io.Pipe()
	return feed{r, w}
}

// TestTwoClientsOneUpload: who comes last goes on, through whichever server; the one before it is told,
// and no byte of it gets between.
func TestTwoClientsOneUpload(t *testing.T) {
	t.Parallel()
	for _, servers := range []string{"one server", "two servers"} {
		t.Run(servers, func(t *testing.T) {
			t.Parallel()
			s := openSQLite(t)
			f := newFixture(t, s)
			g := f
			if servers == "two servers" {
				g = newFixture(t, s, func(o *api.Options) { o.Blobs = f.blobs })
			}
			const size = 1 << 20
			path := f.begin(length(size))
			slow := newFeed()
			first := make(chan *reply, 1)
			var sending sync.WaitGroup
			sending.Go(func() { first <- f.patch(path, 0, slow) })
			defer sending.Wait()
			for range 8 { // of a body that has not come whole
				_, err := slow.to.Write([]byte(strings.Repeat("a", size/16)))
				f.ok(err)
			}
			f.within("it is written", func() bool {
				found, err := f.blobs.List(f.Context(), blob.Key{}, 1)
				f.ok(err)
				return len(found) == 1 && found[0].Size > 0
			})
			content := strings.Repeat("b", size)
			second := g.piece(path, 0, content).is(http.StatusNoContent)
			_, err := slow.to.Write([]byte("aaaa"))
			f.ok(errors.Join(errIf(err, io.ErrClosedPipe), slow.to.Close()))
			loser := <-first
			loser.is(http.StatusLocked).fails(wire.CodeUploadLocked)
			f.equal("Retry-After", "1", loser.header.Get("Retry-After"))
			f.became(second, path, content)
		})
	}
}

// errIf passes over one error.
func errIf(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// TestManyClientsOneUpload: whatever pieces of many clients at once come to, the bytes are those of one
// client at each place where the upload was said to stand.
func TestManyClientsOneUpload(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		const size, step, clients = 400_000, 100_000, 8
		path := f.begin(length(size))
		var done atomic.Bool
		var all sync.WaitGroup
		for c := range clients {
			all.Go(func() {
				letter := string(rune('a' + c))
				for !done.Load() {
					offset, err := strconv.Atoi(f.send(http.MethodHead, path, nil, tusVersion).header.Get("Upload-Offset"))
					if err != nil {
						f.Error(err)
						return
					}
					if offset == size {
						done.Store(true)
						return
					}
					r := f.piece(path, offset, strings.Repeat(letter, min(step, size-offset)))
					if r.status != http.StatusNoContent && r.status != http.StatusConflict && r.status != http.StatusLocked {
						f.Errorf("status %d: %s", r.status, r.body)
						done.Store(true)
					}
				}
			})
		}
		all.Wait()
		r := f.stands(path, size)
		content := f.get("/v1/files/" + strings.TrimPrefix(path, "/tus/") + "/content").is(http.StatusOK).body
		for at := 0; at < size; at += step {
			if piece := string(content[at : at+step]); piece != strings.Repeat(piece[:1], step) {
				f.Errorf("the piece at %d is of more than one client", at)
			}
		}
		f.became(r, path, string(content))
	})
}

func TestBrokenConnectionKeepsWhatCame(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	path := f.begin(length(1 << 20))
	conn := f.dial()
	_, err := io.WriteString(conn, "PATCH "+path+" HTTP/1.1\r\nHost: localhost\r\n"+tusVersion+"\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 1048576\r\n\r\n"+strings.Repeat("x", 300_000))
	f.ok(err)
	f.ok(conn.Close())
	f.within("what came is kept", func() bool {
		return f.send(http.MethodHead, path, nil, tusVersion).header.Get("Upload-Offset") == "300000"
	})
	rest := strings.Repeat("y", 1<<20-300_000)
	f.became(f.piece(path, 300_000, rest).is(http.StatusNoContent), path, strings.Repeat("x", 300_000)+rest)

	// With a checksum nothing of it can be kept.
	checked := f.begin(length(1 << 20))
	conn = f.dial()
	_, err = io.WriteString(conn, "PATCH "+checked+" HTTP/1.1\r\nHost: localhost\r\n"+tusVersion+"\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 1048576\r\n"+
		"Upload-Checksum: sha1 "+base64.StdEncoding.EncodeToString(make([]byte, 20))+"\r\n\r\n"+strings.Repeat("x", 300_000))
	f.ok(err)
	f.hasBlobs(2) // it has begun: else it may come after the next one, and take the upload over
	f.ok(conn.Close())
	f.piece(checked, 0, strings.Repeat("z", 10)).is(http.StatusNoContent)
	f.stands(checked, 10)
}

// TestEndOfTheServerInterrupts: a server that is about to end keeps what has come, and tells its clients
// to go on elsewhere.
func TestEndOfTheServerInterrupts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	path := f.begin(length(1 << 20))
	conn := f.dial()
	_, err := io.WriteString(conn, "PATCH "+path+" HTTP/1.1\r\nHost: localhost\r\n"+tusVersion+"\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 1048576\r\n\r\n"+strings.Repeat("x", 300_000))
	f.ok(err)
	f.within("some of it is written", func() bool {
		found, err := f.blobs.List(f.Context(), blob.Key{}, 1)
		f.ok(err)
		return len(found) == 1 && found[0].Size > 0
	})
	f.api.EndStreams()
	r := f.answer(bufio.NewReader(conn))
	r.is(http.StatusServiceUnavailable).fails(wire.CodeUploadInterrupted)
	f.ok(conn.Close())
	offset, err := strconv.Atoi(f.send(http.MethodHead, path, nil, tusVersion).header.Get("Upload-Offset"))
	f.ok(err)
	if offset == 0 || offset > 300_000 {
		t.Errorf("%d bytes are kept", offset)
	}
	g := newFixture(t, f.store, func(o *api.Options) { o.Blobs = f.blobs })
	rest := strings.Repeat("y", 1<<20-offset)
	g.became(g.piece(path, offset, rest).is(http.StatusNoContent), path, strings.Repeat("x", offset)+rest)
}

func TestUploadIsGivenUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	path := f.begin(length(100_000))
	f.piece(path, 0, strings.Repeat("x", 50_000)).is(http.StatusNoContent)
	f.hasBlobs(1)
	slow := newFeed()
	var sending sync.WaitGroup
	sending.Go(func() {
		if r := f.patch(path, 50_000, slow); r.status != http.StatusLocked && r.status != http.StatusNotFound {
			f.Errorf("status %d", r.status)
		}
	})
	_, err := slow.to.Write(make([]byte, 1000))
	f.ok(err)
	f.send(http.MethodPost, path, nil, tusVersion, "X-HTTP-Method-Override: DELETE").is(http.StatusNoContent)
	f.ok(slow.to.Close())
	sending.Wait()
	f.send(http.MethodHead, path, nil, tusVersion).is(http.StatusNotFound)
	f.send(http.MethodDelete, path, nil, tusVersion).is(http.StatusNotFound).fails(wire.CodeNotFound)
	f.keptNothing()
}

// givenUp is a blob store whose object is gone when it is to be appended to: somebody has given the upload up.
type givenUp struct {
	blob.Appender
	before func()
}

func (g *givenUp) Append(ctx context.Context, key blob.Key, at blob.Progress, content io.Reader, saved func(blob.Progress) error) (blob.Progress, error) {
	g.before()
	return g.Appender.Append(ctx, key, at, content, saved)
}

// TestUploadIsGivenUpBesideAPiece: the piece is refused as one that came too late, not as a fault of the server's.
func TestUploadIsGivenUpBesideAPiece(t *testing.T) {
	t.Parallel()
	for name, kept := range map[string]int{"before its first byte": 0, "later": 50} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, openSQLite(t))
			path := f.begin(length(100))
			f.piece(path, 0, strings.Repeat("x", kept)).is(http.StatusNoContent)
			appender, ok := f.blobs.(blob.Appender)
			if !ok {
				t.Fatal("the blob store takes no pieces")
			}
			g := newFixture(t, f.store, func(o *api.Options) {
				o.Blobs = &givenUp{appender, func() { f.send(http.MethodDelete, path, nil, tusVersion).is(http.StatusNoContent) }}
			})
			g.piece(path, kept, strings.Repeat("x", 100-kept)).is(http.StatusLocked).fails(wire.CodeUploadLocked)
		})
	}
}

func TestUploadInPiecesWithAKey(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		const key = "Idempotency-Key: k"
		var all sync.WaitGroup
		var mu sync.Mutex
		paths := map[string]int{}
		for range 100 {
			all.Go(func() {
				path := f.begin(key, length(6), metadata("filename", "a"))
				mu.Lock()
				defer mu.Unlock()
				paths[path]++
			})
		}
		all.Wait()
		f.equal("uploads begun", 1, len(paths))
		f.send(http.MethodPost, "/tus/", nil, tusVersion, key, length(7), metadata("filename", "a")).is(http.StatusUnprocessableEntity).fails(wire.CodeKeyReused)
		f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), key).is(http.StatusUnprocessableEntity).fails(wire.CodeKeyReused)
		for path := range paths {
			f.piece(path, 0, "abc").is(http.StatusNoContent)
			again := f.send(http.MethodPost, "/tus/", nil, tusVersion, key, length(6), metadata("filename", "a")).is(http.StatusCreated)
			f.equal("replayed", "true", again.header.Get("Idempotent-Replayed"))
			f.equal("Upload-Offset", "3", again.header.Get("Upload-Offset"))
		}

		part := f.begin("Upload-Concat: partial", length(3))
		f.piece(part, 0, "abc").is(http.StatusNoContent)
		joined := map[string]int{}
		for range 20 {
			all.Go(func() {
				r := f.send(http.MethodPost, "/tus/", nil, tusVersion, "Idempotency-Key: join", "Upload-Concat: final;"+part).is(http.StatusCreated)
				mu.Lock()
				defer mu.Unlock()
				joined[r.header.Get("Location")+" "+r.header.Get("Leat-Job-Id")]++
			})
		}
		all.Wait()
		f.equal("files joined", 1, len(joined))
		f.equal("jobs", 1, len(into[wire.Jobs](f.get("/v1/jobs")).Jobs))

		// A client's headers are those of all its requests, also where it sends no other than POST.
		path := f.begin("Idempotency-Key: of all", length(2))
		f.send(http.MethodPost, path, strings.NewReader("ab"), tusVersion, "Idempotency-Key: of all", "X-HTTP-Method-Override: PATCH",
			"Upload-Offset: 0", "Content-Type: application/offset+octet-stream").is(http.StatusNoContent)

		// A request that is refused leaves its key free.
		f.send(http.MethodPost, "/tus/", nil, tusVersion, "Idempotency-Key: bad", "Upload-Concat: final;"+part+"x").is(http.StatusNotFound)
		f.begin("Idempotency-Key: bad", length(1))
	})
}

// failingFinish is a store that cannot commit for a while.
type failingFinish struct {
	store.Store
	left atomic.Int64
}

func (s *failingFinish) FinishTransfer(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, epoch int64, upload store.Upload, once *store.OnceAnswer) (store.Accepted, error) {
	if s.left.Add(-1) >= 0 {
		return store.Accepted{}, fmt.Errorf("commit: %w", store.ErrUnavailable)
	}
	return s.Store.FinishTransfer(ctx, tenant, id, epoch, upload, once)
}

// TestP1EndIsNotToldBeforeItIsCommitted: a client that is told that all its bytes are there goes away; so it
// is told only when the job is there as well.
func TestP1EndIsNotToldBeforeItIsCommitted(t *testing.T) {
	t.Parallel()
	s := &failingFinish{Store: openSQLite(t)}
	s.left.Store(2)
	f := newFixture(t, s)
	path := f.begin(length(6))
	f.piece(path, 0, "abc").is(http.StatusNoContent)
	for range 2 {
		f.piece(path, 3, "def").is(http.StatusServiceUnavailable).fails(wire.CodeStoreUnavailable)
		f.stands(path, 3)
	}
	f.became(f.piece(path, 3, "def").is(http.StatusNoContent), path, "abcdef")
}

func TestWrongRequestsForUploadsInPieces(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), limit(func(l *api.Limits) { l.File, l.Field = 1000, 100 }))
	post := func(headers ...string) *reply { return f.send(http.MethodPost, "/tus/", nil, headers...) }
	post(length(1)).is(http.StatusPreconditionFailed).fails(wire.CodeUnsupportedTus)
	post(tusVersion).is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
	post(tusVersion, "Upload-Length: -1").is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
	post(tusVersion, length(1), "Upload-Defer-Length: 1").is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
	post(tusVersion, "Upload-Defer-Length: 2").is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
	post(tusVersion, length(1001)).is(http.StatusRequestEntityTooLarge).fails(wire.CodeFileTooLarge)
	for _, bad := range []string{"kind !", "a YQ==,a YQ==", strings.Repeat("a", 17<<10)} {
		post(tusVersion, length(1), "Upload-Metadata: "+bad).is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
	}
	post(tusVersion, length(1), metadata("kind", "nonsense")).is(http.StatusBadRequest).fails(wire.CodeUnknownKind)
	post(tusVersion, length(1), metadata("kind", "convert", "params", `{"width":-1}`)).is(http.StatusBadRequest).fails(wire.CodeInvalidParams)
	post(tusVersion, length(1), metadata("params", `{"mode":"`+strings.Repeat("x", 100)+`"}`)).is(http.StatusRequestEntityTooLarge).fails(wire.CodeFieldTooLarge)
	f.hasBlobs(0)

	path := f.begin(length(6))
	f.send(http.MethodPatch, path, strings.NewReader("abc"), tusVersion, "Upload-Offset: 0").is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
	f.send(http.MethodPatch, path, strings.NewReader("abc"), tusVersion, "Content-Type: application/offset+octet-stream").is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
	f.piece(path, 1, "abc").is(http.StatusConflict).fails(wire.CodeOffsetMismatch)
	f.piece(path, 0, "abcdefg").is(http.StatusRequestEntityTooLarge).fails(wire.CodeFileTooLarge)
	f.patch(path, 0, chunked{strings.NewReader("abcdefg")}).is(http.StatusRequestEntityTooLarge).fails(wire.CodeFileTooLarge)
	f.stands(path, 0)
	f.get(path).is(http.StatusMethodNotAllowed).fails(wire.CodeMethodNotAllowed)
	f.piece(path, 0, "abc", "Content-Encoding: gzip").is(http.StatusUnsupportedMediaType).fails(wire.CodeUnsupportedEncoding)
	endless := f.begin("Upload-Defer-Length: 1")
	f.patch(endless, 0, chunked{strings.NewReader(strings.Repeat("x", 1001))}).is(http.StatusRequestEntityTooLarge)
	for _, id := range []string{uuid.NewString(), "x", strings.ToUpper(strings.TrimPrefix(path, "/tus/"))} {
		f.send(http.MethodHead, "/tus/"+id, nil, tusVersion).is(http.StatusNotFound)
		f.piece("/tus/"+id, 0, "abc").is(http.StatusNotFound).fails(wire.CodeNotFound)
		f.send(http.MethodDelete, "/tus/"+id, nil, tusVersion).is(http.StatusNotFound).fails(wire.CodeNotFound)
	}
	f.equal("jobs", 0, len(into[wire.Jobs](f.get("/v1/jobs")).Jobs))
	f.became(f.piece(path, 0, "abcdef").is(http.StatusNoContent), path, "abcdef")
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), func(o *api.Options) { o.CORSOrigins = []string{"https://app.example"}; o.Limits.File = 1234 })
	r := f.send(http.MethodOptions, "/tus/", nil, "Origin: https://app.example", "Access-Control-Request-Method: POST").is(http.StatusOK)
	for name, want := range map[string]string{
		"Tus-Version": "1.0.0", "Tus-Resumable": "1.0.0", "Tus-Max-Size": "1234", "Tus-Checksum-Algorithm": "md5,sha1,sha256,sha512",
		"Tus-Extension":                "creation,creation-with-upload,termination,concatenation,creation-defer-length,checksum,checksum-trailer,expiration",
		"Access-Control-Allow-Origin":  "https://app.example",
		"Access-Control-Allow-Methods": "POST, OPTIONS",
	} {
		f.equal(name, want, r.header.Get(name))
	}
	if !strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "Upload-Offset") {
		t.Error("a page may not send Upload-Offset")
	}
	path := f.begin(length(1))
	one := f.send(http.MethodOptions, path, nil, "Origin: https://app.example").is(http.StatusOK)
	f.equal("version of one", "1.0.0", one.header.Get("Tus-Version"))
	short := f.send(http.MethodOptions, "/tus", nil, "Origin: https://app.example").is(http.StatusOK) // browsers follow no redirect here
	f.equal("methods without the slash", "POST, OPTIONS", short.header.Get("Access-Control-Allow-Methods"))
	f.equal("methods of one", "DELETE, HEAD, PATCH, POST, OPTIONS", one.header.Get("Access-Control-Allow-Methods"))
}

// TestResumableUploadDrafts: a client of the IETF's draft needs no more than its own headers.
func TestResumableUploadDrafts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	const draft = "Upload-Draft-Interop-Version: 6"
	whole := f.send(http.MethodPost, "/tus/", strings.NewReader("hello"), draft, "Upload-Complete: ?1", `Content-Disposition: attachment; filename="a.txt"`, "Content-Type: text/x-mine").is(http.StatusCreated)
	job := f.became(whole, whole.header.Get("Location"), "hello")
	file := into[wire.File](f.get("/v1/files/" + job.FileID.String()))
	f.equal("name", "a.txt", file.Name)
	f.equal("claimed type", "text/x-mine", file.ClaimedType)

	begun := f.send(http.MethodPost, "/tus/", strings.NewReader("abc"), draft, "Upload-Complete: ?0").is(http.StatusCreated)
	path := begun.header.Get("Location")
	stands := f.send(http.MethodHead, path, nil, draft).is(http.StatusNoContent)
	f.equal("Upload-Offset", "3", stands.header.Get("Upload-Offset"))
	f.equal("Upload-Complete", "?0", stands.header.Get("Upload-Complete"))
	r := f.send(http.MethodPatch, path, strings.NewReader("def"), draft, "Upload-Complete: ?1", "Upload-Offset: 3", "Content-Type: application/partial-upload").is(http.StatusNoContent)
	f.became(r, path, "abcdef")
	f.equal("Upload-Complete", "?1", f.send(http.MethodHead, path, nil, draft).is(http.StatusNoContent).header.Get("Upload-Complete"))
}
