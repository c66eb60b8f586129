package inspect_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/bep/imagemeta"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"github.com/leat-dev/leat/jobs/inspect"
)

// encoded gives what an encoder writes.
func encoded(t testing.TB, encode func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func picture(width, height int) *image.Paletted {
	m := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.Black, color.White})
	for i := range m.Pix {
		m.Pix[i] = uint8(i % 2)
	}
	return m
}

func gifOf(t testing.TB, frames int) []byte {
	t.Helper()
	all := &gif.GIF{}
	for range frames {
		all.Image, all.Delay = append(all.Image, picture(31, 17)), append(all.Delay, 10)
	}
	return encoded(t, func(b *bytes.Buffer) error { return gif.EncodeAll(b, all) })
}

func pngOf(t testing.TB) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, picture(31, 17)) })
}

// withChunks puts chunks behind a PNG's header.
func withChunks(png []byte, chunks ...string) []byte {
	const header = 8 + 8 + 13 + 4
	out := bytes.Clone(png[:header])
	for _, c := range chunks {
		out = binary.BigEndian.AppendUint32(out, uint32(len(c)-4))
		out = append(append(out, c...), "CRC?"...)
	}
	return append(out, png[header:]...)
}

// riff makes a WebP file of chunks, each a name of four letters and its content.
func riff(chunks ...string) []byte {
	body := []byte("WEBP")
	for _, c := range chunks {
		body = binary.LittleEndian.AppendUint32(append(body, c[:4]...), uint32(len(c)-4))
		body = append(body, c[4:]...)
		if len(c)%2 != 0 {
			body = append(body, 0)
		}
	}
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

const (
	vp8x  = "VP8X\x02\x00\x00\x00\x1e\x00\x00\x10\x00\x00" // 31 × 17
	vp8   = "VP8 \x00\x00\x00\x9d\x01\x2a\x1f\x40\x11\x80" // 31 × 17, scaled, which no decoder does
	vp8l  = "VP8L\x2f\x1e\x00\x04\x00"                     // 31 × 17
	frame = "ANMF................"
)

// entry is one number of a TIFF directory.
type entry struct {
	tag, kind uint16
	value     uint32
}

// tiffFile makes a TIFF file of directories, one after the other.
func tiffFile(order binary.AppendByteOrder, directories ...[]entry) []byte {
	mark := "II*\x00"
	if order == binary.BigEndian {
		mark = "MM\x00*"
	}
	out := order.AppendUint32([]byte(mark), 8)
	for i, entries := range directories {
		out = order.AppendUint16(out, uint16(len(entries)))
		for _, e := range entries {
			out = order.AppendUint32(order.AppendUint16(order.AppendUint16(out, e.tag), e.kind), 1)
			if e.kind == 3 {
				out = order.AppendUint16(order.AppendUint16(out, uint16(e.value)), 0)
			} else {
				out = order.AppendUint32(out, e.value)
			}
		}
		next := 0
		if i+1 < len(directories) {
			next = len(out) + 4
		}
		out = order.AppendUint32(out, uint32(next))
	}
	return out
}

func page(width, height uint32) []entry { return []entry{{0x100, 3, width}, {0x101, 4, height}} }

func exif(order binary.AppendByteOrder, orientation uint32) string {
	return string(tiffFile(order, []entry{{0x10F, 3, 1}, {0x112, 3, orientation}}))
}

// withSegments puts segments behind a JPEG's start.
func withSegments(jpeg []byte, segments ...string) []byte {
	out := bytes.Clone(jpeg[:2])
	for _, s := range segments {
		out = binary.BigEndian.AppendUint16(append(out, 0xFF, 0xE1), uint16(len(s)+2))
		out = append(out, s...)
	}
	return append(out, jpeg[2:]...)
}

func jpegOf(t testing.TB) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, picture(31, 17), nil) })
}

func TestImages(t *testing.T) {
	t.Parallel()
	little, big := binary.LittleEndian, binary.BigEndian
	plainPNG, plainJPEG := pngOf(t), jpegOf(t)
	for name, c := range map[string]struct {
		content     []byte
		format      string
		orientation int
		frames      int64
	}{
		"png":             {plainPNG, "png", 1, 1},
		"png with exif":   {withChunks(plainPNG, "eXIf"+exif(big, 8)), "png", 8, 1},
		"png, animated":   {withChunks(plainPNG, "acTL\x00\x00\xff\xff\x00\x00\x00\x00", "fcTL", "fcTL", "fcTL"), "png", 1, 3},
		"png, a lie":      {withChunks(plainPNG, "acTL\x00\x00\xff\xff\x00\x00\x00\x00"), "png", 1, 1},
		"jpeg":            {plainJPEG, "jpeg", 1, 1},
		"jpeg with exif":  {withSegments(plainJPEG, "Exif\x00\x00"+exif(little, 3)), "jpeg", 3, 1},
		"jpeg with xmp":   {withSegments(plainJPEG, "http://ns.adobe.com/xap/1.0/\x00<x/>", "Exif\x00\x00"+exif(big, 5)), "jpeg", 5, 1},
		"the first exif":  {withSegments(plainJPEG, "Exif\x00\x00"+exif(big, 5), "Exif\x00\x00"+exif(big, 6)), "jpeg", 5, 1},
		"orientation 9":   {withSegments(plainJPEG, "Exif\x00\x00"+exif(big, 9)), "jpeg", 1, 1},
		"broken exif":     {withSegments(plainJPEG, "Exif\x00\x00II*\x00\xff\xff\xff\xff"), "jpeg", 1, 1},
		"short exif":      {withSegments(plainJPEG, "Exif\x00\x00", "E", ""), "jpeg", 1, 1},
		"jpeg, fill":      {append([]byte{0xFF, 0xD8, 0xFF, 0xFF, 0xFF, 0xFF}, plainJPEG[3:]...), "jpeg", 1, 1},
		"gif":             {gifOf(t, 1), "gif", 1, 1},
		"gif, animated":   {gifOf(t, 7), "gif", 1, 7},
		"webp, lossy":     {riff(vp8), "webp", 1, 1},
		"webp, lossless":  {riff(vp8l), "webp", 1, 1},
		"webp, extended":  {riff(vp8x, vp8), "webp", 1, 1},
		"webp, animated":  {riff(vp8x, "ANIM......", frame, frame+"x", frame), "webp", 1, 3},
		"webp with exif":  {riff(vp8x, vp8, "EXIF"+exif(little, 7)), "webp", 7, 1},
		"webp, jpeg's":    {riff(vp8x, vp8, "EXIFExif\x00\x00"+exif(big, 2)), "webp", 2, 1},
		"webp, no pad":    {bytes.TrimSuffix(riff(vp8x, vp8, "XMP x"), []byte{0}), "webp", 1, 1},
		"bmp":             {encoded(t, func(b *bytes.Buffer) error { return bmp.Encode(b, picture(31, 17)) }), "bmp", 1, 1},
		"tiff":            {encoded(t, func(b *bytes.Buffer) error { return tiff.Encode(b, picture(31, 17), nil) }), "tiff", 1, 1},
		"tiff, turned":    {tiffFile(big, append(page(31, 17), entry{0x112, 3, 6})), "tiff", 6, 1},
		"tiff, 3 pages":   {tiffFile(little, page(31, 17), page(1, 1), page(2, 2)), "tiff", 1, 3},
		"tiff, turned p2": {tiffFile(little, page(31, 17), append(page(1, 1), entry{0x112, 3, 6})), "tiff", 1, 2},
	} {
		want := &inspect.Image{Format: c.format, Width: 31, Height: 17, Orientation: c.orientation, Frames: c.frames}
		if diff := cmp.Diff(want, inspected(t, name, c.content).Image); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What a header says is not judged: the largest picture that a format can name is an answer.
func TestHugeImages(t *testing.T) {
	t.Parallel()
	hugePNG := bytes.Clone(pngOf(t))
	binary.BigEndian.PutUint32(hugePNG[16:], math.MaxInt32)
	binary.BigEndian.PutUint32(hugePNG[20:], math.MaxUint32)
	topDown := encoded(t, func(b *bytes.Buffer) error { return bmp.Encode(b, picture(31, 17)) })
	binary.LittleEndian.PutUint32(topDown[22:], 1<<31) // the least int32
	for name, c := range map[string]struct {
		content       []byte
		width, height int64
	}{
		"png":  {hugePNG, math.MaxInt32, math.MaxUint32},
		"bmp":  {topDown, 31, 1 << 31},
		"tiff": {tiffFile(binary.LittleEndian, []entry{{0x100, 4, math.MaxUint32}, {0x101, 4, 1}}), math.MaxUint32, 1},
	} {
		got := inspected(t, name, c.content).Image
		if got == nil || got.Width != c.width || got.Height != c.height {
			t.Errorf("%s: %+v, want %d × %d", name, got, c.width, c.height)
		}
	}
}

// P7: what is broken leaves the media type, and of the image what could be read.
func TestP7BrokenImages(t *testing.T) {
	t.Parallel()
	loop := tiffFile(binary.LittleEndian, page(31, 17), page(1, 1))
	binary.LittleEndian.PutUint32(loop[len(loop)-4:], 8) // back to the first
	longSegment := withSegments(jpegOf(t), "Exif\x00\x00"+exif(binary.BigEndian, 4))
	binary.BigEndian.PutUint16(longSegment[4:], 0xFFFF)
	for name, c := range map[string]struct {
		content []byte
		want    *inspect.Image // nil for none
	}{
		"gif, blocks without end": {
			append(gifOf(t, 2)[:len(gifOf(t, 2))-1], bytes.Repeat([]byte("\x21\xfe\x01x\x00"), 100_000)...),
			&inspect.Image{Format: "gif", Width: 31, Height: 17, Frames: 2, Truncated: true},
		},
		"gif, a block without end": {
			append(gifOf(t, 2)[:len(gifOf(t, 2))-1], "\x21\xfe"+strings.Repeat("\xff", 256*1000)...),
			&inspect.Image{Format: "gif", Width: 31, Height: 17, Frames: 2, Truncated: true},
		},
		"gif, unknown block": {
			append(gifOf(t, 1)[:len(gifOf(t, 1))-1], "\x99"...),
			&inspect.Image{Format: "gif", Width: 31, Height: 17, Frames: 1, Truncated: true},
		},
		"gif, only a header": {[]byte("GIF89a\x1f\x00\x11\x00\x00\x00\x00"), &inspect.Image{Format: "gif", Width: 31, Height: 17, Frames: 1, Truncated: true}},
		"gif, no size":       {[]byte("GIF89a\x00\x00\x00\x00\x00\x00\x00;"), nil},
		"webp, a chunk that is too long": {
			append(riff(vp8x, frame), "ANMF\xff\xff\xff\xff......"...),
			&inspect.Image{Format: "webp", Width: 31, Height: 17, Frames: 2, Truncated: true},
		},
		"webp, lies about its length": {
			append([]byte("RIFF\x00\x00\x00\x00"), riff(vp8x, frame, frame)[8:]...),
			&inspect.Image{Format: "webp", Width: 31, Height: 17, Frames: 2},
		},
		"webp, no key frame": {riff("VP8 .........."), nil},
		"webp, empty chunks": {riff("VP8X", "VP8 ", "VP8L"), nil},
		"png, no end": {
			bytes.TrimSuffix(pngOf(t), []byte("\x00\x00\x00\x00IEND\xaeB`\x82")),
			&inspect.Image{Format: "png", Width: 31, Height: 17, Frames: 1, Truncated: true},
		},
		"png, no header":                 {[]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x00IEND\xaeB`\x82"), nil},
		"jpeg, only a start":             {[]byte("\xff\xd8\xff\xe0"), nil},
		"jpeg, a long segment":           {longSegment, nil},
		"jpeg, a scan before its header": {[]byte("\xff\xd8\xff\xda\x00\x08\xff\xc0\x00\x0b\x08\x00\x11\x00\x1f\x01\x01\x11\x00"), nil},
		"tiff, a loop":                   {loop, &inspect.Image{Format: "tiff", Width: 31, Height: 17, Frames: 3, Truncated: true}},
		"tiff, a directory that is cut": {
			tiffFile(binary.BigEndian, page(31, 17), page(1, 1))[:8+2+24+4+2+12],
			&inspect.Image{Format: "tiff", Width: 31, Height: 17, Frames: 1, Truncated: true},
		},
		"tiff, more pages than are counted": {
			tiffFile(binary.LittleEndian, append([][]entry{page(31, 17)}, make([][]entry, 12_000)...)...),
			&inspect.Image{Format: "tiff", Width: 31, Height: 17, Frames: 10_001, Truncated: true},
		},
		"tiff, no directory": {[]byte("II*\x00\xff\xff\xff\xff"), nil},
		"tiff, no size":      {tiffFile(binary.BigEndian, []entry{{0x112, 3, 6}}), nil},
		"bmp, short":         {[]byte("BM....\x00\x00\x00\x00....\x28\x00\x00\x00\x1f\x00"), nil},
	} {
		if c.want != nil {
			c.want.Orientation = 1
		}
		got := inspected(t, name, c.content)
		if !strings.HasPrefix(got.MediaType, "image/") {
			t.Errorf("%s: the type is %s", name, got.MediaType)
		}
		if diff := cmp.Diff(c.want, got.Image); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A picture that is cut anywhere says either nothing or the same as the whole one.
func TestP7CutImages(t *testing.T) {
	t.Parallel()
	for name, content := range samples(t) {
		whole := inspected(t, name, content).Image
		if whole == nil {
			continue
		}
		for n := range min(len(content), 2000) {
			got := inspected(t, name, content[:n]).Image
			if got == nil {
				continue
			}
			if got.Width != whole.Width || got.Height != whole.Height || got.Frames > whole.Frames ||
				got.Orientation != whole.Orientation && got.Orientation != 1 {
				t.Errorf("%s, %d bytes: %+v, want at most %+v", name, n, got, whole)
			}
		}
	}
}

// The real files of each orientation, and one with a sampling that decoders refuse.
func TestRealJPEGs(t *testing.T) {
	t.Parallel()
	for i := range 9 {
		name := fmt.Sprintf("orientation_%d.jpg", i)
		want := &inspect.Image{Format: "jpeg", Width: 50, Height: 70, Orientation: max(i, 1), Frames: 1}
		if i >= 5 { // stored lying down
			want.Width, want.Height = 70, 50
		}
		content := readFile(t, name)
		if diff := cmp.Diff(want, inspected(t, name, content).Image); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got := orientationOf(t, content); got != i && got != 0 {
			t.Errorf("%s: another reader sees orientation %d", name, got)
		}
	}
	want := &inspect.Image{Format: "jpeg", Width: 128, Height: 128, Orientation: 1, Frames: 1}
	if diff := cmp.Diff(want, inspected(t, "a.jpeg", readFile(t, "non-standard-subsample.jpeg")).Image); diff != "" {
		t.Errorf("non-standard subsampling (-want +got):\n%s", diff)
	}
}

// orientationOf reads EXIF's orientation with another reader; 0 when there is none.
func orientationOf(t *testing.T, content []byte) int {
	t.Helper()
	found := 0
	_, err := imagemeta.Decode(imagemeta.Options{
		R: bytes.NewReader(content), ImageFormat: imagemeta.JPEG, Sources: imagemeta.EXIF,
		HandleTag: func(tag imagemeta.TagInfo) error {
			if v, ok := tag.Value.(uint16); ok && tag.Tag == "Orientation" {
				found = int(v)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
