package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/archive"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
)

// records finds where the directory's records of a ZIP archive begin.
func records(content []byte) []int {
	var at []int
	for off := 0; ; off++ {
		i := bytes.Index(content[off:], []byte("PK\x01\x02"))
		if i < 0 {
			return at
		}
		off += i
		at = append(at, off)
	}
}

// An archive whose entries share bytes, as those that unpack a small file to petabytes do, is
// refused before anything is spawned; and one whose directory lies is malformed, however it lies.
func TestLyingZIP(t *testing.T) {
	t.Parallel()
	plain := zipOf(t, nil, entry{"a.txt", strings.Repeat("hello ", 100)}, entry{"b.txt", strings.Repeat("hello ", 100)})
	dir := records(plain)
	le := binary.LittleEndian
	lie := func(change func(p []byte)) []byte {
		content := bytes.Clone(plain)
		change(content)
		return content
	}
	first := int(le.Uint32(plain[dir[0]+42:]))
	for name, c := range map[string]struct {
		content []byte
		spawned int // before it is noticed
	}{
		"the same content twice":          {lie(func(p []byte) { copy(p[dir[1]+42:], p[dir[0]+42:dir[0]+46]) }), 0},
		"content over the next entry":     {lie(func(p []byte) { le.PutUint32(p[dir[0]+20:], le.Uint32(p[dir[0]+20:])+60) }), 0},
		"content over the next by a name": {lie(func(p []byte) { le.PutUint16(p[first+28:], 60) }), 0},
		"content outside":                 {lie(func(p []byte) { le.PutUint32(p[dir[1]+20:], 1<<30) }), 0},
		"an offset outside":               {lie(func(p []byte) { le.PutUint32(p[dir[1]+42:], 1<<30) }), 0},
		"an offset to nothing":            {lie(func(p []byte) { le.PutUint32(p[dir[0]+42:], 1) }), 0},
		"less declared than there is":     {lie(func(p []byte) { le.PutUint32(p[dir[0]+24:], 5) }), 0},
		"more declared than there is":     {lie(func(p []byte) { le.PutUint32(p[dir[0]+24:], 5000) }), 0},
		"another checksum":                {lie(func(p []byte) { p[dir[1]+16]++ }), 1},
		"less packed than there is":       {lie(func(p []byte) { le.PutUint32(p[dir[0]+20:], 3) }), 0},
		"fewer entries":                   {lie(func(p []byte) { p[len(p)-12]-- }), 0},
		"more entries":                    {lie(func(p []byte) { p[len(p)-12]++ }), 0},
	} {
		made := unpack(t, name, c.content, "")
		if made.Code() != jobs.CodeMalformed || len(made.Children) > c.spawned {
			t.Errorf("%s: %v after %d", name, made.Err, len(made.Children))
		}
	}
}

// Small files that unpack to a lot stop at what a file of their size may unpack to, whatever they are
// packed with, and whether their headers admit it or not.
func TestBombs(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 4<<20)
	unnamed := zipOf(t, nil, entry{"a", string(zeros)})
	binary.LittleEndian.PutUint32(unnamed[records(unnamed)[0]+24:], 10)
	handler := archive.NewLimited(1<<30, 1<<30, 1<<16)
	for name, c := range map[string]struct {
		content []byte
		want    jobs.Code
	}{
		"zip":               {zipOf(t, nil, entry{"a", string(zeros)}), jobs.CodeLimitOutput},
		"zip that lies":     {unnamed, jobs.CodeMalformed},
		"gzip":              {gzipped(t, zeros), jobs.CodeLimitOutput},
		"zstd":              {zstdOf(t, zeros), jobs.CodeLimitOutput},
		"xz":                {xzOf(t, zeros, 1<<20), jobs.CodeLimitOutput},
		"tar.gz":            {gzipped(t, tarOf(t, entry{"a", string(zeros)})), jobs.CodeLimitOutput},
		"tar.gz, behind it": {gzipped(t, append(tarOf(t, entry{"a", "a"}), zeros...)), jobs.CodeLimitOutput},
		"sparse tar":        {sparse(1<<25, 512), jobs.CodeLimitOutput},
		"many small files":  {zipOf(t, nil, slicesOf(entry{"a", string(zeros[:50_000])}, 100)...), jobs.CodeLimitOutput},
	} {
		made := jobtest.Run(t, spec.Archive(), handler, name, c.content, "")
		if made.Code() != c.want {
			t.Errorf("%s: %v", name, made.Err)
		}
	}
	// A bomb that the parameters leave out is one all the same where it has to be unpacked to get by.
	bomb := gzipped(t, tarOf(t, entry{"a", string(zeros)}, entry{"b", "b"}))
	if made := jobtest.Run(t, spec.Archive(), handler, "a", bomb, `{"include":["b"]}`); made.Code() != jobs.CodeLimitOutput {
		t.Errorf("a bomb passed by: %v", made.Err)
	}
	// One within one is a child, and its own job's to notice.
	if made := jobtest.Run(t, spec.Archive(), handler, "a.gz", gzipped(t, bomb), ""); made.Err != nil || len(made.Children) != 1 {
		t.Errorf("a bomb in an archive: %v", made.Err)
	}
	small := archive.NewLimited(1<<30, 1000, 1<<30)
	for name, content := range map[string][]byte{
		"zip": zipOf(t, nil, entry{"a", string(zeros[:1001])}), "tar": tarOf(t, entry{"a", string(zeros[:1001])}), "gzip": gzipped(t, zeros[:1001]),
	} {
		if made := jobtest.Run(t, spec.Archive(), small, name, content, ""); made.Code() != jobs.CodeLimitOutput {
			t.Errorf("%s, a file too large: %v", name, made.Err)
		}
	}
}

// slicesOf repeats an entry under names that differ.
func slicesOf(e entry, n int) []entry {
	var all []entry
	for i := range n {
		all = append(all, entry{fmt.Sprint(e.name, i), e.content})
	}
	return all
}

// sparse makes a tar archive of one file of size bytes, of which the first are there.
func sparse(size, there int) []byte {
	content := make([]byte, 512+there+1024)
	h := content[:512]
	copy(h, "sparse.bin")
	copy(h[100:], "0000600\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x0000000000000\x00", there))
	h[156] = tar.TypeGNUSparse
	copy(h[257:], "ustar  \x00")
	copy(h[386:], fmt.Sprintf("%011o\x00%011o\x00", 0, there))
	copy(h[483:], fmt.Sprintf("%011o\x00", size))
	copy(h[148:], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	copy(content[512:], bytes.Repeat([]byte("x"), there))
	return content
}

// A sparse file is spawned with its holes.
func TestSparse(t *testing.T) {
	t.Parallel()
	want := []string{"sparse.bin=" + strings.Repeat("x", 512) + strings.Repeat("\x00", 488)}
	if diff := cmp.Diff(want, outcome(t, unpack(t, "a.tar", sparse(1000, 512), ""))); diff != "" {
		t.Error(diff)
	}
	if made := unpack(t, "a.tar", sparse(math.MaxUint32, 512), ""); made.Code() != jobs.CodeLimitOutput {
		t.Errorf("4 GiB of holes: %v", made.Err)
	}
}

// Names in every hostile form are refused and listed, in both kinds of archive; files that differ in
// case get names that differ.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	entries := []entry{
		{"/etc/passwd", "1"},
		{"../up", "2"},
		{"d/../../up", "3"},
		{`C:\windows`, "4"},
		{`..\up`, "5"},
		{`\\host\share`, "6"},
		{`d\a.txt`, "7"},
		{"d/A.TXT", "8"},
		{"line\nfeed", "9"},
	}
	want := []string{
		"d/a.txt=7", "d/A.TXT=8 as A (2).TXT", "linefeed=9",
		"!/etc/passwd absolute", "!../up climbing", "!d/../../up climbing", `!C:\windows absolute`, `!..\up climbing`, `!\\host\share absolute`,
	}
	for name, content := range map[string][]byte{"zip": zipOf(t, nil, entries...), "tar": tarOf(t, entries...)} {
		if diff := cmp.Diff(want, outcome(t, unpack(t, name, content, ""))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := outcome(t, unpack(t, "zip", zipOf(t, nil, entry{"a\x00.txt", ""}), "")); len(got) != 1 || got[0] != "!a\ufffd.txt name" {
		t.Errorf("a NUL: %q", got)
	}
}

// Old names are in code page 437, unless they are UTF-8 without saying so.
func TestOldNames(t *testing.T) {
	t.Parallel()
	old := func(h *zip.FileHeader) { h.NonUTF8 = true }
	content := zipOf(t, old, entry{"\x81ber.txt", "1"}, entry{"für.txt", "2"})
	if diff := cmp.Diff([]string{"über.txt=1", "für.txt=2"}, outcome(t, unpack(t, "a.zip", content, ""))); diff != "" {
		t.Error(diff)
	}
}

// What is no file in a ZIP archive is refused, whatever it holds.
func TestSpecialZIP(t *testing.T) {
	t.Parallel()
	modes := map[string]fs.FileMode{
		"link": fs.ModeSymlink, "block": fs.ModeDevice, "char": fs.ModeDevice | fs.ModeCharDevice, "pipe": fs.ModeNamedPipe, "socket": fs.ModeSocket, "folder": fs.ModeDir,
	}
	content := zipOf(t, func(h *zip.FileHeader) { h.SetMode(modes[h.Name] | 0o600) },
		entry{"link", "/etc/passwd"}, entry{"block", ""}, entry{"char", ""}, entry{"pipe", ""}, entry{"socket", ""}, entry{"folder", "content"}, entry{"file", "x"})
	want := []string{"file=x", "!link link", "!block device", "!char device", "!pipe special", "!socket special", "!folder special"}
	if diff := cmp.Diff(want, outcome(t, unpack(t, "a.zip", content, ""))); diff != "" {
		t.Error(diff)
	}
}

// rawZip makes a ZIP archive of entries that say that they are packed with a method, or encrypted.
func rawZip(t *testing.T, headers ...zip.FileHeader) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error {
		w := zip.NewWriter(b)
		for _, h := range headers {
			h.UncompressedSize64, h.CompressedSize64, h.CRC32 = 5, 5, 0x3610a686 // of "hello"
			raw, err := w.CreateRaw(&h)
			if err != nil {
				return err
			}
			if _, err := raw.Write([]byte("hello")); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

// An archive of which nothing can be read without a password says so; if some of it can, the rest is
// listed. An unknown method is never a reason to fail.
func TestLockedZIP(t *testing.T) {
	t.Parallel()
	secret := zip.FileHeader{Name: "secret", Flags: 1}
	aes := zip.FileHeader{Name: "aes", Flags: 1, Method: 99}
	if made := unpack(t, "a.zip", rawZip(t, secret, aes), ""); made.Code() != jobs.CodeEncrypted {
		t.Errorf("all encrypted: %v", made.Err)
	}
	content := rawZip(t, secret, zip.FileHeader{Name: "open"}, aes, zip.FileHeader{Name: "odd", Method: 9})
	want := []string{"open=hello", "!secret encrypted", "!aes encrypted", "!odd method"}
	if diff := cmp.Diff(want, outcome(t, unpack(t, "a.zip", content, ""))); diff != "" {
		t.Error(diff)
	}
	if got := outcome(t, unpack(t, "a.zip", rawZip(t, zip.FileHeader{Name: "odd", Method: 9}), "")); len(got) != 1 {
		t.Errorf("an odd method alone: %q", got)
	}
}

// A cut archive is malformed, wherever it is cut, and a run that fails leaves nothing behind.
func TestCut(t *testing.T) {
	t.Parallel()
	tarball := tarOf(t, entry{"a", string(noise(3000))}, entry{"b", string(noise(5000))})
	for name, whole := range map[string][]byte{
		"zip": zipOf(t, nil, entry{"a", string(noise(3000))}), "gzip": gzipped(t, noise(3000)), "zstd": zstdOf(t, noise(3000)),
		"xz": xzOf(t, noise(3000), 1<<20), "bzip2": []byte(bzip2Hello), "tar.gz": gzipped(t, tarball), "tar": tarball[:len(tarball)-1024],
	} {
		for _, cut := range []int{len(whole) / 4, len(whole) / 2, len(whole) * 3 / 4, len(whole) - 1} {
			if name == "tar" && cut == len(whole)-1 {
				continue // in what only fills up the last block
			}
			if made := unpack(t, name, whole[:cut], ""); made.Code() != jobs.CodeMalformed {
				t.Errorf("%s cut at %d of %d: %v", name, cut, len(whole), made.Err)
			}
		}
	}
	gz := gzipped(t, []byte("hello"))
	gz[len(gz)-5]++
	if made := unpack(t, "a.gz", gz, ""); made.Code() != jobs.CodeMalformed {
		t.Errorf("a wrong checksum: %v", made.Err)
	}
}

// A window that is too large is not allocated.
func TestWindows(t *testing.T) {
	t.Parallel()
	for name, content := range map[string][]byte{
		"zstd": []byte("\x28\xb5\x2f\xfd\x00\x89\x01\x00\x00"), "xz": xzOf(t, []byte("hello"), 128<<20),
	} {
		if made := unpack(t, name, content, ""); made.Code() != jobs.CodeLimitMemory {
			t.Errorf("%s: %v", name, made.Err)
		}
	}
	// The window of zstd --ultra -22, in a file that ends before it is allocated.
	if made := unpack(t, "zstd", []byte("\x28\xb5\x2f\xfd\x00\x88"), ""); made.Code() != jobs.CodeMalformed {
		t.Errorf("zstd, 128 MiB: %v", made.Err)
	}
}

// No content makes the handler panic, fail in a way that is tried again, or answer with what cannot
// be stored.
func FuzzArchive(f *testing.F) {
	tarball := tarOf(f, entry{"a.txt", "hello"}, entry{"../b", "x"})
	for _, content := range [][]byte{
		zipOf(f, nil, entry{"a.txt", "hello"}, entry{"/b", ""}), tarball, gzipped(f, tarball), zstdOf(f, tarball), xzOf(f, tarball, 1<<12),
		[]byte(bzip2Hello), sparse(1000, 512), readFile(f, "symlinks3.zip"), readFile(f, "lzma2.7z"),
	} {
		f.Add(content)
	}
	handler := archive.NewLimited(1<<20, 1<<20, 1<<20)
	f.Fuzz(func(t *testing.T, content []byte) {
		made := jobtest.Run(t, spec.Archive(), handler, "a", content, "")
		if made.Err != nil {
			if !jobs.IsPermanent(made.Err) {
				t.Error(made.Err)
			}
			return
		}
		outcome(t, made)
	})
}
