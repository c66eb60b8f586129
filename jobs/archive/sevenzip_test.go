package archive_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/archive"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
)

// rows is the text in the 7z archives of testdata.
func rows() string {
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "%d,row %d\n", i+1, i+1)
	}
	return b.String()
}

// Every method that is unpacked gives the files that went in; every other is refused by name.
func Test7z(t *testing.T) {
	t.Parallel()
	both := []string{"a.txt=hello\n", "d/b.csv=" + rows()}
	for name, want := range map[string][]string{
		"lzma2":    {"none.txt=", "a.txt=hello\n", "d/b.csv=" + rows()},
		"lzma":     both,
		"copy":     both,
		"deflate":  both,
		"bzip2":    both,
		"delta":    both,
		"notsolid": both,
		"links":    {"a.txt=hello\n", "!link link"},
		"partly":   {"a.txt=hello\n", "!d/b.csv encrypted"},
		"ppmd":     {"!a.txt method", "!d/b.csv method"},
		"program":  {"!a.txt method"},
	} {
		got := outcome(t, unpack(t, name, readFile(t, name+".7z"), ""))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, name := range []string{"encrypted", "hidden"} {
		if made := unpack(t, name, readFile(t, name+".7z"), ""); made.Code() != jobs.CodeEncrypted || len(made.Children) > 0 {
			t.Errorf("%s: %v", name, made.Err)
		}
	}
}

// What is skipped in a folder is passed by, and what comes behind it is right.
func Test7zSkips(t *testing.T) {
	t.Parallel()
	got := outcome(t, unpack(t, "a.7z", readFile(t, "lzma2.7z"), `{"include":["*.csv"]}`))
	if diff := cmp.Diff([]string{"d/b.csv=" + rows()}, got); diff != "" {
		t.Error(diff)
	}
	if made := unpack(t, "a.7z", readFile(t, "lzma2.7z"), `{"max_entries":4}`); made.Code() != jobs.CodeLimitOutput {
		t.Errorf("one entry too many: %v", made.Err)
	}
	made := jobtest.Run(t, spec.Archive(), archive.NewLimited(1000, 1<<20, 1000), "a.7z", readFile(t, "lzma2.7z"), "")
	if made.Code() != jobs.CodeLimitOutput {
		t.Errorf("more bytes than allowed: %v", made.Err)
	}
}

// sevenOf makes a 7z archive of a packed stream and a directory that is not packed.
func sevenOf(packed, directory []byte) []byte {
	le := binary.LittleEndian
	start := le.AppendUint64(nil, uint64(len(packed)))
	start = le.AppendUint64(start, uint64(len(directory)))
	start = le.AppendUint32(start, crc32.ChecksumIEEE(directory))
	content := le.AppendUint32([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), crc32.ChecksumIEEE(start))
	content = append(content, start...)
	return append(append(content, packed...), directory...)
}

// Numbers in a 7z directory allocate nothing before they are believed.
func Test7zLies(t *testing.T) {
	t.Parallel()
	const huge = "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
	streams := func(coder, size string) string {
		return "\x06\x00\x01\x09\x05\x00" + "\x07\x0b\x01\x00" + coder + "\x0c" + size + "\x00\x00"
	}
	files := "\x05\x01\x11\x05\x00a\x00\x00\x00\x00"
	copied := streams("\x01\x01\x00", "\x05")
	if got := outcome(t, unpack(t, "good", sevenOf([]byte("hello"), []byte("\x01\x04"+copied+files+"\x00")), "")); len(got) != 1 || got[0] != "a=hello" {
		t.Fatalf("the sound archive: %q", got)
	}
	big := "\xf0\x01\x00\x00\x10" // a byte more than 256 MiB
	unlimited := archive.NewLimited(1<<60, 1<<60, 1<<60)
	for name, c := range map[string]struct {
		directory string
		want      jobs.Code
	}{
		"files":              {"\x01\x05" + huge, jobs.CodeMalformed},
		"folders":            {"\x01\x04\x07\x0b" + huge, jobs.CodeMalformed},
		"packed streams":     {"\x01\x04\x06\x00" + huge, jobs.CodeMalformed},
		"coders":             {"\x01\x04\x07\x0b\x01\x00" + huge, jobs.CodeMalformed},
		"properties":         {"\x01\x04\x07\x0b\x01\x00\x01\x21\x21" + huge, jobs.CodeMalformed},
		"streams of a coder": {"\x01\x04\x07\x0b\x01\x00\x01\x11\x21" + huge + huge, jobs.CodeMalformed},
		"a name":             {"\x01\x05\x01\x11" + huge, jobs.CodeMalformed},
		"files in a folder":  {"\x01\x04" + copied[:len(copied)-1] + "\x08\x0d" + huge, jobs.CodeMalformed},
		"no files":           {"\x01\x04" + copied + "\x05\x02\x11\x09\x00a\x00\x00\x00b\x00\x00\x00\x00\x00", jobs.CodeMalformed},
		"a file's size":      {"\x01\x04" + streams("\x01\x01\x00", "\x06") + files + "\x00", jobs.CodeMalformed},
		"a large file":       {"\x01\x04" + streams("\x01\x01\x00", huge) + files + "\x00", jobs.CodeMalformed},
		"a window":           {"\x01\x04" + streams("\x01\x23\x03\x01\x01\x05\x5d\xff\xff\xff\xff", big) + files + "\x00", jobs.CodeLimitMemory},
		"a window, LZMA2":    {"\x01\x04" + streams("\x01\x21\x21\x01\x28", big) + files + "\x00", jobs.CodeLimitMemory},
		"a packed directory": {"\x17" + streams("\x01\x01\x00", big), jobs.CodeLimitMemory},
		"a property again":   {"\x01\x05\x01\x10\x00\x10\x00\x00\x00", jobs.CodeMalformed},
		"many folders":       {"\x01\x04\x07\x0b\xc0\x11\x27\x00" + strings.Repeat("\x01\x00", 10_001), jobs.CodeLimitOutput},
		"many files":         {"\x01\x05\xc0\x11\x27" + strings.Repeat("\x00", 10_001), jobs.CodeLimitOutput},
		"a circle":           {"\x01\x04" + "\x06\x00\x01\x09\x05\x00\x07\x0b\x01\x00\x02\x01\x00\x01\x00\x00\x00\x0c\x05\x05\x00\x00" + files + "\x00", ""},
		"a wrong checksum":   {"\x01\x04" + copied[:len(copied)-2] + "\x0a\x01\x00\x00\x00\x00\x00\x00" + files + "\x00", jobs.CodeMalformed},
	} {
		made := jobtest.Run(t, spec.Archive(), unlimited, name, sevenOf([]byte("hello"), []byte(c.directory)), "")
		if made.Code() != c.want {
			t.Errorf("%s: %v", name, made.Err)
		}
	}
}

// The dictionary of the highest levels of 7-Zip is kept, or as much of it as there is content.
func Test7zWindow(t *testing.T) {
	t.Parallel()
	const most = 256 << 20 // of -mx=8 and -mx=9
	for _, c := range []struct {
		declared, size uint64
		want           int
	}{{most, 1 << 40, most}, {1 << 32, most, most}, {most + 1, most + 1, 0}, {1 << 32, 1 << 20, 1 << 20}} {
		if got, err := archive.Window(c.declared, c.size); got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%d declared for %d bytes: %d, %v; want %d", c.declared, c.size, got, err, c.want)
		}
	}
}

// A cut archive is malformed, and so is a changed one unless it has the same files still: their
// checksums tell.
func Test7zDamage(t *testing.T) {
	t.Parallel()
	whole := readFile(t, "lzma2.7z")
	for cut := range whole {
		if cut < 6 {
			continue
		}
		if made := unpack(t, "cut", whole[:cut], ""); made.Code() != jobs.CodeMalformed {
			t.Errorf("cut at %d: %v", cut, made.Err)
		}
	}
	want := outcome(t, unpack(t, "whole", whole, ""))
	for at := 32; at < len(whole); at++ {
		changed := bytes.Clone(whole)
		changed[at] ^= 0x55
		made := unpack(t, "changed", changed, "")
		if made.Err == nil { // a number in the packed stream that nothing depends on
			if diff := cmp.Diff(want, outcome(t, made)); diff != "" {
				t.Errorf("changed at %d:\n%s", at, diff)
			}
		} else if made.Code() != jobs.CodeMalformed {
			t.Errorf("changed at %d: %v", at, made.Err)
		}
	}
}

// No directory makes the handler panic or answer with what cannot be stored. The checksums are made
// good, so that the fuzzer gets behind them.
func Fuzz7zDirectory(f *testing.F) {
	for _, name := range []string{"lzma.7z", "copy.7z", "delta.7z"} {
		whole := readFile(f, name)
		off := 32 + int(binary.LittleEndian.Uint64(whole[12:]))
		f.Add(whole[32:off], whole[off:])
	}
	handler := archive.NewLimited(1<<20, 1<<20, 1<<20)
	f.Fuzz(func(t *testing.T, packed, directory []byte) {
		made := jobtest.Run(t, spec.Archive(), handler, "a.7z", sevenOf(packed, directory), "")
		if made.Err != nil && !jobs.IsPermanent(made.Err) {
			t.Error(made.Err)
		}
	})
}
