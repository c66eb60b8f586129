package zipdir_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"

	"github.com/leat-dev/leat/jobs/zipdir"
)

// zipOf makes an archive of so many stored entries of one byte each.
func zipOf(t testing.TB, entries int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range entries {
		_, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprint("entry-", i), UncompressedSize64: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// walk reads all entries, and gives what ended the walk.
func walk(r io.ReaderAt, size int64) ([]zipdir.Entry, error) {
	dir, err := zipdir.Find(r, size)
	if err != nil {
		return nil, err
	}
	entries, err := dir.Entries()
	if err != nil {
		return nil, err
	}
	var all []zipdir.Entry
	for {
		entry, err := entries.Next()
		if err != nil {
			return all, err
		}
		all = append(all, entry)
	}
}

// Every entry comes in its order, also when there are more than the last record can count, and when
// something was put before the archive; its offset then is where it really is.
func TestEntries(t *testing.T) {
	t.Parallel()
	for _, count := range []int{0, 1, 3, 70_000} {
		for _, prefix := range []string{"", "something else"} {
			content := append([]byte(prefix), zipOf(t, count)...)
			all, err := walk(bytes.NewReader(content), int64(len(content)))
			if !errors.Is(err, io.EOF) || len(all) != count {
				t.Fatalf("%d entries behind %q: %d, %v", count, prefix, len(all), err)
			}
			for i, entry := range all {
				if entry.Name != fmt.Sprint("entry-", i) || entry.Size != uint64(i) || !bytes.HasPrefix(content[entry.Offset:], []byte("PK\x03\x04")) {
					t.Fatalf("entry %d behind %q: %+v", i, prefix, entry)
				}
			}
		}
	}
}

// Numbers too large for their place come from the field that has room for them.
func TestZIP64Numbers(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	header := &zip.FileHeader{Name: "big", Extra: []byte("xx\x02\x00.."), UncompressedSize64: 5 << 32, CompressedSize64: 6 << 32}
	if _, err := w.CreateRaw(header); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := walk(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if !errors.Is(err, io.EOF) || len(all) != 1 || all[0].Size != 5<<32 || all[0].CompressedSize != 6<<32 {
		t.Errorf("%+v, %v", all, err)
	}
}

// A directory that lies or is cut ends with ErrFormat, and an error in reading with that error.
func TestDamage(t *testing.T) {
	t.Parallel()
	plain := zipOf(t, 2)
	end := len(plain) - 22
	dir := int(binary.LittleEndian.Uint32(plain[end+16:]))
	change := func(at int, value uint16) []byte {
		content := bytes.Clone(plain)
		binary.LittleEndian.PutUint16(content[at:], value)
		return content
	}
	for name, content := range map[string][]byte{
		"nothing":       {},
		"no end":        plain[:end],
		"a cut end":     plain[:len(plain)-1],
		"more declared": change(end+10, 3),
		"less declared": change(end+10, 1),
		"a long name":   change(dir+28, math.MaxUint16),
		"a long extra":  change(dir+30, math.MaxUint16),
		"all ends":      bytes.Repeat([]byte("PK\x05\x06"), 50_000),
	} {
		if _, err := walk(bytes.NewReader(content), int64(len(content))); !errors.Is(err, zipdir.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := walk(faulty{}, 1000); !errors.Is(err, errFault) {
		t.Errorf("a fault: %v", err)
	}
}

var errFault = errors.New("disk on fire")

type faulty struct{}

func (faulty) ReadAt([]byte, int64) (int, error) { return 0, errFault }

// No content makes the walk panic, go on forever, or give an entry with a name that is not there.
func FuzzEntries(f *testing.F) {
	f.Add(zipOf(f, 2))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := walk(bytes.NewReader(content), int64(len(content)))
		if err == nil || len(all)*46 > len(content) {
			t.Errorf("%d entries in %d bytes, %v", len(all), len(content), err)
		}
		for _, entry := range all {
			if !bytes.Contains(content, []byte(entry.Name)) {
				t.Errorf("%q is not there", entry.Name)
			}
		}
	})
}
