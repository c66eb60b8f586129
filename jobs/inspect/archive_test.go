package inspect_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/leat-dev/leat/jobs/inspect"
)

// zipOf makes a ZIP archive with an entry for each content.
func zipOf(t testing.TB, comment string, contents ...string) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error {
		w := zip.NewWriter(b)
		for i, content := range contents {
			entry, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("entry-%d", i), Method: zip.Store})
			if err != nil {
				return err
			}
			if _, err := io.WriteString(entry, content); err != nil {
				return err
			}
		}
		return errors.Join(w.SetComment(comment), w.Close())
	})
}

func tarOf(t testing.TB, contents ...string) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error {
		w := tar.NewWriter(b)
		for i, content := range contents {
			header := &tar.Header{Name: fmt.Sprintf("entry-%d", i), Mode: 0o600, Size: int64(len(content))}
			if err := w.WriteHeader(header); err != nil {
				return err
			}
			if _, err := io.WriteString(w, content); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

// compressed gives what a compressor makes of content.
func compressed(t testing.TB, content []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
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
	return compressed(t, content, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
}

func zstdOf(t testing.TB, content []byte) []byte {
	t.Helper()
	return compressed(t, content, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
}

func xzOf(t testing.TB, content []byte, dictionary int) []byte {
	t.Helper()
	return compressed(t, content, func(w io.Writer) (io.WriteCloser, error) {
		return xz.WriterConfig{DictCap: dictionary}.NewWriter(w)
	})
}

// bzip2Hello is "hello\n", compressed: no Go program writes bzip2.
const bzip2Hello = "BZh91AY&SY\xc1\xc0\x80\xe2\x00\x00\x01A\x00\x00\x10\x02D\xa0\x000\xcd\x00\xc3F)\x97\x17rE8P\x90\xc1\xc0\x80\xe2"

// noise is content that no compressor makes smaller, the same each time.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{})
	p := make([]byte, n)
	_, _ = r.Read(p) // never fails
	return p
}

func TestArchives(t *testing.T) {
	t.Parallel()
	tarball := tarOf(t, "hello", strings.Repeat("x", 10_000), "")
	for name, c := range map[string]struct {
		content []byte
		want    inspect.Archive
	}{
		"zip":                    {zipOf(t, "", "hello", strings.Repeat("x", 10_000), ""), inspect.Archive{Format: "zip", Entries: 3, UncompressedSize: 10_005}},
		"zip, empty":             {zipOf(t, ""), inspect.Archive{Format: "zip"}},
		"zip with a comment":     {zipOf(t, strings.Repeat("c", math.MaxUint16), "hello"), inspect.Archive{Format: "zip", Entries: 1, UncompressedSize: 5}},
		"zip, comment a record":  {zipOf(t, "PK\x05\x06 is in here"+strings.Repeat(".", 100), "hello"), inspect.Archive{Format: "zip", Entries: 1, UncompressedSize: 5}},
		"zip, real":              {readFile(t, "winshort.zip"), inspect.Archive{Format: "zip", Entries: 12, UncompressedSize: 40}},
		"tar":                    {tarball, inspect.Archive{Format: "tar", Entries: 3, UncompressedSize: 10_005}},
		"tar, real":              {readFile(t, "specialfiles.tar"), inspect.Archive{Format: "tar", Entries: 7, UncompressedSize: 8}},
		"tar.gz":                 {gzipped(t, tarball), inspect.Archive{Format: "tar.gz", Entries: 3, UncompressedSize: 10_005}},
		"tar.zst":                {zstdOf(t, tarball), inspect.Archive{Format: "tar.zst", Entries: 3, UncompressedSize: 10_005}},
		"tar.xz":                 {xzOf(t, tarball, 1<<20), inspect.Archive{Format: "tar.xz", Entries: 3, UncompressedSize: 10_005}},
		"gzip":                   {gzipped(t, noise(100_000)), inspect.Archive{Format: "gzip", Entries: 1, UncompressedSize: 100_000}},
		"gzip, empty":            {gzipped(t, nil), inspect.Archive{Format: "gzip", Entries: 1}},
		"gzip, two members":      {append(gzipped(t, []byte("hello")), gzipped(t, []byte("world!"))...), inspect.Archive{Format: "gzip", Entries: 1, UncompressedSize: 11}},
		"zstd":                   {zstdOf(t, noise(100_000)), inspect.Archive{Format: "zstd", Entries: 1, UncompressedSize: 100_000}},
		"xz":                     {xzOf(t, noise(100_000), 1<<20), inspect.Archive{Format: "xz", Entries: 1, UncompressedSize: 100_000}},
		"xz -9":                  {xzOf(t, []byte("hello"), 64<<20), inspect.Archive{Format: "xz", Entries: 1, UncompressedSize: 5}},
		"bzip2":                  {[]byte(bzip2Hello), inspect.Archive{Format: "bzip2", Entries: 1, UncompressedSize: 6}},
		"a tar in a zip in a gz": {gzipped(t, zipOf(t, "", string(tarball))), inspect.Archive{Format: "gzip", Entries: 1, UncompressedSize: int64(len(zipOf(t, "", string(tarball))))}},
	} {
		if diff := cmp.Diff(&c.want, inspected(t, name, c.content).Archive); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Documents that are ZIP files are documents.
func TestDocumentsAreNoArchives(t *testing.T) {
	t.Parallel()
	odt := encoded(t, func(b *bytes.Buffer) error {
		w := zip.NewWriter(b)
		entry, err := w.CreateHeader(&zip.FileHeader{Name: "mimetype"})
		if err != nil {
			return err
		}
		_, err = io.WriteString(entry, "application/vnd.oasis.opendocument.text")
		return errors.Join(err, w.Close())
	})
	got := inspected(t, "a.odt", odt)
	if got.MediaType != "application/vnd.oasis.opendocument.text" || got.Archive != nil {
		t.Errorf("%s with archive %+v", got.MediaType, got.Archive)
	}
}

// zipEnd finds the last record of a ZIP archive without a comment.
func zipEnd(content []byte) []byte { return content[len(content)-22:] }

// zip64Of rewrites the last record of a ZIP archive as a ZIP64 one, with what the record then says.
func zip64Of(content []byte, entries, size, off uint64) []byte {
	end := zipEnd(content)
	out := bytes.Clone(content[:len(content)-22])
	at := uint64(len(out))
	le := binary.LittleEndian
	out = append(out, "PK\x06\x06"...)
	out = le.AppendUint64(out, 44)
	out = append(out, make([]byte, 12)...) // versions and disks
	for _, v := range []uint64{entries, entries, size, off} {
		out = le.AppendUint64(out, v)
	}
	out = append(out, "PK\x06\x07\x00\x00\x00\x00"...)
	out = le.AppendUint64(out, at)
	out = le.AppendUint32(out, 1)
	out = append(out, end[:8]...)
	out = append(out, bytes.Repeat([]byte{0xFF}, 12)...)
	return append(out, 0, 0)
}

func TestZIP64(t *testing.T) {
	t.Parallel()
	plain := zipOf(t, "", "hello", "world!")
	size := uint64(binary.LittleEndian.Uint32(zipEnd(plain)[12:]))
	off := uint64(binary.LittleEndian.Uint32(zipEnd(plain)[16:]))
	big := encoded(t, func(b *bytes.Buffer) error {
		w := zip.NewWriter(b)
		_, err := w.CreateRaw(&zip.FileHeader{Name: "big", Extra: []byte("xx\x02\x00.."), UncompressedSize64: 5 << 32})
		return errors.Join(err, w.Close())
	})
	many := zipOf(t, "", make([]string, 70_000)...)
	for name, c := range map[string]struct {
		content []byte
		want    inspect.Archive
	}{
		"a large entry":           {big, inspect.Archive{Entries: 1, UncompressedSize: 5 << 32}},
		"many entries":            {many, inspect.Archive{Entries: 70_000}},
		"a record":                {zip64Of(plain, 2, size, off), inspect.Archive{Entries: 2, UncompressedSize: 11}},
		"a record's wrong count":  {zip64Of(plain, 2+1<<16, size, off), inspect.Archive{Entries: 2, UncompressedSize: 11, Truncated: true}},
		"a record's wrong size":   {zip64Of(plain, 2, math.MaxUint64, off), inspect.Archive{Entries: 2, UncompressedSize: 11}},
		"a record's wrong offset": {zip64Of(plain, 2, size, math.MaxUint64), inspect.Archive{Entries: 2, UncompressedSize: 11}},
		"both wrong":              {zip64Of(plain, 2, math.MaxUint64, math.MaxUint64), inspect.Archive{Truncated: true}},
	} {
		c.want.Format = "zip"
		if diff := cmp.Diff(&c.want, inspected(t, name, c.content).Archive); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A self-extracting archive, whose offsets count from where the archive begins. It is told by its
// start, so only one that is put before by another archive is taken for a ZIP at all.
func TestPrefixedZIP(t *testing.T) {
	t.Parallel()
	plain := zipOf(t, "", "hello", "world!")
	prefix := append([]byte("PK\x03\x04"), noise(1000)...)
	size := uint64(binary.LittleEndian.Uint32(zipEnd(plain)[12:]))
	off := uint64(binary.LittleEndian.Uint32(zipEnd(plain)[16:]))
	for name, content := range map[string][]byte{"plain": plain, "ZIP64": zip64Of(plain, 2, size, off)} {
		want := &inspect.Archive{Format: "zip", Entries: 2, UncompressedSize: 11}
		if diff := cmp.Diff(want, inspected(t, name, append(prefix, content...)).Archive); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// P7: archives that lie or are damaged say what could be counted, and that it is not all.
func TestP7HostileArchives(t *testing.T) {
	t.Parallel()
	plain := zipOf(t, "", "hello", "world!")
	lie := func(change func(end []byte)) []byte {
		content := bytes.Clone(plain)
		change(zipEnd(content))
		return content
	}
	dir := binary.LittleEndian.Uint32(zipEnd(plain)[16:])
	bigName := bytes.Clone(plain)
	binary.LittleEndian.PutUint16(bigName[dir+28:], math.MaxUint16)
	bigSizes := bytes.Clone(plain)
	for _, at := range []uint32{dir, dir + 46 + 7} { // "entry-0" has seven letters
		binary.LittleEndian.PutUint32(bigSizes[at+24:], math.MaxUint32)
	}
	tarball := tarOf(t, "hello", strings.Repeat("x", 10_000), "last")
	le := binary.LittleEndian
	for name, c := range map[string]struct {
		content []byte
		want    inspect.Archive
	}{
		"zip, more entries declared":                {lie(func(e []byte) { le.PutUint16(e[10:], 0xFFFF) }), inspect.Archive{Format: "zip", Entries: 2, UncompressedSize: 11}},
		"zip, fewer declared":                       {lie(func(e []byte) { le.PutUint16(e[10:], 1) }), inspect.Archive{Format: "zip", Entries: 2, UncompressedSize: 11}},
		"zip, a directory's size does not matter":   {lie(func(e []byte) { le.PutUint32(e[12:], math.MaxUint32) }), inspect.Archive{Format: "zip", Entries: 2, UncompressedSize: 11}},
		"zip, directory nowhere":                    {lie(func(e []byte) { le.PutUint32(e[12:], math.MaxUint32); le.PutUint32(e[16:], math.MaxUint32) }), inspect.Archive{Format: "zip"}},
		"zip, a long name":                          {bigName, inspect.Archive{Format: "zip"}},
		"zip, a missing ZIP64 size does not matter": {bigSizes, inspect.Archive{Format: "zip", Entries: 2, UncompressedSize: 2 * math.MaxUint32}},
		"zip, cut":                {plain[:len(plain)-10], inspect.Archive{Format: "zip"}},
		"zip, only a start":       {[]byte("PK\x03\x04"), inspect.Archive{Format: "zip"}},
		"zip, all ends":           {append([]byte("PK\x03\x04"), bytes.Repeat([]byte("PK\x05\x06"), 100_000)...), inspect.Archive{Format: "zip"}},
		"tar, cut in an entry":    {tarball[:512+512+512+5000], inspect.Archive{Format: "tar", Entries: 1, UncompressedSize: 5}},
		"tar, cut in a header":    {tarball[:512+512+100], inspect.Archive{Format: "tar"}},
		"tar, negative size":      {hostileTar(tarball, "\x80\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"), inspect.Archive{Format: "tar", Entries: 1, UncompressedSize: 5}},
		"tar, less than nothing":  {hostileTar(tarball, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), inspect.Archive{Format: "tar", Entries: 1, UncompressedSize: 5}},
		"tar, huge size":          {hostileTar(tarball, "77777777777\x00"), inspect.Archive{Format: "tar", Entries: 1, UncompressedSize: 5}},
		"tar, size of garbage":    {hostileTar(tarball, "99999999999\x00"), inspect.Archive{Format: "tar", Entries: 1, UncompressedSize: 5}},
		"gzip, cut":               {gzipped(t, noise(100_000))[:50_000], inspect.Archive{Format: "gzip", Entries: 1, UncompressedSize: -1}},
		"gzip, only a start":      {[]byte("\x1f\x8b\x08"), inspect.Archive{Format: "gzip", Entries: 1}},
		"gzip, wrong checksum":    {changeAt(gzipped(t, []byte("hello")), -5), inspect.Archive{Format: "gzip", Entries: 1, UncompressedSize: 5}},
		"gzip, garbage behind it": {append(gzipped(t, []byte("hello")), "garbage"...), inspect.Archive{Format: "gzip", Entries: 1, UncompressedSize: 5}},
		"tar.gz, cut":             {cutGzip(t, tarball, 512+512+512+5000), inspect.Archive{Format: "tar.gz", Entries: 1, UncompressedSize: 5}},
		"zstd, cut":               {zstdOf(t, noise(1000))[:500], inspect.Archive{Format: "zstd", Entries: 1, UncompressedSize: -1}},
		"zstd, a window of 2 TiB": {[]byte("\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00"), inspect.Archive{Format: "zstd", Entries: 1}},
		"xz, cut":                 {xzOf(t, noise(1000), 1<<20)[:500], inspect.Archive{Format: "xz", Entries: 1, UncompressedSize: -1}},
		"xz, a window of 128 MiB": {xzOf(t, []byte("hello"), 128<<20), inspect.Archive{Format: "xz", Entries: 1}},
		"bzip2, cut":              {[]byte(bzip2Hello[:20]), inspect.Archive{Format: "bzip2", Entries: 1}},
	} {
		c.want.Truncated = !strings.HasSuffix(name, "does not matter")
		got := inspected(t, name, c.content).Archive
		if got != nil && c.want.UncompressedSize < 0 { // as far as it goes
			c.want.UncompressedSize = min(got.UncompressedSize, 99_999)
		}
		if diff := cmp.Diff(&c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// changeAt gives content with another byte at a place, which counts from the end.
func changeAt(content []byte, at int) []byte {
	content = bytes.Clone(content)
	content[len(content)+at]++
	return content
}

// cutGzip compresses the first n bytes of content and leaves off how the stream ends.
func cutGzip(t testing.TB, content []byte, n int) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error {
		w := gzip.NewWriter(b)
		_, err := w.Write(content[:n])
		return errors.Join(err, w.Flush())
	})
}

// hostileTar gives another size to the second entry of an archive whose first has one block.
func hostileTar(tarball []byte, size string) []byte {
	content := bytes.Clone(tarball)
	header := content[1024:1536]
	copy(header[124:136], size)
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return content
}

// P7: a small file that unpacks to a lot stops at the limit, whatever it is packed with.
func TestP7Bomb(t *testing.T) {
	t.Parallel()
	const limit = 1 << 18
	zeros := make([]byte, 4*limit)
	for name, content := range map[string][]byte{
		"gzip": gzipped(t, zeros), "zstd": zstdOf(t, zeros), "xz": xzOf(t, zeros, 1<<20),
		"tar.gz": gzipped(t, tarOf(t, "hello", string(zeros))),
	} {
		got := handle(t, inspect.NewLimited(limit), newRun(name, content)).Archive
		if got.Format != name || got.Entries != 1 || !got.Truncated || got.UncompressedSize > limit+inspect.Chunk {
			t.Errorf("%s: %+v", name, got)
		}
	}
	exact := handle(t, inspect.NewLimited(limit), newRun("exact", gzipped(t, zeros[:limit]))).Archive
	if exact.Truncated || exact.UncompressedSize != limit {
		t.Errorf("just as much as the limit: %+v", exact)
	}
}

// A run that has to wait for its turn to unpack does not outlive its context.
func TestWindowsAreShared(t *testing.T) {
	t.Parallel()
	handler := inspect.New()
	content := zstdOf(t, []byte("hello"))
	release := make(chan struct{})
	holding, done := make(chan struct{}, inspect.MaxWindows), make(chan error, inspect.MaxWindows)
	for range inspect.MaxWindows {
		run := newRun("held", content)
		run.Recorder = &holder{at: 2, holding: holding, release: release}
		go func() {
			_, err := handler.Handle(t.Context(), run)
			done <- err
		}()
	}
	for range inspect.MaxWindows {
		<-holding
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := newRun("waiting", content)
	waiting.Recorder = &cancelling{after: 1, cancel: cancel} // when it has read, and is about to unpack
	if _, err := handler.Handle(ctx, waiting); !errors.Is(err, context.Canceled) {
		t.Errorf("the run that waited ended with %v", err)
	}
	if got := handle(t, handler, newRun("gzip", gzipped(t, []byte("hello")))).Archive; got.UncompressedSize != 5 {
		t.Errorf("gzip waits too: %+v", got)
	}
	close(release)
	for range inspect.MaxWindows {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// holder stops a run at one of its reports.
type holder struct {
	progress
	at      int
	holding chan<- struct{}
	release <-chan struct{}
}

func (h *holder) Progress(float64) {
	if h.at--; h.at == 0 {
		h.holding <- struct{}{}
		<-h.release
	}
}
