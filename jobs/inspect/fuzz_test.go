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
		if text := result.Text; text != nil && !isPossible(*text, result.Size) {
			t.Errorf("%+v", text)
		}
		if image := result.Image; image != nil && !isPossiblePicture(*image, result.Size) {
			t.Errorf("%+v", image)
		}
		if archive := result.Archive; archive != nil && !isPossibleArchive(*archive) {
			t.Errorf("%+v", archive)
		}
	})
}

func isPossible(text inspect.Text, size int64) bool {
	return text.Encoding != "" && text.LineEnding != "" && 0 <= text.Lines && text.Lines <= size
}

func isPossiblePicture(i inspect.Image, size int64) bool {
	return i.Format != "" && i.Width > 0 && i.Height > 0 && 1 <= i.Orientation && i.Orientation <= 8 && 1 <= i.Frames && i.Frames <= size
}

func isPossibleArchive(a inspect.Archive) bool {
	return a.Format != "" && 0 <= a.Entries && a.Entries <= 1<<20 && a.UncompressedSize >= 0
}
