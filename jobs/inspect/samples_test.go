package inspect_test

import (
	"encoding/binary"
	"strings"
	"testing"
)

// samples gives a small file of each kind that is told apart.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	tarball := tarOf(t, "hello", strings.Repeat("x", 1000))
	return map[string][]byte{
		"notes.txt":  []byte("déjà vu\r\nlast line"),
		"latin1.txt": []byte("d\xe9j\xe0 vu\n"),
		"utf16.csv":  utf16Text(binary.LittleEndian, "\ufeffa,b\r\n1,2\r\n"),
		"data.json":  []byte(`{"a":[1,2]}`),
		"a.bin":      noise(1000),
		"real.jpg":   readFile(t, "orientation_6.jpg"),
		"exif.jpg":   withSegments(jpegOf(t), "Exif\x00\x00"+exif(binary.BigEndian, 8)),
		"anim.png":   withChunks(pngOf(t), "acTL........", "fcTL", "eXIf"+exif(binary.LittleEndian, 2), "fcTL"),
		"anim.gif":   gifOf(t, 3),
		"anim.webp":  riff(vp8x, frame, frame, "EXIF"+exif(binary.LittleEndian, 7)),
		"still.webp": riff(vp8l),
		"pages.tiff": tiffFile(binary.BigEndian, append(page(31, 17), entry{0x112, 3, 5}), page(1, 1)),
		"a.zip":      zipOf(t, "comment", "hello", "world!"),
		"b.zip":      readFile(t, "winshort.zip"),
		"a.tar":      tarball,
		"a.tar.gz":   gzipped(t, tarball),
		"a.tar.zst":  zstdOf(t, tarball),
		"a.xz":       xzOf(t, []byte("hello"), 1<<20),
		"a.bz2":      []byte(bzip2Hello),
	}
}
