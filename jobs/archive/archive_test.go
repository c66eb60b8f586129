package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/archive"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
)

// bzip2Hello is "hello\n", compressed: no Go program writes bzip2.
const bzip2Hello = "BZh91AY&SY\xc1\xc0\x80\xe2\x00\x00\x01A\x00\x00\x10\x02D\xa0\x000\xcd\x00\xc3F)\x97\x17rE8P\x90\xc1\xc0\x80\xe2"

// entry is one of a test's archive.
type entry struct{ name, content string }

// encoded collects what write writes.
func encoded(t testing.TB, write func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipOf makes a ZIP archive of compressed entries, after change has changed each header.
func zipOf(t testing.TB, change func(*zip.FileHeader), entries ...entry) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error {
		w := zip.NewWriter(b)
		for _, e := range entries {
			header := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
			if change != nil {
				change(header)
			}
			into, err := w.CreateHeader(header)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(into, e.content); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

// tarOf makes a tar archive of files.
func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error {
		w := tar.NewWriter(b)
		for _, e := range entries {
			if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o600, Size: int64(len(e.content))}); err != nil {
				return err
			}
			if _, err := io.WriteString(w, e.content); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

// packed gives what a compressor makes of content.
func packed(t testing.TB, content []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error {
		w, err := open(b)
		if err != nil {
			return err
		}
		_, err = w.Write(content)
		return errors.Join(err, w.Close())
	})
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	return packed(t, content, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
}

// pzstdOf makes a file as pzstd does: before each frame there is one to skip, which has its size.
func pzstdOf(t testing.TB, parts ...string) []byte {
	t.Helper()
	var all []byte
	for _, part := range parts {
		frame := zstdOf(t, []byte(part))
		all = append(all, "\x50\x2a\x4d\x18\x04\x00\x00\x00"...)
		all = append(binary.LittleEndian.AppendUint32(all, uint32(len(frame))), frame...)
	}
	return all
}

func zstdOf(t testing.TB, content []byte) []byte {
	t.Helper()
	return packed(t, content, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
}

func xzOf(t testing.TB, content []byte, dictionary int) []byte {
	t.Helper()
	return packed(t, content, func(w io.Writer) (io.WriteCloser, error) {
		return xz.WriterConfig{DictCap: dictionary}.NewWriter(w)
	})
}

// noise is content that no compressor makes smaller, the same each time.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{})
	p := make([]byte, n)
	_, _ = r.Read(p) // never fails
	return p
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// unpack runs the handler with its own limits.
func unpack(t testing.TB, name string, content []byte, params string) *jobtest.Made {
	t.Helper()
	return jobtest.Run(t, spec.Archive(), archive.New(), name, content, params)
}

// outcome is what a run came to in few words: each file as "path=content", with its name when that
// is not the path's last part, and each refusal as "!path reason".
func outcome(t testing.TB, made *jobtest.Made) []string {
	t.Helper()
	result := jobtest.Decode[archive.Result](t, made)
	if result.Entries != result.Spawned+result.Folders+result.Skipped+result.RefusedCount {
		t.Errorf("the numbers do not add up: %+v", result)
	}
	if int(result.Spawned) != len(made.Children) {
		t.Errorf("%d spawned, %d told", len(made.Children), result.Spawned)
	}
	out := []string{}
	for i, f := range result.Files {
		child := made.Children[i]
		if child.Name != f.Name || int64(len(child.Content)) != f.Size || jobs.CleanName(f.Name) != f.Name {
			t.Errorf("%+v stands for %q of %d bytes", f, child.Name, len(child.Content))
		}
		line := f.Path + "=" + string(child.Content)
		if f.Path[strings.LastIndexByte(f.Path, '/')+1:] != f.Name {
			line += " as " + f.Name
		}
		out = append(out, line)
	}
	for _, r := range result.Refused {
		out = append(out, "!"+r.Path+" "+string(r.Reason))
	}
	return out
}

func TestSpecHasHandler(t *testing.T) {
	t.Parallel()
	specs, err := jobs.NewSpecs("archive", spec.Archive())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jobs.NewKinds(specs, map[string]jobs.Handler{"archive": archive.New()}); err != nil {
		t.Error(err)
	}
}

// The answer, byte for byte: other programs read it.
func TestAnswer(t *testing.T) {
	t.Parallel()
	content := zipOf(t, nil, entry{"data/", ""}, entry{"data/a.csv", "a,b\n"}, entry{"../b.csv", "x"}, entry{"notes.txt", "x"})
	made := unpack(t, "a.zip", content, `{"include":["*.csv"]}`)
	const want = `{"format":"zip","entries":4,"spawned":1,"folders":1,"skipped":1,"bytes":4,` +
		`"files":[{"path":"data/a.csv","name":"a.csv","size":4}],` +
		`"refused":[{"path":"../b.csv","reason":"climbing"}],"refused_count":1}`
	if made.Err != nil || string(made.Result) != want {
		t.Errorf("%v\n got %s\nwant %s", made.Err, made.Result, want)
	}
	if last := made.Progress[len(made.Progress)-1]; last <= 0 || last > 1 {
		t.Errorf("the last progress is %v", last)
	}
}

// Children get the kind and parameters that the sender chose for them; archives in the archive are
// not taken apart here, but are children as well, of the kind auto when nothing else was said.
func TestChildren(t *testing.T) {
	t.Parallel()
	inner := zipOf(t, nil, entry{"b.txt", "b"})
	content := zipOf(t, nil, entry{"a.txt", "a"}, entry{"inner.zip", string(inner)})
	for _, c := range []struct{ params, kind, childParams string }{
		{``, jobs.Auto, ``},
		{`{"kind":"auto"}`, jobs.Auto, ``},
		{`{"kind":"table","params":{"header":true}}`, "table", `{"header":true}`},
	} {
		made := unpack(t, "a.zip", content, c.params)
		if made.Err != nil || len(made.Children) != 2 {
			t.Fatalf("%s: %v, %d children", c.params, made.Err, len(made.Children))
		}
		for _, child := range made.Children {
			if child.Kind != c.kind || string(child.Params) != c.childParams {
				t.Errorf("%s: a child of kind %q with %s", c.params, child.Kind, child.Params)
			}
		}
		if !bytes.Equal(made.Children[1].Content, inner) {
			t.Errorf("%s: the archive in the archive was changed", c.params)
		}
	}
}

// A file is told by its content. What is not an archive is not supported, an empty file included;
// a document that is a ZIP file is taken apart when somebody asks for it.
func TestFormats(t *testing.T) {
	t.Parallel()
	tarball := tarOf(t, entry{"a.txt", "hello"})
	long := noise(300_000)
	for _, c := range []struct {
		format, name string
		content      []byte
		want         string // of the one file
	}{
		{"zip", "a.docx", zipOf(t, nil, entry{"a.txt", "hello"}), "a.txt=hello"},
		{"zip", "stored", zipOf(t, func(h *zip.FileHeader) { h.Method = zip.Store }, entry{"a.txt", "hello"}), "a.txt=hello"},
		{"tar", "a", tarball, "a.txt=hello"},
		{"tar.gz", "a.tgz", gzipped(t, tarball), "a.txt=hello"},
		{"tar.xz", "a", xzOf(t, tarball, 1<<20), "a.txt=hello"},
		{"tar.zst", "a", zstdOf(t, tarball), "a.txt=hello"},
		{"gzip", "a.csv.gz", gzipped(t, []byte("hello")), "a.csv=hello"},
		{"gzip", "A.CSV.GZ", gzipped(t, []byte("hello")), "A.CSV=hello"},
		{"gzip", ".gz", gzipped(t, []byte("hello")), ".gz=hello"},
		{"gzip", "two", append(gzipped(t, []byte("hel")), gzipped(t, []byte("lo"))...), "two=hello"},
		{"gzip", "long.gz", gzipped(t, long), "long=" + string(long)},
		{"gzip", "nothing.gz", gzipped(t, nil), "nothing="},
		{"bzip2", "a.bz2", []byte(bzip2Hello), "a=hello\n"},
		{"xz", "a.xz", xzOf(t, []byte("hello"), 64<<20), "a=hello"},
		{"zstd", "a.zst", zstdOf(t, []byte("hello")), "a=hello"},
		{"zstd", "pzstd.zst", pzstdOf(t, "hel", "lo"), "pzstd=hello"},
	} {
		made := unpack(t, c.name, c.content, "")
		if got := outcome(t, made); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %.100q", c.name, got)
		}
		if got := jobtest.Decode[archive.Result](t, made).Format; got != c.format {
			t.Errorf("%s is %q", c.name, got)
		}
	}
	for name, content := range map[string][]byte{"text": []byte("hello"), "nothing": nil, "zeros": make([]byte, 10240)} {
		if made := unpack(t, name, content, ""); made.Code() != jobs.CodeUnsupported {
			t.Errorf("%s: %v", name, made.Err)
		}
	}
	if got := outcome(t, unpack(t, "empty.zip", zipOf(t, nil), "")); len(got) != 0 {
		t.Errorf("an empty archive: %q", got)
	}
}

// The name in a gzip file is used when the file's own says nothing, and only if it is a good one.
func TestGzipName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, inside, want string }{
		{"download", "a.csv", "a.csv=x"},
		{"b.csv.gz", "a.csv", "b.csv=x"},
		{"download", "../a.csv", "download=x"},
		{"download", "/etc/a.csv", "download=x"},
		{"download", "dir/a.csv", "a.csv=x"},
	} {
		content := packed(t, []byte("x"), func(w io.Writer) (io.WriteCloser, error) {
			z := gzip.NewWriter(w)
			z.Name = c.inside
			return z, nil
		})
		if got := outcome(t, unpack(t, c.name, content, "")); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s with %s: %q", c.name, c.inside, got)
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	content := tarOf(t, entry{"a.csv", "1"}, entry{"d/b.csv", "2"}, entry{"d/c.txt", "3"}, entry{"e/b.csv", "4"})
	for params, want := range map[string]string{
		``:                            "a.csv=1 d/b.csv=2 d/c.txt=3 e/b.csv=4 as b (2).csv",
		`{"include":["*.csv"]}`:       "a.csv=1 d/b.csv=2 e/b.csv=4 as b (2).csv",
		`{"include":["d/*"]}`:         "d/b.csv=2 d/c.txt=3",
		`{"include":["*.txt","a.*"]}`: "a.csv=1 d/c.txt=3",
		`{"exclude":["*.csv"]}`:       "d/c.txt=3",
		`{"include":["*.csv"],"exclude":["d/*"]}`: "a.csv=1 e/b.csv=4",
		`{"include":["*.CSV"]}`:                   "",
		`{"include":["*"],"max_entries":4}`:       "a.csv=1 d/b.csv=2 d/c.txt=3 e/b.csv=4 as b (2).csv",
	} {
		if got := strings.Join(outcome(t, unpack(t, "a.tar", content, params)), " "); got != want {
			t.Errorf("%s: %s", params, got)
		}
	}
	for _, format := range [][]byte{content, zipOf(t, nil, entry{"a", ""}, entry{"b", ""}, entry{"c", ""}, entry{"d", ""})} {
		if made := unpack(t, "many", format, `{"max_entries":3}`); made.Code() != jobs.CodeLimitOutput {
			t.Errorf("one entry too many: %v", made.Err)
		}
	}
}

// A long list is cut in the result, never in the work.
func TestManyEntries(t *testing.T) {
	t.Parallel()
	entries := []entry{}
	for i := range 3000 {
		name := strings.Repeat("<long>/", 60) + string(rune('a'+i%26)) + strings.Repeat("é", 20)
		if i%3 == 0 {
			name = "/" + name
		}
		entries = append(entries, entry{name, "x"})
	}
	result := jobtest.Decode[archive.Result](t, unpack(t, "a.tar", tarOf(t, entries...), ""))
	if result.Spawned != 2000 || result.RefusedCount != 1000 || len(result.Files) == 0 || len(result.Files) > 1000 {
		t.Errorf("%d spawned, %d refused, %d listed", result.Spawned, result.RefusedCount, len(result.Files))
	}
}
