package document_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/document"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
)

// Real files; what they hold was compared with what pdfinfo and pdftotext say.
func TestRealPDFs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want  document.Result
		holds []string
		size  image.Point
	}{
		"annotation-text-without-popup.pdf": {document.Result{Pages: 1, Words: 5}, []string{"only with style option dvipdfmx"}, image.Pt(1024, 422)},
		"basicapi.pdf":                      {document.Result{Pages: 3, Title: "Basic API Test", Words: 31}, []string{"Table Of Content\nChapter 1", "Paragraph 1.1", "page 3 / 3"}, image.Pt(724, 1024)},
		"issue11578_reduced.pdf":            {document.Result{Pages: 1, Words: 1}, []string{"9ROXPHV"}, image.Pt(1024, 256)}, // has no ToUnicode
		"issue16221.pdf":                    {document.Result{Pages: 1, Words: 2}, []string{"Hello World"}, image.Pt(791, 1024)},
		"issue269_1.pdf":                    {document.Result{Pages: 1, Title: "layers"}, nil, image.Pt(1024, 1024)},
		"issue3879r.pdf":                    {document.Result{Pages: 1, Words: 2}, []string{"Issue 3879"}, image.Pt(1024, 256)},
		"tracemonkey-2.pdf":                 {document.Result{Pages: 2, Words: 1775}, []string{"more difficult to compile than", "Just-in-Time", "\fHence, recording and compiling a trace"}, image.Pt(791, 1024)},
		"encrypted-owner.pdf":               {document.Result{Pages: 1, Words: 2, Encrypted: true}, []string{"Issue 3879"}, image.Pt(1024, 256)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := made(t, name, readFile(t, name), "")
			got := jobtest.Decode[document.Result](t, m)
			c.want.Format, c.want.Artifacts = "pdf", []string{"text.txt", "pages.jsonl", "page-1.png"}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(document.Result{}, "Characters")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			checkPages(t, m, got)
			text := string(m.Artifacts["text.txt"].Content)
			for _, words := range c.holds {
				if !strings.Contains(text, words) {
					t.Errorf("no %q in %q", words, text)
				}
			}
			if size := pictureOf(t, m).Bounds().Size(); size != c.size {
				t.Errorf("the picture is %v, want %v", size, c.size)
			}
		})
	}
}

// checkPages checks that the artifacts of a PDF say the same as each other and as the result.
func checkPages(t *testing.T, m *jobtest.Made, result document.Result) {
	t.Helper()
	pages := strings.Split(string(m.Artifacts["text.txt"].Content), "\f")
	characters, words, n := 0, 0, 0
	for lines := bufio.NewScanner(bytes.NewReader(m.Artifacts["pages.jsonl"].Content)); lines.Scan(); n++ {
		var line struct {
			Page int    `json:"page"`
			Text string `json:"text"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Page != n+1 || n >= len(pages) || line.Text != pages[n] {
			t.Errorf("page %d is %q, want %q", line.Page, line.Text, pages[min(n, len(pages)-1)])
		}
		characters += len([]rune(line.Text))
		words += len(strings.Fields(line.Text))
	}
	if n != result.Pages || len(pages) != result.Pages || int64(characters) != result.Characters || int64(words) != result.Words {
		t.Errorf("%d lines and %d pages with %d characters and %d words: %+v", n, len(pages), characters, words, result)
	}
	if last := m.Progress[len(m.Progress)-1]; last <= 0 || last > 1 {
		t.Errorf("progress %v", m.Progress)
	}
}

func pictureOf(t *testing.T, m *jobtest.Made) image.Image {
	t.Helper()
	artifact := m.Artifacts["page-1.png"]
	if artifact.MediaType != "image/png" {
		t.Errorf("the picture is %q", artifact.MediaType)
	}
	picture, err := png.Decode(bytes.NewReader(artifact.Content))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

func TestEncryptedPDF(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pr6531_1.pdf", "encrypted-user.pdf", "encrypted-rc4.pdf"} {
		m := made(t, name, readFile(t, name), "")
		if m.Code() != jobs.CodeEncrypted || !jobs.IsPermanent(m.Err) || len(m.Artifacts) != 0 {
			t.Errorf("%s: %v, %d artifacts", name, m.Err, len(m.Artifacts))
		}
	}
	// A way of encryption that is not known.
	m := made(t, "a.pdf", pdfOf("/Encrypt << /Filter /Unknown /V 9 /R 9 >> /ID [(a)(b)]", "(Hello) Tj"), "")
	if m.Code() != jobs.CodeEncrypted {
		t.Errorf("unknown filter: %v", m.Err)
	}
}

func TestMaxPages(t *testing.T) {
	t.Parallel()
	pdf := pdfOf("", "(One) Tj", "(Two) Tj", "(Three) Tj")
	if m := made(t, "a.pdf", pdf, `{"max_pages":3}`); m.Err != nil || string(m.Artifacts["text.txt"].Content) != "One\fTwo\fThree" {
		t.Errorf("3 pages: %v, %q", m.Err, m.Artifacts["text.txt"].Content)
	}
	if m := made(t, "a.pdf", pdf, `{"max_pages":2}`); m.Code() != jobs.CodeLimitOutput || len(m.Artifacts) != 0 {
		t.Errorf("3 pages of 2: %v", m.Err)
	}
}

func TestFileLimit(t *testing.T) {
	t.Parallel()
	pdf := pdfOf("", "(One) Tj")
	handler := document.Limited(shared(), document.Limits{File: int64(len(pdf)) - 1})
	if m := jobtest.Run(t, spec.Document(), handler, "a.pdf", pdf, ""); m.Code() != jobs.CodeLimitMemory {
		t.Errorf("%v", m.Err)
	}
}

func TestPicture(t *testing.T) {
	t.Parallel()
	blue := stream("", "0 0 1 rg 0 0 10000 10000 re f")
	for what, c := range map[string]struct {
		pdf    []byte
		params string
		size   image.Point
		color  [3]uint32 // of the middle
	}{
		"white paper":      {pdfOf("", "(Hello) Tj"), `{"picture_size":100}`, image.Pt(100, 50), [3]uint32{0xFFFF, 0xFFFF, 0xFFFF}},
		"color":            {onePage("/MediaBox [0 0 300 400]", blue), `{"picture_size":64}`, image.Pt(48, 64), [3]uint32{0, 0, 0xFFFF}},
		"rotated":          {onePage("/MediaBox [0 0 300 400] /Rotate 90", blue), `{"picture_size":64}`, image.Pt(64, 48), [3]uint32{0, 0, 0xFFFF}},
		"transparent":      {onePage("/MediaBox [0 0 100 100] /Group << /S /Transparency /CS /DeviceRGB >>", stream("", "")), `{"picture_size":32}`, image.Pt(32, 32), [3]uint32{0xFFFF, 0xFFFF, 0xFFFF}},
		"a strip":          {onePage("/MediaBox [0 0 14400 1]", blue), `{"picture_size":64}`, image.Pt(64, 1), [3]uint32{0, 0, 0xFFFF}},
		"larger than life": {onePage("/MediaBox [0 0 1e30 1e30]", blue), `{"picture_size":64}`, image.Pt(49, 64), [3]uint32{0, 0, 0xFFFF}}, // is taken for a letter
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			picture := pictureOf(t, made(t, "a.pdf", c.pdf, c.params))
			if picture.Bounds().Size() != c.size {
				t.Errorf("%v, want %v", picture.Bounds().Size(), c.size)
			}
			r, g, b, a := picture.At(c.size.X/2, c.size.Y/4).RGBA()
			if [3]uint32{r, g, b} != c.color || a != 0xFFFF {
				t.Errorf("color %x %x %x %x", r, g, b, a)
			}
		})
	}
	m := made(t, "a.pdf", pdfOf("", "(Hello) Tj"), `{"picture":false}`)
	if got := jobtest.Decode[document.Result](t, m); len(m.Artifacts) != 2 || !cmp.Equal(got.Artifacts, []string{"text.txt", "pages.jsonl"}) {
		t.Errorf("no picture: %+v", got)
	}
}
