package image_test

import (
	"encoding/binary"
	"image"
	"image/color"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	handler "github.com/leat-dev/leat/jobs/image"
	"github.com/leat-dev/leat/jobs/jobtest"
)

// mean is the mean color of a picture, from 0 to 255.
func mean(m image.Image) (rgb [3]float64) {
	size := m.Bounds().Size()
	for y := range size.Y {
		for x := range size.X {
			r, g, b, _ := m.At(m.Bounds().Min.X+x, m.Bounds().Min.Y+y).RGBA()
			rgb[0], rgb[1], rgb[2] = rgb[0]+float64(r)/257, rgb[1]+float64(g)/257, rgb[2]+float64(b)/257
		}
	}
	for i := range rgb {
		rgb[i] /= float64(size.X * size.Y)
	}
	return rgb
}

func checkMean(t *testing.T, what string, m image.Image, want [3]float64, within float64) {
	t.Helper()
	got := mean(m)
	for i := range got {
		if got[i] < want[i]-within || got[i] > want[i]+within {
			t.Errorf("%s: the mean color is %.1f, want %.1f", what, got, want)
			return
		}
	}
}

// The means are those that libvips and Little CMS give for the same files.
func TestRealColors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want   [3]float64
		within float64
	}{
		"pizza-rgb8-displayp3-vp8x.webp": {[3]float64{241.9, 215.9, 166.9}, 1},
		"cmyk_plain.jpg":                 {[3]float64{74, 98, 81}, 8}, // of the mean ink: without a profile it is not exact
	} {
		checkMean(t, name, made(t, run(t, name, readFile(t, name), asPNG(1024)), "out.png"), c.want, c.within)
	}
	if m := run(t, "a.jpg", readFile(t, "progressive.jpg"), asPNG(32)); made(t, m, "out.png").Bounds().Dx() != 32 {
		t.Error("progressive: the picture is not made")
	}
	if m := run(t, "a.jpg", readFile(t, "non-standard-subsample.jpeg"), ""); m.Code() != "unsupported" {
		t.Errorf("non-standard subsampling: %v", m.Err)
	}
}

// What has one color keeps it, in every form in which an image can be stored, and at every size.
func TestColors(t *testing.T) {
	t.Parallel()
	c := color.NRGBA{200, 100, 50, 255}
	plain := uniform(151, 103, c)
	deep := image.NewNRGBA64(plain.Rect)
	paletted := image.NewPaletted(plain.Rect, color.Palette{c})
	gray16 := image.NewGray16(plain.Rect)
	gray := image.NewGray(plain.Rect)
	for y := range 103 {
		for x := range 151 {
			deep.SetNRGBA64(x, y, color.NRGBA64{200*257 + 100, 100*257 - 100, 50 * 257, 0xFFFF})
			gray16.SetGray16(x, y, color.Gray16{90*257 + 90})
			gray.SetGray(x, y, color.Gray{90})
		}
	}
	ratios := map[string][]byte{}
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio420} {
		m := image.NewYCbCr(plain.Rect, ratio)
		y, cb, cr := color.RGBToYCbCr(200, 100, 50)
		fill := func(p []byte, v byte) {
			for i := range p {
				p[i] = v
			}
		}
		fill(m.Y, y)
		fill(m.Cb, cb)
		fill(m.Cr, cr)
		ratios["jpeg "+ratio.String()] = jpegOf(t, m)
	}
	files := map[string][]byte{
		"png": pngOf(t, plain), "16 bit": pngOf(t, deep), "palette": pngOf(t, paletted), "bmp": bmpOf(t, plain),
		"tiff": tiffOf(t, plain), "16 bit tiff": tiffOf(t, deep), "webp": webpOf(t, plain), "gray": pngOf(t, gray), "gray 16": pngOf(t, gray16),
		"jpeg gray": jpegOf(t, gray),
	}
	maps.Copy(files, ratios)
	for name, content := range files {
		want := [3]float64{200, 100, 50}
		if strings.Contains(name, "gray") {
			want = [3]float64{90, 90, 90}
		}
		for _, size := range []int{1, 7, 50, 75, 76, 151} {
			checkMean(t, name, made(t, run(t, name, content, asPNG(size)), "out.png"), want, 2)
		}
	}
}

// Pixels that are not seen give nothing of their color to those that are, and a picture with
// transparency on white is what a viewer shows of it on white.
func TestTransparency(t *testing.T) {
	t.Parallel()
	m := uniform(64, 64, color.NRGBA{0, 255, 0, 0})
	for y := range 64 {
		for x := range 31 {
			m.SetNRGBA(x, y, color.NRGBA{255, 0, 0, 255})
		}
	}
	for name, content := range map[string][]byte{"png": pngOf(t, m), "tiff": tiffOf(t, m), "webp": webpOf(t, m)} {
		got := run(t, name, content, `{"variants":[{"name":"a","size":20},{"name":"b","size":20,"format":"jpeg"}]}`)
		picture := made(t, got, "a.png")
		half := 0
		for y := range 20 {
			for x := range 20 {
				c, ok := color.NRGBAModel.Convert(picture.At(x, y)).(color.NRGBA)
				if !ok || c.A > 0 && (c.R < 250 || c.G > 0) {
					t.Fatalf("%s: %v at %d, %d", name, c, x, y)
				}
				if c.A > 0 && c.A < 255 {
					half++
				}
			}
		}
		if half == 0 {
			t.Errorf("%s: no pixel of the edge is half transparent", name)
		}
		r, g, b, _ := made(t, got, "b.jpg").At(19, 10).RGBA()
		if min(r, g, b)>>8 < 240 {
			t.Errorf("%s: what is transparent is %d, %d, %d in a JPEG", name, r>>8, g>>8, b>>8)
		}
	}
	got := made(t, run(t, "a.webp", readFile(t, "alpha.webp"), `{"variants":[{"name":"a","size":32}]}`), "a.png")
	for _, x := range []int{1, 8, 16, 31} {
		c, ok := color.NRGBAModel.Convert(got.At(x, 16)).(color.NRGBA)
		if !ok || int(c.A) != 8*x || x > 8 && (c.R < 190 || c.R > 210 || c.G < 30 || c.G > 50) {
			t.Errorf("lossy WebP: %v at %d", c, x)
		}
	}
}

// A profile of a matrix and curves is honored; the colors are those that the definitions of the two
// spaces give. What is damaged or of another kind is told, and leaves the colors alone.
func TestProfiles(t *testing.T) {
	t.Parallel()
	adobe := profileOf("Adobe RGB (1998)", adobeRGB(), gamma(2.19921875))
	tables := strings.Replace(adobe, "gTRC", "A2B0", 1)
	ink := strings.Replace(adobe, "RGB XYZ ", "CMYKLab ", 1)
	far := []byte(adobe)
	binary.BigEndian.PutUint32(far[128+4+4:], 1<<31)
	dark := profileOf("dark", [3][3]float64{{0.1}, {0, 0.1}, {0, 0, 0.1}}, gamma(1))
	plain := uniform(8, 8, color.NRGBA{100, 150, 50, 255})
	as := [3]float64{100, 150, 50}
	for name, c := range map[string]struct {
		chunk, profile string
		converted      bool
		want           [3]float64
	}{
		"Adobe RGB":       {iccp(t, adobe), "Adobe RGB (1998)", true, [3]float64{66, 151.4, 33.5}},
		"tables":          {iccp(t, tables), "Adobe RGB (1998)", false, as},
		"CMYK":            {iccp(t, ink), "Adobe RGB (1998)", false, as},
		"cut":             {iccp(t, adobe[:200]), "unknown", false, as},
		"empty":           {iccp(t, ""), "unknown", false, as},
		"a tag elsewhere": {iccp(t, string(far)), "unknown", false, as},
		"no white":        {iccp(t, dark), "dark", false, as},
		"not compressed":  {"iCCPname\x00\x00" + adobe, "unknown", false, as},
		"no name":         {"iCCP" + strings.Repeat("n", 100), "unknown", false, as},
		"a bomb":          {iccp(t, strings.Repeat("\x00", 4<<20)), "unknown", false, as},
	} {
		m := run(t, "a.png", withChunks(pngOf(t, plain), c.chunk), asPNG(8))
		r := jobtest.Decode[handler.Result](t, m)
		if r.Profile != c.profile || r.Converted == nil || *r.Converted != c.converted {
			t.Errorf("%s: %s", name, m.Result)
		}
		checkMean(t, name, made(t, m, "out.png"), c.want, 1.6)
	}
}

// All forms of a curve are read, and in all formats that hold profiles: those here say the same, and
// what sRGB itself says changes nothing.
func TestCurves(t *testing.T) {
	t.Parallel()
	plain := uniform(16, 16, color.NRGBA{100, 150, 50, 255})
	converted, same := [3]float64{100, 150.6, 46}, [3]float64{100, 150, 50}
	for name, c := range map[string]struct {
		curve string
		want  [3]float64
	}{
		"exponent":           {gamma(2.2), converted},
		"samples":            {samplesOf(2.2, 1024), converted},
		"formula 0":          {formula(0, 2.2), converted},
		"formula 1":          {formula(1, 2.2, 1, 0), converted},
		"formula 2":          {formula(2, 2.2, 1, 0, 0), converted},
		"formula 3":          {formula(3, 2.2, 1, 0, 0, 0), converted},
		"formula 4":          {formula(4, 2.2, 1, 0, 0, 0, 0, 0), converted},
		"sRGB":               {formula(3, 2.4, 1/1.055, 0.055/1.055, 1/12.92, 0.04045), same},
		"no such formula":    {formula(5, 2.2), same},
		"too few parameters": {formula(4, 2.2), same},
		"too few samples":    {samplesOf(2.2, 1024)[:100], same},
		"no curve":           {"text........", same},
	} {
		profile := profileOf("a", sRGB(), c.curve)
		for format, content := range map[string][]byte{
			"png":  withChunks(pngOf(t, plain), iccp(t, profile)),
			"tiff": tiffWithProfile(tiffOf(t, plain), profile),
			"jpeg": withSegments(jpegOf(t, plain), "\xe2ICC_PROFILE\x00\x01\x02"+profile[:150], "\xe2ICC_PROFILE\x00\x02\x02"+profile[150:]),
		} {
			m := run(t, "a", content, asPNG(16))
			r := jobtest.Decode[handler.Result](t, m)
			if valid := c.want == converted || name == "sRGB"; r.Profile != "a" || *r.Converted != valid {
				t.Errorf("%s in %s: %s", name, format, m.Result)
			}
			checkMean(t, name+" in "+format, made(t, m, "out.png"), c.want, 1.6)
		}
	}
}

// The quick way, in the planes of a picture, gives what the plain one gives, for every sampling of
// color. Where the last pixel of color stands for half as many of brightness, they may differ a bit.
func TestPlanes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		width, height := rapid.IntRange(1, 70).Draw(rt, "width"), rapid.IntRange(1, 70).Draw(rt, "height")
		ratio := image.YCbCrSubsampleRatio(rapid.IntRange(int(image.YCbCrSubsampleRatio444), int(image.YCbCrSubsampleRatio410)).Draw(rt, "ratio"))
		m := image.NewYCbCr(image.Rect(0, 0, width, height), ratio)
		random := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(rt, "seed")))
		fill := func(p []byte, from, to int) { // within what no conversion cuts off
			for i := range p {
				p[i] = byte(from + random.IntN(to-from))
			}
		}
		fill(m.Y, 60, 190)
		fill(m.Cb, 118, 138)
		fill(m.Cr, 118, 138)
		w, h := handler.Fit(width, height, rapid.IntRange(1, 70).Draw(rt, "size"))
		if factor := min(width/w, height/h); factor > 1 && factor%2 != 0 {
			return // the quick way then leaves more to the filter
		}
		quick, err := handler.Scaled(t.Context(), m, w, h, true)
		if err != nil {
			rt.Fatal(err)
		}
		plain, err := handler.Scaled(t.Context(), m, w, h, false)
		if err != nil {
			rt.Fatal(err)
		}
		most := 1
		if width%2 != 0 || height%2 != 0 {
			most = 16
		}
		if d := difference(quick, plain); d > most {
			rt.Fatalf("differs by %d", d)
		}
	})
}
