package image_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/leat-dev/leat/jobs"
	handler "github.com/leat-dev/leat/jobs/image"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
)

// patched is content with other bytes at an offset.
func patched(content []byte, off int, with string) []byte {
	out := bytes.Clone(content)
	copy(out[off:], with)
	return out
}

// hugePNG is a PNG whose header, checksum and all, declares another size.
func hugePNG(png []byte, width, height uint32) []byte {
	out := bytes.Clone(png)
	binary.BigEndian.PutUint32(out[16:], width)
	binary.BigEndian.PutUint32(out[20:], height)
	binary.BigEndian.PutUint32(out[29:], crc32.ChecksumIEEE(out[12:29]))
	return out
}

// A header that promises more pixels than are decoded is believed, and nothing is allocated for it.
func TestHugeImages(t *testing.T) { //nolint:paralleltest // it counts all of the process's allocations
	m := gradient(31, 17)
	png, still := pngOf(t, m), webpOf(t, m)
	jpeg := jpegOf(t, m)
	sof := bytes.Index(jpeg, []byte("\xff\xc0"))
	tiff := tiffOf(t, m)
	ifd := int(binary.LittleEndian.Uint32(tiff[4:]))
	for name, content := range map[string][]byte{
		"png":          hugePNG(png, 50_000, 50_000),
		"png, most":    hugePNG(png, math.MaxInt32, math.MaxInt32),
		"png, a strip": hugePNG(png, 1<<30, 1),
		"gif":          patched(gifOf(t, 1), 6, "\xff\xff\xff\xff"),
		"webp":         riff(vp8x(0, 1<<24, 1<<24), "VP8L"+string(still[20:])),
		"webp, 2":      patched(still, 21, "\xff\xff\xff\x0f"),
		"jpeg":         patched(jpeg, sof+5, "\xff\xff\xff\xff"),
		"bmp":          patched(bmpOf(t, m), 18, "\xff\xff\xff\x7f\xff\xff\xff\x7f"),
		"tiff":         patched(patched(tiff, ifd+2+8, "\xff\xff"), ifd+2+12+8, "\xff\xff"),
	} {
		var code jobs.Code
		bytesUsed := allocatedBy(func() { code = run(t, name, content, "").Code() })
		if code != jobs.CodeLimitMemory {
			t.Errorf("%s: %q", name, code)
		}
		if bytesUsed > 4<<20 {
			t.Errorf("%s: %d bytes were allocated", name, bytesUsed)
		}
	}
}

// allocatedBy counts the bytes that f allocates.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What an image takes depends on more than its pixels: one that is within the pixels is refused for
// its memory when it is stored in passes, or with more bits.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	deep := image.NewNRGBA64(image.Rect(0, 0, 64, 64))
	deep.SetNRGBA64(1, 1, color.NRGBA64{1, 2, 3, 4})
	small := handler.NewLimited(64*64, 64*64*8)
	params := asPNG(8)
	for name, c := range map[string]struct {
		content []byte
		want    jobs.Code
	}{
		"baseline":        {jpegOf(t, gradient(64, 64)), ""},
		"progressive":     {readFile(t, "progressive.jpg"), jobs.CodeLimitMemory},
		"8 bits":          {pngOf(t, gradient(64, 64)), ""},
		"16 bits":         {pngOf(t, deep), jobs.CodeLimitMemory},
		"one pixel more":  {pngOf(t, gradient(65, 64)), jobs.CodeLimitMemory},
		"a large variant": {pngOf(t, gradient(64, 64)), jobs.CodeLimitMemory},
	} {
		with := params
		if name == "a large variant" {
			with = asPNG(64)
		}
		if m := jobtest.Run(t, spec.Image(), small, name, c.content, with); m.Code() != c.want {
			t.Errorf("%s: %v", name, m.Err)
		}
	}
}

// Of an animation the first picture is shown where it lies on its canvas, and the others are
// counted.
func TestAnimations(t *testing.T) {
	t.Parallel()
	still := webpOf(t, uniform(8, 6, color.NRGBA{255, 0, 0, 255}))
	blue := webpOf(t, uniform(30, 16, color.NRGBA{0, 0, 255, 255}))
	alpha := readFile(t, "alpha.webp")
	red := pngOf(t, uniform(31, 17, color.NRGBA{255, 0, 0, 255}))
	for name, c := range map[string]struct {
		content []byte
		frames  int64
		outside uint32 // the transparency of the corner
	}{
		"gif":  {gifOf(t, 5), 5, 0},
		"webp": {riff(vp8x(0x12, 31, 17), "ANIM......", frameOf(still, 12, 2, 4, 8, 6), frameOf(blue, 12, 0, 0, 30, 16)), 2, 0},
		"apng": {withChunks(red, "acTL\x00\x00\x00\x02\x00\x00\x00\x00", "fcTL"+strings.Repeat("\x00", 26), "fcTL"+strings.Repeat("\x00", 26)), 2, 0xFFFF},
	} {
		m := run(t, name, c.content, asPNG(64))
		r := jobtest.Decode[handler.Result](t, m)
		if r.Frames != c.frames || !r.Animated || r.Width != 31 || r.Height != 17 {
			t.Errorf("%s: %s", name, m.Result)
		}
		picture := made(t, m, "out.png")
		if r, g, b, a := picture.At(5, 6).RGBA(); r != 0xFFFF || g != 0 || b != 0 || a != 0xFFFF {
			t.Errorf("%s: %d, %d, %d, %d", name, r, g, b, a)
		}
		if _, _, _, a := picture.At(0, 0).RGBA(); a != c.outside {
			t.Errorf("%s: the corner's transparency is %d", name, a)
		}
	}
	lossy := riff(vp8x(0x12, 40, 40), "ANIM......", frameOf(alpha, 30, 4, 2, 32, 32))
	m := run(t, "a.webp", lossy, `{"variants":[{"name":"a","size":64}]}`)
	if _, _, _, a := made(t, m, "a.png").At(4+16, 16).RGBA(); a>>8 != 128 || jobtest.Decode[handler.Result](t, m).Animated {
		t.Errorf("one lossy frame with transparency: %d, %s", a>>8, m.Result)
	}
	outside := riff(vp8x(0x02, 31, 17), "ANIM......", frameOf(still, 12, 28, 4, 8, 6))
	if m := run(t, "a.webp", outside, ""); m.Code() != jobs.CodeMalformed {
		t.Errorf("a frame that lies outside: %v", m.Err)
	}
}

// A file that is cut, anywhere, is an answer, and never half a picture. What is cut behind its first
// picture has all that is shown.
func TestTruncated(t *testing.T) {
	t.Parallel()
	for name, content := range samples(t) {
		first := len(content)
		switch name {
		case "a.gif": // up to where the second picture's control block begins
			first = bytes.Index(content, []byte("\x21\xf9")) + 2
			first += bytes.Index(content[first:], []byte("\x21\xf9"))
		case "anim.webp":
			first = bytes.LastIndex(content, []byte("ANMF"))
		case "a.tiff": // only the size on paper is cut off
			first -= 16
		}
		if m := run(t, name, content, ""); m.Err != nil {
			t.Errorf("%s: %v", name, m.Err)
		}
		for n := range len(content) - 1 {
			if n > 200 && n%61 != 0 && n < len(content)-50 {
				continue
			}
			switch code := run(t, name, content[:n], "").Code(); {
			case code == jobs.CodeMalformed:
			case code == "" && n >= first:
			case code == jobs.CodeUnsupported && n < 200: // too little to tell what it is
			default:
				t.Errorf("%s, %d of %d bytes: %q", name, n, len(content), code)
			}
		}
	}
}

// What stands behind an image, and what may be missing there, is no part of its picture.
func TestEnds(t *testing.T) {
	t.Parallel()
	animation := gifOf(t, 3)
	still := webpOf(t, gradient(31, 17))
	for name, content := range map[string][]byte{
		"cut.gif":         animation[:len(animation)-20],
		"no-trailer.gif":  animation[:len(animation)-1],
		"junk.webp":       append(bytes.Clone(still), "\x00\x00\x00"...),
		"more-junk.webp":  append(bytes.Clone(still), "<!-- a comment of some server -->"...),
		"more-junk.gif":   append(bytes.Clone(animation), "junk"...),
		"junk-behind.png": append(pngOf(t, gradient(31, 17)), "junk"...),
		"junk-behind.jpg": append(jpegOf(t, gradient(31, 17)), "junk"...),
	} {
		if m := run(t, name, content, ""); m.Err != nil || len(m.Artifacts) != 2 {
			t.Errorf("%s: %v", name, m.Err)
		}
	}
}

func TestNoImages(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"notes.txt": "hello", "a.pdf": "%PDF-1.4\n", "empty": "", "a.svg": `<svg xmlns="http://www.w3.org/2000/svg"/>`,
	} {
		if m := run(t, name, []byte(content), ""); m.Code() != jobs.CodeUnsupported || !jobs.IsPermanent(m.Err) {
			t.Errorf("%s: %v", name, m.Err)
		}
	}
}

// No content makes the handler do anything but answer: with pictures, or with one of four codes.
func FuzzImage(f *testing.F) {
	for name, content := range samples(f) {
		f.Add(name, content)
	}
	small := handler.NewLimited(1<<16, 4<<20)
	codes := []jobs.Code{"", jobs.CodeMalformed, jobs.CodeUnsupported, jobs.CodeLimitMemory}
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		m := jobtest.Run(t, spec.Image(), small, name, content, `{"variants":[{"name":"a","size":16},{"name":"b","size":3,"format":"webp"}]}`)
		if !slices.Contains(codes, m.Code()) {
			t.Fatal(m.Err)
		}
		if m.Err == nil && len(m.Artifacts) != 2 {
			t.Errorf("%d artifacts", len(m.Artifacts))
		}
	})
}
