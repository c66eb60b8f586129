package api_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// read returns the bytes of a file as a worker would read them.
func (f *fixture) read(id uuid.UUID) (jobs.File, string, bool) {
	f.Helper()
	got, content, err := f.store.File(f.Context(), jobs.DefaultTenant, id)
	f.ok(err)
	if content.BlobKey == uuid.Nil {
		return got, string(content.Inline), true
	}
	object, err := f.blobs.Open(f.Context(), blob.Key(content.BlobKey))
	f.ok(err)
	defer object.Close()
	text, err := io.ReadAll(object)
	f.ok(err)
	return got, string(text), false
}

func TestUploadOneFileInAForm(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		r := f.sendForm(field("kind", "inspect"), file("notes.txt", "hello", "Content-Type: text/x-notes; charset=utf-8"))
		got := into[wire.Upload](r.is(http.StatusAccepted))
		f.equal("answer", wire.Upload{
			Status: "processing", FileID: got.FileID, JobID: got.JobID, Size: 5, SHA256: hexOf("hello"), MediaType: "text/plain",
		}, got)
		f.equal("Location", "/v1/jobs/"+got.JobID.String(), r.header.Get("Location"))

		kept, content, inline := f.read(got.FileID)
		f.equal("content", "hello", content)
		f.equal("inline", true, inline)
		f.equal("name", "notes.txt", kept.Name)
		f.equal("claimed type", "text/x-notes; charset=utf-8", kept.ClaimedType)
		f.equal("handed over", []store.Delivery{{JobID: got.JobID, Generation: 1, Queue: "default"}}, <-f.over)
	})
}

func TestUploadFieldsBehindTheFileHoldForIt(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		r := f.sendForm(file("a.bin", "x"), field("queue", "slow"), field("params", ` {"mode":"fast", "width": 3}`),
			field("run_at", at.Format(time.RFC3339)), field("kind", "convert"))
		got := into[wire.Upload](r.is(http.StatusAccepted))
		job, err := f.store.Job(t.Context(), jobs.DefaultTenant, got.JobID)
		f.ok(err)
		f.equal("kind", "convert", job.Kind)
		f.equal("kind's version", 3, job.KindVersion)
		f.equal("queue", "slow", job.Queue)
		f.equal("params", `{"width":3,"mode":"fast"}`, string(job.Params))
		f.equal("run_at", at, job.RunAt.UTC())
		f.equal("handed over", []store.Delivery{}, <-f.over)
	})
}

func TestUploadSeveralFiles(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		large := strings.Repeat("0123456789abcdef", 4096) // 64 KiB: a blob
		r := f.sendForm(file("one.txt", "one"), field("kind", "auto"), file("two.txt", large), file("three.txt", ""))
		got := into[wire.Uploads](r.is(http.StatusAccepted)).Uploads
		f.equal("Location", "", r.header.Get("Location"))
		f.equal("files", 3, len(got))
		for i, want := range []string{"one", large, ""} {
			_, content, inline := f.read(got[i].FileID)
			f.equal("content", want, content)
			f.equal("inline", len(want) < 1000, inline)
			f.equal("size", int64(len(want)), got[i].Size)
			f.equal("SHA-256", hexOf(want), got[i].SHA256)
		}
		f.equal("handed over", 3, len(<-f.over))
	})
}

func TestUploadRawBody(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		png := "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
		r := f.send(http.MethodPost, "/upload?filename=%E2%82%AC%20rates.png&params=%7B%22width%22:7%7D&queue=q1", strings.NewReader(png), "Content-Type: image/x-mine")
		got := into[wire.Upload](r.is(http.StatusAccepted))
		f.equal("media type", "image/png", got.MediaType)
		kept, content, _ := f.read(got.FileID)
		f.equal("content", png, content)
		f.equal("name", "€ rates.png", kept.Name)
		f.equal("claimed type", "image/x-mine", kept.ClaimedType)
		job, err := f.store.Job(t.Context(), jobs.DefaultTenant, got.JobID)
		f.ok(err)
		f.equal("kind by media type", "convert", job.Kind)
		f.equal("queue", "q1", job.Queue)

		got = f.uploadRaw("", "")
		kept, content, inline := f.read(got.FileID)
		f.equal("an empty body", "", content)
		f.equal("inline", true, inline)
		f.equal("the name of the nameless", "file", kept.Name)
	})
}

func TestUploadGoesWhereItsSizeSays(t *testing.T) {
	t.Parallel()
	s := openSQLite(t)
	const threshold = 5000
	f := newFixture(t, s, func(o *api.Options) { o.InlineLimit = threshold })
	for _, size := range []int{0, 1, threshold - 1, threshold, threshold + 1, threshold + 2, 40_000, 300_000} {
		content := strings.Repeat("x", size)
		for name, got := range map[string]wire.Upload{
			"raw":  f.uploadRaw(content, "filename=x"),
			"form": into[wire.Upload](f.sendForm(file("x", content)).is(http.StatusAccepted)),
		} {
			_, kept, inline := f.read(got.FileID)
			if kept != content || got.SHA256 != hexOf(content) {
				t.Errorf("%s of %d bytes: came back with %d bytes, SHA-256 %s", name, size, len(kept), got.SHA256)
			}
			if inline != (size <= threshold) {
				t.Errorf("%s of %d bytes: inline is %v", name, size, inline)
			}
		}
	}
}

func TestUploadHoldsLittleOfAFormInMemory(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), func(o *api.Options) { o.InlineLimit = 100 })
	parts := make([]string, 40)
	for i := range parts {
		parts[i] = file("x", strings.Repeat("y", 100))
	}
	got := into[wire.Uploads](f.sendForm(parts...).is(http.StatusAccepted)).Uploads
	inline := 0
	for _, u := range got {
		if _, _, in := f.read(u.FileID); in {
			inline++
		}
	}
	f.equal("inline files of 40", 16, inline)
}

func TestUploadOptionsInTheQueryOfAForm(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	body := form(file("a", "x"))
	got := into[wire.Upload](f.send(http.MethodPost, "/v1/uploads?kind=inspect&queue=mine", strings.NewReader(body), formType).is(http.StatusAccepted))
	job, err := f.store.Job(t.Context(), jobs.DefaultTenant, got.JobID)
	f.ok(err)
	f.equal("queue", "mine", job.Queue)

	f.send(http.MethodPost, "/v1/uploads?queue=mine", strings.NewReader(form(field("queue", "other"), file("a", "x"))), formType).fails(wire.CodeDuplicateField)
	f.send(http.MethodPost, "/v1/uploads?filename=x", strings.NewReader(body), formType).fails(wire.CodeUnknownField)
}

func TestUploadTakesOverAResult(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		const query = "kind=convert&params=%7B%22width%22:7%7D"
		first := f.uploadRaw("the same", query)
		f.equal("handed over", 1, len(<-f.over))
		f.run(first.JobID, 1, store.RunEnd{Outcome: jobs.RunSucceeded, Result: []byte(`{"done":true}`)})

		second := f.uploadRaw("the same", query)
		f.equal("status", wire.StatusSucceeded, second.Status)
		f.equal("result of", first.JobID, second.ResultOf)
		f.equal("handed over", []store.Delivery{}, <-f.over)
		job := into[wire.Job](f.get("/v1/jobs/" + second.JobID.String()).is(http.StatusOK))
		f.equal("state", wire.Succeeded, job.State)
		f.equal("result of", first.JobID, job.ResultOf)
		f.equal("result", `{"done":true}`, string(job.Result))

		for _, fresh := range []string{"true", "1"} {
			third := f.uploadRaw("the same", query+"&fresh="+fresh)
			f.equal("status of a fresh one", wire.StatusProcessing, third.Status)
			f.equal("handed over", 1, len(<-f.over))
		}
		f.send(http.MethodPost, "/v1/uploads?fresh=perhaps", strings.NewReader("x")).fails(wire.CodeInvalidParameter)
	})
}

func TestUploadRunAtInThePastMeansNow(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		first := f.uploadRaw("1", "")
		second := f.uploadRaw("2", "run_at=1970-01-01T00:00:00Z")
		a, err := s.Job(t.Context(), jobs.DefaultTenant, first.JobID)
		f.ok(err)
		b, err := s.Job(t.Context(), jobs.DefaultTenant, second.JobID)
		f.ok(err)
		if b.RunAt.Before(a.RunAt) {
			t.Errorf("the later upload is due at %v, before the earlier one at %v", b.RunAt, a.RunAt)
		}
	})
}

// formTest is one form and what becomes of it.
type formTest struct {
	name   string
	body   string
	header string    // formType when empty
	code   wire.Code // of the refusal
	field  string    // that is blamed
	file   string    // else the name under which the file is kept
}

var formTests = []formTest{
	{name: "no parts", body: form(), code: wire.CodeNoFile},
	{name: "no file", body: form(field("kind", "inspect")), code: wire.CodeNoFile},
	{name: "no file chosen on a page", body: form(file("", "")), code: wire.CodeNoFile},
	{name: "empty body", body: "", code: wire.CodeIncompleteBody},
	{name: "no boundary", body: form(file("a", "x")), header: "Content-Type: multipart/form-data", code: wire.CodeMalformedMultipart},
	{name: "empty boundary", body: form(file("a", "x")), header: `Content-Type: multipart/form-data; boundary=""`, code: wire.CodeMalformedMultipart},
	{name: "another boundary", body: form(file("a", "x")), header: "Content-Type: multipart/form-data; boundary=other", code: wire.CodeIncompleteBody},
	{name: "broken content type", body: form(file("a", "x")), header: "Content-Type: multipart/form-data; boundary", code: wire.CodeMalformedMultipart},
	{name: "truncated in the file", body: strings.TrimSuffix(form(file("a", "xyz")), "z\r\n--"+boundary+"--\r\n"), code: wire.CodeIncompleteBody},
	{name: "truncated in the last boundary", body: strings.TrimSuffix(form(file("a", "xyz")), "-\r\n"), code: wire.CodeIncompleteBody},
	{name: "truncated in a header", body: "--" + boundary + "\r\nContent-Disp", code: wire.CodeMalformedMultipart},
	{name: "goes on behind its end", body: form(file("a", "x")) + strings.Repeat("z", 1<<20), code: wire.CodeMalformedMultipart},
	{name: "a little behind its end", body: form(file("a", "x")) + "epilogue\r\n", file: "a"},
	{name: "something before its begin", body: "preamble\r\n" + form(file("a", "x")), file: "a"},
	{name: "lines end in LF", body: strings.ReplaceAll(form(file("a", "x")), "\r\n", "\n"), file: "a"},
	{name: "a header without a colon", body: form("Content-Disposition form-data\r\n\r\nx"), code: wire.CodeMalformedMultipart},
	{name: "a part without a name", body: form("Content-Disposition: form-data\r\n\r\nx"), code: wire.CodeMalformedMultipart},
	{name: "a part without disposition", body: form("Content-Type: text/plain\r\n\r\nx"), code: wire.CodeMalformedMultipart},
	{name: "an attachment", body: form("Content-Disposition: attachment; name=\"file\"\r\n\r\nx"), code: wire.CodeMalformedMultipart},
	{name: "two names", body: form("Content-Disposition: form-data; name=\"file\"; name=\"kind\"\r\n\r\nx"), code: wire.CodeMalformedMultipart},
	{name: "unknown field", body: form(field("colour", "red"), file("a", "x")), code: wire.CodeUnknownField, field: "colour"},
	{name: "unknown file field", body: form(`Content-Disposition: form-data; name="attachment"; filename="a"` + "\r\n\r\nx"), code: wire.CodeUnknownField, field: "attachment"},
	{name: "a field twice", body: form(field("queue", "a"), field("queue", "a"), file("a", "x")), code: wire.CodeDuplicateField, field: "queue"},
	{name: "an empty field twice", body: form(field("queue", ""), field("queue", ""), file("a", "x")), code: wire.CodeDuplicateField, field: "queue"},
	{name: "empty fields", body: form(field("kind", ""), field("queue", ""), field("params", ""), field("run_at", ""), file("a", "x")), file: "a"},
	{name: "unknown kind", body: form(field("kind", "launder"), file("a", "x")), code: wire.CodeUnknownKind, field: "kind"},
	{name: "bad queue", body: form(field("queue", "Über"), file("a", "x")), code: wire.CodeInvalidParameter, field: "queue"},
	{name: "queue with NUL", body: form(field("queue", "a\x00b"), file("a", "x")), code: wire.CodeInvalidParameter, field: "queue"},
	{name: "params that are not JSON", body: form(field("params", "{"), file("a", "x")), code: wire.CodeInvalidParams, field: "params"},
	{name: "params for a kind without any", body: form(field("params", `{"a":1}`), file("a", "x")), code: wire.CodeInvalidParams, field: "params"},
	{name: "a parameter of the wrong type", body: form(field("kind", "convert"), field("params", `{"width":"wide"}`), file("a", "x")), code: wire.CodeInvalidParams, field: "params.width"},
	{name: "a parameter out of range", body: form(field("kind", "convert"), field("params", `{"width":-1}`), file("a", "x")), code: wire.CodeInvalidParams, field: "params.width"},
	{name: "a parameter with NUL", body: form(field("kind", "convert"), field("params", `{"mode":"\u0000"}`), file("a", "x")), code: wire.CodeInvalidParams, field: "params"},
	{name: "run_at that is no time", body: form(field("run_at", "tomorrow"), file("a", "x")), code: wire.CodeInvalidParameter, field: "run_at"},
	{name: "run_at too far ahead", body: form(field("run_at", "9999-01-01T00:00:00Z"), file("a", "x")), code: wire.CodeInvalidParameter, field: "run_at"},
	{name: "a packed part", body: form(file("a", "eA==", "Content-Transfer-Encoding: base64")), code: wire.CodeUnsupportedEncoding},
	{name: "a binary part", body: form(file("a", "x", "Content-Transfer-Encoding: binary")), file: "a"},
	{name: "a form in a form", body: form(file("a", "--inner\r\n\r\nx\r\n--inner--", "Content-Type: multipart/mixed; boundary=inner")), file: "a"},
	{name: "no filename", body: form(field("file", "x")), file: "file"},
	{name: "an empty file with a name", body: form(file("empty.txt", "")), file: "empty.txt"},
	{name: "filename*", body: form("Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt\r\n\r\nx"), file: "naïve €.txt"},
	{name: "filename and filename*", body: form("Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"; filename*=UTF-8''b.txt\r\n\r\nx"), file: "b.txt"},
	{name: "filename in UTF-8", body: form(file("naïve €.txt", "x")), file: "naïve €.txt"},
	{name: "filename in Latin-1", body: form(file("na\xefve.txt", "x")), file: "nave.txt"},
	{name: "filename with quotes", body: form(file(`a\"b.txt`, "x")), file: `a"b.txt`},
	{name: "filename of a path", body: form(file("../../etc/passwd", "x")), file: "passwd"},
	{name: "filename of a Windows path", body: form(file(`C:\\secret\\a.txt`, "x")), file: "a.txt"},
	{name: "filename of dots", body: form(file("..", "x")), file: "file"},
	{name: "filename that hides its end", body: form(file("a\u202etxt.exe", "x")), file: "atxt.exe"},
	{name: "filename with an escaped NUL", body: form("Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''a%00.txt\r\n\r\nx"), file: "a.txt"},
	{name: "filename with escaped line ends", body: form("Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''a%0D%0ASet-Cookie%3Ax\r\n\r\nx"), file: "aSet-Cookie:x"},
	{name: "a very long filename", body: form(file(strings.Repeat("a", 1000)+".txt", "x")), file: strings.Repeat("a", 255)},
	{name: "headers folded", body: form("Content-Disposition: form-data;\r\n name=\"file\"; filename=\"a\"\r\n\r\nx"), file: "a"},
}

func TestUploadForms(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		for _, test := range formTests {
			f := newFixture(t, s)
			header := test.header
			if header == "" {
				header = formType
			}
			r := f.send(http.MethodPost, "/v1/uploads", strings.NewReader(test.body), header)
			if test.code != "" {
				checkRefusal(t, test, r)
				continue
			}
			if r.status != http.StatusAccepted {
				t.Errorf("%s: status %d: %s", test.name, r.status, r.body)
				continue
			}
			kept, _, _ := f.read(into[wire.Upload](r).FileID)
			if kept.Name != test.file {
				t.Errorf("%s: kept as %q, want %q", test.name, kept.Name, test.file)
			}
		}
	})
}

func checkRefusal(t *testing.T, test formTest, r *reply) {
	t.Helper()
	if r.status == http.StatusAccepted {
		t.Errorf("%s: was accepted", test.name)
		return
	}
	p := into[wire.Problem](r)
	if p.Code != test.code {
		t.Errorf("%s: code %s, want %s: %s", test.name, p.Code, test.code, r.body)
	}
	switch {
	case test.field == "":
	case len(p.Errors) != 1:
		t.Errorf("%s: want one field at fault: %s", test.name, r.body)
	case p.Errors[0].Field != test.field:
		t.Errorf("%s: blames %q, want %q", test.name, p.Errors[0].Field, test.field)
	}
}

func TestUploadRefusedKeepsNothing(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		large := strings.Repeat("x", 100<<10)
		f.sendForm(file("a", large), file("b", large), field("kind", "nonsense")).fails(wire.CodeUnknownKind)
		f.keptNothing()
		f.sendForm(file("a", large), field("params", `{"x":1}`)).fails(wire.CodeInvalidParams)
		f.keptNothing()
	})
}

func TestUploadQueries(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	for query, code := range map[string]wire.Code{
		"kind=launder":                     wire.CodeUnknownKind,
		"colour=red":                       wire.CodeUnknownField,
		"filename=a&filename=b":            wire.CodeDuplicateField,
		"queue=a&queue=b":                  wire.CodeDuplicateField,
		"queue=%zz":                        wire.CodeMalformedRequest,
		"a;b":                              wire.CodeMalformedRequest,
		"run_at=soon":                      wire.CodeInvalidParameter,
		"params=nope":                      wire.CodeInvalidParams,
		"file=x":                           wire.CodeUnknownField,
		"kind=convert&params=%5B%5D":       wire.CodeInvalidParams,
		"queue=" + strings.Repeat("a", 64): wire.CodeInvalidParameter,
	} {
		r := f.send(http.MethodPost, "/v1/uploads?"+query, strings.NewReader("x"))
		if r.status == http.StatusAccepted {
			t.Errorf("?%s: was accepted", query)
			continue
		}
		if p := into[wire.Problem](r); p.Code != code {
			t.Errorf("?%s: code %s, want %s", query, p.Code, code)
		}
	}
	f.keptNothing()
}

func TestUploadPackedBodyIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), "Content-Encoding: gzip").fails(wire.CodeUnsupportedEncoding)
	f.keptNothing()
}

func TestUploadAcceptsWhateverClaimsToBeAType(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	for claimed, want := range map[string]string{
		"":                              "",
		"nonsense":                      "nonsense",
		"text/plain; charset=\"utf-8\"": "text/plain; charset=utf-8",
		"text/plain; charset":           "",
		"a/b/c":                         "",
		"x/" + strings.Repeat("y", 300): "",
	} {
		r := f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), "Content-Type: "+claimed)
		kept, _, _ := f.read(into[wire.Upload](r.is(http.StatusAccepted)).FileID)
		if kept.ClaimedType != want {
			t.Errorf("claimed %q, kept %q, want %q", claimed, kept.ClaimedType, want)
		}
	}
}

func TestUploadOfAnotherTenantIsNotFound(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		theirs := acceptFor(t, s, "other")
		for _, path := range []string{
			"/v1/jobs/" + theirs.Job.ID.String(),
			"/v1/jobs/" + theirs.Job.ID.String() + "/attempts",
			"/v1/jobs/" + theirs.Job.ID.String() + "/artifacts/a",
			"/v1/files/" + theirs.File.ID.String(),
			"/v1/files/" + theirs.File.ID.String() + "/content",
		} {
			f.get(path).fails(wire.CodeNotFound)
		}
		f.post("/v1/jobs/" + theirs.Job.ID.String() + "/cancel").fails(wire.CodeNotFound)
		f.post("/v1/jobs/" + theirs.Job.ID.String() + "/retry").fails(wire.CodeNotFound)
		f.equal("changed", wire.Changed{}, into[wire.Changed](f.post("/v1/jobs/cancel?state=pending").is(http.StatusOK)))
		f.equal("listed", 0, len(into[wire.Jobs](f.get("/v1/jobs").is(http.StatusOK)).Jobs))
	})
}

// acceptFor commits an upload of another tenant, beside the API.
func acceptFor(t *testing.T, s store.Store, tenant jobs.Tenant) store.Upload {
	t.Helper()
	u := store.Upload{
		File: store.NewFile{ID: jobs.NewID(), Name: "theirs", Content: []byte("x"), Size: 1, MediaType: "text/plain"},
		Job:  store.NewJob{ID: jobs.NewID(), Kind: "inspect", KindVersion: 1, Queue: "default", MaxAttempts: 5},
	}
	if _, err := s.Accept(context.WithoutCancel(t.Context()), tenant, []store.Upload{u}); err != nil {
		t.Fatal(err)
	}
	return u
}
