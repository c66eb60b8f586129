package inspect_test

import (
	"testing"

	"github.com/leat-dev/leat/jobs/inspect"
)

// P7: no content makes the handler fail or answer with something that is impossible or cannot be
// stored.
func FuzzInspect(f *testing.F) {
	for name, content := range samples(f) {
		f.Add(name, content)
	}
	handler := inspect.NewLimited(1 << 20)
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		result := handle(t, handler, newRun(name, content))
		if result.Size != int64(len(content)) || len(result.SHA256) != 64 || result.MediaType == "" {
			t.Errorf("%+v", result)
		}
		if text := result.Text; text != nil &&
			(text.Encoding == "" || text.LineEnding == "" || text.Lines < 0 || text.Lines > result.Size) {
			t.Errorf("%+v", text)
		}
		if image := result.Image; image != nil &&
			(image.Width < 1 || image.Height < 1 || image.Orientation < 1 || image.Orientation > 8 ||
				image.Frames < 1 || image.Frames > result.Size) {
			t.Errorf("%+v", image)
		}
		if archive := result.Archive; archive != nil &&
			(archive.Format == "" || archive.Entries < 0 || archive.UncompressedSize < 0 || archive.Entries > 1<<20) {
			t.Errorf("%+v", archive)
		}
	})
}
