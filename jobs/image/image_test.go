package image_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bep/imagemeta"
	"github.com/google/go-cmp/cmp"
	_ "golang.org/x/image/webp"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs"
	handler "github.com/leat-dev/leat/jobs/image"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
)

func run(t testing.TB, name string, content []byte, params string) *jobtest.Made {
	t.Helper()
	return jobtest.Run(t, spec.Image(), handler.New(), name, content, params)
}

// made is the picture of an artifact.
func made(t testing.TB, m *jobtest.Made, artifact string) image.Image {
	t.Helper()
	if m.Err != nil {
		t.Fatal(m.Err)
	}
	a, ok := m.Artifacts[artifact]
	if !ok {
		t.Fatalf("no artifact %s", artifact)
	}
	picture, format, err := image.Decode(bytes.NewReader(a.Content))
	if err != nil || "image/"+format != a.MediaType {
		t.Fatalf("%s is %s by its type, and %s by its content: %v", artifact, a.MediaType, format, err)
	}
	return picture
}

// asPNG asks for one picture of a size that keeps every pixel as it is made.
func asPNG(size int) string {
	return fmt.Sprintf(`{"variants":[{"name":"out","size":%d,"format":"png"}]}`, size)
}

// difference is the largest between two pictures, of any channel of any pixel; 256 when their sizes
// differ.
func difference(a, b image.Image) int {
	if a.Bounds().Size() != b.Bounds().Size() {
		return 256
	}
	most, from, to := 0, a.Bounds().Min, b.Bounds().Min
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			r, g, bl, al := a.At(from.X+x, from.Y+y).RGBA()
			r2, g2, bl2, al2 := b.At(to.X+x, to.Y+y).RGBA()
			for _, d := range []int{int(r) - int(r2), int(g) - int(g2), int(bl) - int(bl2), int(al) - int(al2)} {
				most = max(most, max(d, -d)>>8)
			}
		}
	}
	return most
}

// The answer, byte for byte: other programs read it.
func TestAnswer(t *testing.T) {
	t.Parallel()
	m := run(t, "a.jpg", readFile(t, "orientation_6.jpg"), "")
	want := `{"format":"jpeg","width":70,"height":50,"orientation":6,"frames":1,"animated":false,"variants":[` +
		`{"name":"thumbnail","width":50,"height":70,"format":"jpeg","artifact":"thumbnail.jpg"},` +
		`{"name":"preview","width":50,"height":70,"format":"jpeg","artifact":"preview.jpg"}]}`
	if diff := cmp.Diff(want, string(m.Result)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.IsSorted(m.Progress) || m.Progress[len(m.Progress)-1] != 1 {
		t.Errorf("progress %v", m.Progress)
	}
}

// The nine real files show one and the same picture.
func TestRealOrientations(t *testing.T) {
	t.Parallel()
	want := made(t, run(t, "a.jpg", readFile(t, "orientation_1.jpg"), asPNG(256)), "out.png")
	for i := range 9 {
		name := fmt.Sprintf("orientation_%d.jpg", i)
		got := made(t, run(t, name, readFile(t, name), asPNG(256)), "out.png")
		if d := difference(want, got); d > 40 { // each was compressed on its own
			t.Errorf("%s differs by %d", name, d)
		}
	}
}

// Each orientation is undone to the pixel: where a pixel lies for each is written down here as the
// EXIF standard tells it.
func TestOrientations(t *testing.T) {
	t.Parallel()
	want := gradient(5, 3)
	for orientation, at := range [][2]func(x, y int) int{
		1: {func(x, _ int) int { return x }, func(_, y int) int { return y }},
		2: {func(x, _ int) int { return 4 - x }, func(_, y int) int { return y }},
		3: {func(x, _ int) int { return 4 - x }, func(_, y int) int { return 2 - y }},
		4: {func(x, _ int) int { return x }, func(_, y int) int { return 2 - y }},
		5: {func(_, y int) int { return y }, func(x, _ int) int { return x }},
		6: {func(_, y int) int { return y }, func(x, _ int) int { return 4 - x }},
		7: {func(_, y int) int { return 2 - y }, func(x, _ int) int { return 4 - x }},
		8: {func(_, y int) int { return 2 - y }, func(x, _ int) int { return x }},
	} {
		if orientation == 0 {
			continue
		}
		stored := image.NewNRGBA(image.Rect(0, 0, 5, 3))
		if orientation >= 5 {
			stored = image.NewNRGBA(image.Rect(0, 0, 3, 5))
		}
		for y := range 3 {
			for x := range 5 {
				stored.Set(at[0](x, y), at[1](x, y), want.At(x, y))
			}
		}
		content := withChunks(pngOf(t, stored), "eXIf"+exif(byte(orientation)))
		if d := difference(want, made(t, run(t, "a.png", content, asPNG(256)), "out.png")); d != 0 {
			t.Errorf("orientation %d: differs by %d", orientation, d)
		}
	}
}

// An image is never enlarged, is at most as large as asked for, and keeps its form.
func TestFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w, h := rapid.IntRange(1, 1<<20).Draw(t, "width"), rapid.IntRange(1, 1<<20).Draw(t, "height")
		size := rapid.IntRange(1, spec.MaxImageSize).Draw(t, "size")
		width, height := handler.Fit(w, h, size)
		longest := max(w, h)
		if max(width, height) != min(size, longest) || width < 1 || height < 1 {
			t.Fatalf("%d × %d to %d gives %d × %d", w, h, size, width, height)
		}
		exact := float64(min(w, h)) * float64(min(size, longest)) / float64(longest)
		if got := float64(min(width, height)); got > 1 && (got < exact-0.5 || got > exact+0.5) {
			t.Fatalf("%d × %d to %d gives %d × %d, exactly %f", w, h, size, width, height, exact)
		}
	})
}

func TestTinyImages(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{1, 1}, {1, 300}, {300, 1}, {2, 3}} {
		want := gradient(size.X, size.Y)
		for _, format := range []string{"png", "webp"} {
			params := fmt.Sprintf(`{"variants":[{"name":"out","size":1024,"format":%q}]}`, format)
			if d := difference(want, made(t, run(t, "a.png", pngOf(t, want), params), "out."+format)); d != 0 {
				t.Errorf("%v as %s: differs by %d", size, format, d)
			}
		}
		if got := made(t, run(t, "a.png", pngOf(t, want), asPNG(1)), "out.png").Bounds().Size(); got != image.Pt(1, 1) {
			t.Errorf("%v to one pixel gives %v", size, got)
		}
	}
}

// Lossless means it: whatever the pixels are, the WebP has them. Few colors and sizes are what its
// encoder is least used to.
func TestWebPIsLossless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := image.NewNRGBA(image.Rect(0, 0, rapid.IntRange(1, 40).Draw(rt, "width"), rapid.IntRange(1, 40).Draw(rt, "height")))
		palette := rapid.SliceOfN(rapid.Uint32(), 1, 9).Draw(rt, "palette")
		if rapid.Bool().Draw(rt, "black") {
			palette[0] = 0xFF
		}
		pick := rapid.SliceOfN(rapid.IntRange(0, len(palette)-1), 1, len(m.Pix)/4).Draw(rt, "pixels")
		for i := 0; i < len(m.Pix); i += 4 {
			c := palette[pick[i/4%len(pick)]]
			if c&0xFF != 0 { // what is not seen has no color
				binary.BigEndian.PutUint32(m.Pix[i:], c)
			}
		}
		got := made(t, run(t, "a.png", pngOf(t, m), `{"variants":[{"name":"out","size":64,"format":"webp"}]}`), "out.webp")
		if d := difference(m, got); d != 0 {
			rt.Fatalf("differs by %d", d)
		}
	})
}

// A small variant is made from a larger one; it looks as if it were made from the image itself.
func TestVariantOfVariant(t *testing.T) {
	t.Parallel()
	content := jpegOf(t, gradient(900, 700))
	m := run(t, "a.jpg", content, `{"variants":[{"name":"s","size":100,"format":"png"},{"name":"l","size":500,"format":"png"},{"name":"m","size":400}]}`)
	if d := difference(made(t, run(t, "a.jpg", content, asPNG(100)), "out.png"), made(t, m, "s.png")); d > 12 {
		t.Errorf("differs by %d", d)
	}
	var names []string
	for _, v := range jobtest.Decode[handler.Result](t, m).Variants {
		names = append(names, fmt.Sprintf("%s %d×%d", v.Artifact, v.Width, v.Height))
	}
	if diff := cmp.Diff([]string{"s.png 100×78", "l.png 500×389", "m.jpg 400×311"}, names); diff != "" {
		t.Errorf("the order is that of the parameters (-want +got):\n%s", diff)
	}
}

// Whatever an image says of where and with what it was taken, no variant of it does.
func TestNoMetadata(t *testing.T) {
	t.Parallel()
	m := gradient(31, 17)
	profile := profileOf(secret, adobeRGB(), gamma(2.2))
	still := webpOf(t, m)
	params := `{"variants":[{"name":"a","size":20,"format":"jpeg"},{"name":"b","size":20,"format":"png"},{"name":"c","size":20,"format":"webp"}]}`
	for name, content := range map[string][]byte{
		"a.jpg": withSegments(jpegOf(t, m), "\xe1Exif\x00\x00"+exif(6), "\xe1http://ns.adobe.com/xap/1.0/\x00"+secret,
			"\xe2ICC_PROFILE\x00\x01\x01"+profile, "\xedPhotoshop 3.0\x00"+secret, "\xfe"+secret),
		"a.png":  withChunks(pngOf(t, m), iccp(t, profile), "eXIf"+exif(6), "tEXtGPS\x00"+secret),
		"a.webp": riff(vp8x(0x2C, 31, 17), "ICCP"+profile, string(still[12:16])+string(still[20:]), "EXIF"+exif(6), "XMP "+secret),
	} {
		got := run(t, name, content, params)
		if r := jobtest.Decode[handler.Result](t, got); r.Orientation != 6 || r.Profile != secret || !*r.Converted {
			t.Errorf("%s: the metadata is not read: %+v", name, r)
		}
		for artifact, a := range got.Artifacts {
			if bytes.Contains(a.Content, []byte(secret)) {
				t.Errorf("%s: %s holds the secret", name, artifact)
			}
			if tags := tagsOf(t, a); len(tags) > 0 {
				t.Errorf("%s: %s holds %v", name, artifact, tags)
			}
		}
	}
}

// tagsOf lists the metadata of an artifact, as another reader sees it.
func tagsOf(t *testing.T, a jobtest.Artifact) (tags []string) {
	t.Helper()
	format := map[string]imagemeta.ImageFormat{"image/jpeg": imagemeta.JPEG, "image/png": imagemeta.PNG, "image/webp": imagemeta.WebP}[a.MediaType]
	_, err := imagemeta.Decode(imagemeta.Options{
		R: bytes.NewReader(a.Content), ImageFormat: format, Sources: imagemeta.EXIF | imagemeta.IPTC | imagemeta.XMP,
		HandleTag: func(tag imagemeta.TagInfo) error {
			tags = append(tags, tag.Tag)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tags
}

// broken is an input whose end cannot be read.
type broken struct{ io.ReaderAt }

var errDisk = errors.New("the disk is gone")

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > 4096 {
		return 0, errDisk
	}
	return b.ReaderAt.ReadAt(p, off)
}

// An input that cannot be read is not the image's fault, and is tried again.
func TestUnreadableInput(t *testing.T) {
	t.Parallel()
	noise := image.NewNRGBA(image.Rect(0, 0, 100, 100)) // which no format makes small
	if _, err := rand.NewChaCha8([32]byte{}).Read(noise.Pix); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"a.jpg": jpegOf(t, noise), "a.png": pngOf(t, noise), "a.tiff": tiffOf(t, noise), "a.webp": webpOf(t, noise),
	} {
		m := jobtest.RunAt(t, spec.Image(), handler.New(), name, broken{bytes.NewReader(content)}, int64(len(content)), "")
		if !errors.Is(m.Err, errDisk) || jobs.IsPermanent(m.Err) {
			t.Errorf("%s: %v", name, m.Err)
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	cause := errors.New("cancelled by its sender")
	content := jpegOf(t, gradient(300, 300))
	for after := range 8 { // reports, each at another stage
		ctx, cancel := context.WithCancelCause(t.Context())
		r := &jobs.Run{
			File: jobs.File{Name: "a.jpg", Size: int64(len(content))}, Input: io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))),
			Recorder: &cancelling{after: after, cancel: func() { cancel(cause) }},
		}
		if after == 0 {
			cancel(cause)
		}
		_, err := handler.New().Handle(ctx, r)
		if ctx.Err() != nil && !errors.Is(err, cause) && err != nil {
			t.Errorf("after %d reports: %v", after, err)
		}
		if after < 2 && err == nil {
			t.Errorf("after %d reports: it goes on", after)
		}
		cancel(nil)
	}
}

// cancelling ends its run's context at one of the reports.
type cancelling struct {
	jobs.Recorder
	after  int
	cancel func()
}

func (c *cancelling) Progress(float64) {
	if c.after--; c.after == 0 {
		c.cancel()
	}
}

func (*cancelling) Artifact(ctx context.Context, _, _ string, content io.Reader) (jobs.Artifact, error) {
	_, err := io.Copy(io.Discard, content)
	return jobs.Artifact{}, errors.Join(err, context.Cause(ctx))
}

// What other real files there are: none makes the handler do anything but answer.
func TestSampleFolder(t *testing.T) {
	t.Parallel()
	folder := os.Getenv("LEAT_TEST_IMAGES")
	if folder == "" {
		t.Skip("LEAT_TEST_IMAGES names no folder of images")
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(paths) == 0 {
		t.Fatal("the folder is empty", err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m := run(t, filepath.Base(path), content, "")
		if code := m.Code(); code != "" && code != jobs.CodeMalformed && code != jobs.CodeUnsupported {
			t.Errorf("%s: %v", path, m.Err)
		}
		t.Log(strings.TrimPrefix(path, folder), m.Err, string(m.Result))
	}
}
