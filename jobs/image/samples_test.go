package image_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/HugoSmits86/nativewebp"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// encoded gives what an encoder writes.
func encoded(t testing.TB, encode func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gradient is a picture of which no two pixels, and no two corners, are alike.
func gradient(width, height int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetNRGBA(x, y, color.NRGBA{uint8(255 * x / max(width-1, 1)), uint8(255 * y / max(height-1, 1)), uint8(x*31 + y*17), 0xFF})
		}
	}
	return m
}

func uniform(width, height int, c color.Color) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.Set(x, y, c)
		}
	}
	return m
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, m) })
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, m, &jpeg.Options{Quality: 100}) })
}

func bmpOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return bmp.Encode(b, m) })
}

func tiffOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return tiff.Encode(b, m, nil) })
}

func webpOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return nativewebp.Encode(b, m, nil) })
}

// gifOf makes an animation: the first picture is red and lies within the canvas at 2, 3; the others
// are blue and fill it.
func gifOf(t testing.TB, frames int) []byte {
	t.Helper()
	colors := color.Palette{color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 255, 255}}
	all := &gif.GIF{Config: image.Config{Width: 31, Height: 17}}
	for i := range frames {
		m := image.NewPaletted(image.Rect(2, 3, 10, 10), colors)
		if i > 0 {
			m = image.NewPaletted(image.Rect(0, 0, 31, 17), colors)
			for j := range m.Pix {
				m.Pix[j] = 1
			}
		}
		all.Image, all.Delay = append(all.Image, m), append(all.Delay, 10)
	}
	return encoded(t, func(b *bytes.Buffer) error { return gif.EncodeAll(b, all) })
}

// withChunks puts chunks, each a name of four letters and its content, behind a PNG's header.
func withChunks(png []byte, chunks ...string) []byte {
	const header = 8 + 8 + 13 + 4
	out := bytes.Clone(png[:header])
	for _, c := range chunks {
		out = binary.BigEndian.AppendUint32(out, uint32(len(c)-4))
		out = append(out, c...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE([]byte(c)))
	}
	return append(out, png[header:]...)
}

// withSegments puts segments, each a marker and its content, behind a JPEG's start.
func withSegments(jpeg []byte, segments ...string) []byte {
	out := bytes.Clone(jpeg[:2])
	for _, s := range segments {
		out = binary.BigEndian.AppendUint16(append(out, 0xFF, s[0]), uint16(len(s)+1))
		out = append(out, s[1:]...)
	}
	return append(out, jpeg[2:]...)
}

// riff makes a WebP file of chunks.
func riff(chunks ...string) []byte {
	body := []byte("WEBP")
	for _, c := range chunks {
		body = append(body, riffChunk(c)...)
	}
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func riffChunk(c string) string {
	out := binary.LittleEndian.AppendUint32([]byte(c[:4]), uint32(len(c)-4))
	out = append(out, c[4:]...)
	if len(c)%2 != 0 {
		out = append(out, 0)
	}
	return string(out)
}

func uint24(v int) string { return string([]byte{byte(v), byte(v >> 8), byte(v >> 16)}) }

// vp8x is the header of an extended WebP.
func vp8x(flags byte, width, height int) string {
	return "VP8X" + string([]byte{flags, 0, 0, 0}) + uint24(width-1) + uint24(height-1)
}

// frameOf makes a frame of an animation of the chunks of a still WebP, from an offset on.
func frameOf(still []byte, off, x, y, width, height int) string {
	return "ANMF" + uint24(x/2) + uint24(y/2) + uint24(width-1) + uint24(height-1) + uint24(100) + "\x00" + string(still[off:])
}

// exif is a TIFF header and a directory with an orientation and GPS data.
func exif(orientation byte) string {
	return "MM\x00*\x00\x00\x00\x08\x00\x02" +
		"\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string([]byte{orientation}) + "\x00\x00" +
		"\x88\x25\x00\x04\x00\x00\x00\x01\x00\x00\x00\x26" + "\x00\x00\x00\x00" +
		"\x00\x01\x00\x01\x00\x02\x00\x00\x00\x02N\x00\x00\x00\x00\x00\x00\x00" + secret
}

// secret is in all metadata that the tests write.
const secret = "48.8584N2.2945E"

// gamma is a tone curve of an exponent.
func gamma(exponent float64) string {
	return string(binary.BigEndian.AppendUint16([]byte("curv\x00\x00\x00\x00\x00\x00\x00\x01"), uint16(exponent*256)))
}

// samplesOf is a tone curve of samples of an exponent.
func samplesOf(exponent float64, count int) string {
	out := binary.BigEndian.AppendUint32([]byte("curv\x00\x00\x00\x00"), uint32(count))
	for i := range count {
		out = binary.BigEndian.AppendUint16(out, uint16(math.Round(65535*math.Pow(float64(i)/float64(count-1), exponent))))
	}
	return string(out)
}

// formula is a tone curve of one of the kinds that have parameters.
func formula(kind byte, parameters ...float64) string {
	out := append([]byte("para\x00\x00\x00\x00\x00"), kind, 0, 0)
	for _, v := range parameters {
		out = binary.BigEndian.AppendUint32(out, uint32(int32(math.Round(v*65536))))
	}
	return string(out)
}

// profileOf makes an ICC profile of a matrix and one curve.
func profileOf(name string, colors [3][3]float64, curve string) string {
	be := binary.BigEndian
	tags := []struct{ name, content string }{
		{"desc", "desc\x00\x00\x00\x00\x00\x00\x00" + string([]byte{byte(len(name) + 1)}) + name + "\x00"},
	}
	for i, c := range []string{"r", "g", "b"} {
		xyz := []byte("XYZ \x00\x00\x00\x00")
		for _, v := range colors[i] {
			xyz = be.AppendUint32(xyz, uint32(int32(math.Round(v*65536))))
		}
		tags = append(tags, struct{ name, content string }{c + "XYZ", string(xyz)}, struct{ name, content string }{c + "TRC", curve})
	}
	out := make([]byte, 128)
	copy(out[12:], "mntrRGB XYZ ")
	copy(out[36:], "acsp")
	out = be.AppendUint32(out, uint32(len(tags)))
	data := ""
	for _, tag := range tags {
		out = append(out, tag.name...)
		out = be.AppendUint32(out, uint32(128+4+12*len(tags)+len(data)))
		out = be.AppendUint32(out, uint32(len(tag.content)))
		data += tag.content
	}
	return string(out) + data
}

// adobeRGB are the colors of Adobe RGB, for D50.
func adobeRGB() [3][3]float64 {
	return [3][3]float64{{0.60974, 0.31111, 0.01947}, {0.20528, 0.62567, 0.06087}, {0.14919, 0.06322, 0.74457}}
}

// sRGB are the colors of sRGB, for D50.
func sRGB() [3][3]float64 {
	return [3][3]float64{{0.43607, 0.22249, 0.01392}, {0.38515, 0.71687, 0.09708}, {0.14307, 0.06061, 0.71410}}
}

// tiffWithProfile gives a TIFF another directory, with a profile.
func tiffWithProfile(tiff []byte, profile string) []byte {
	le := binary.LittleEndian
	at := le.Uint32(tiff[4:])
	count := le.Uint16(tiff[at:])
	entries := tiff[at+2:][:12*int(count)]
	out := bytes.Clone(tiff)
	le.PutUint32(out[4:], uint32(len(tiff)))
	out = append(le.AppendUint16(out, count+1), entries...)
	out = le.AppendUint16(le.AppendUint16(out, 0x8773), 7)
	out = le.AppendUint32(out, uint32(len(profile)))
	out = le.AppendUint32(out, uint32(len(out)+8))
	return append(append(out, 0, 0, 0, 0), profile...)
}

// iccp is a PNG's chunk with a profile.
func iccp(t testing.TB, profile string) string {
	t.Helper()
	return "iCCPname\x00\x00" + string(encoded(t, func(b *bytes.Buffer) error {
		w := zlib.NewWriter(b)
		if _, err := w.Write([]byte(profile)); err != nil {
			return err
		}
		return w.Close()
	}))
}

// samples gives a small file of each format.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	m := gradient(31, 17)
	still := webpOf(t, m)
	return map[string][]byte{
		"a.jpg":          withSegments(jpegOf(t, m), "\xe1Exif\x00\x00"+exif(6)),
		"cmyk_plain.jpg": readFile(t, "cmyk_plain.jpg"),
		"prog.jpg":       readFile(t, "progressive.jpg"),
		"a.png":          withChunks(pngOf(t, m), iccp(t, profileOf("Adobe RGB", adobeRGB(), gamma(2.2)))),
		"alpha.png":      pngOf(t, uniform(31, 17, color.NRGBA{10, 20, 30, 40})),
		"a.gif":          gifOf(t, 3),
		"lossless.webp":  still,
		"alpha.webp":     readFile(t, "alpha.webp"),
		"anim.webp":      riff(vp8x(0x02, 40, 30), "ANIM......", frameOf(still, 12, 4, 6, 31, 17), frameOf(still, 12, 0, 0, 31, 17)),
		"a.bmp":          bmpOf(t, m),
		"a.tiff":         tiffOf(t, m),
	}
}
