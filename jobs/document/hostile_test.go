package document_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/document"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
)

func TestMalformedPDF(t *testing.T) {
	t.Parallel()
	whole := readFile(t, "basicapi.pdf")
	for what, content := range map[string][]byte{
		"a header alone":     []byte("%PDF-1.7\n"),
		"garbage":            append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte("garbage\x00\xff"), 10_000)...),
		"cut off early":      whole[:1000],
		"no pages":           objects("", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [] /Count 0 >>"),
		"no catalog":         objects("", "null"),
		"pages that are not": objects("", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [9 0 R 9 0 R] /Count 2 >>"),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := made(t, "a.pdf", content, "")
			if m.Code() != jobs.CodeMalformed || !jobs.IsPermanent(m.Err) || len(m.Artifacts) != 0 {
				t.Errorf("%v, %s, %d artifacts", m.Err, m.Result, len(m.Artifacts))
			}
		})
	}
}

// A file that is cut anywhere is read as far as it goes, or is malformed.
func TestTruncatedPDF(t *testing.T) {
	t.Parallel()
	whole := readFile(t, "basicapi.pdf")
	step := 1
	if testing.Short() {
		step = 4
	}
	for i := 0; i < 8; i += step {
		m := made(t, "a.pdf", whole[:len(whole)*(i+1)/9], `{"picture_size":64}`)
		if code := m.Code(); code != "" && code != jobs.CodeMalformed {
			t.Errorf("%d/9: %v", i+1, m.Err)
		}
	}
}

// Each of these is answered, within bounds, by what is there to be read or by the code.
func TestHostilePDF(t *testing.T) {
	if testing.Short() {
		t.Skip("left to make test-all: bombs and loops take long; TestMalformedPDF has the small ones")
	}
	t.Parallel()
	zeros := strings.Repeat("\x00", 100<<20)
	spaces := strings.Repeat(" ", 32<<20)
	plain := pdfOf("", "(Hello) Tj")
	start := bytes.LastIndex(plain, []byte("xref\n0"))
	image := func(entries, content string) []byte {
		return onePage("/MediaBox [0 0 100 100] /Resources << /XObject << /X 5 0 R >> >>", stream("", "100 0 0 100 0 0 cm /X Do"),
			stream("/Type /XObject /Subtype /Image "+entries, content))
	}
	ok, bad, big := jobs.Code(""), jobs.CodeMalformed, jobs.CodeLimitMemory
	for what, c := range map[string]struct {
		pdf   []byte
		codes []jobs.Code
	}{
		"xref loop":          {pdfOf(fmt.Sprintf("/Prev %d", start), "(Hello) Tj"), []jobs.Code{ok}},
		"xref far away":      {pdfOf("/Prev 4294967295", "(Hello) Tj"), []jobs.Code{ok}},
		"page tree loop":     {objects("", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"), []jobs.Code{bad}},
		"catalog as pages":   {objects("", "<< /Type /Catalog /Pages 1 0 R >>"), []jobs.Code{ok, bad}},
		"a lie about pages":  {objects("", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1000000 >>", "<< /Type /Page /Parent 2 0 R >>"), []jobs.Code{ok, jobs.CodeLimitOutput}},
		"form in itself":     {onePage("/Resources << /XObject << /X 5 0 R >> >>", stream("", "/X Do"), stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 5 0 R >> >>", "/X Do")), []jobs.Code{ok}},
		"length in a loop":   {onePage("", "<< /Length 4 0 R >>\nstream\nBT ET\nendstream"), []jobs.Code{ok, bad}},
		"deep arrays":        {onePage("/MediaBox "+strings.Repeat("[", 100_000), stream("", "")), []jobs.Code{ok, bad}},
		"deep dictionaries":  {pdfOf("/X "+strings.Repeat("<< /X ", 100_000), "(Hello) Tj"), []jobs.Code{ok, bad}},
		"deep marks":         {onePage("", stream("", strings.Repeat("q BT ", 100_000))), []jobs.Code{ok}},
		"Flate bomb":         {onePage("", stream("/Filter /FlateDecode", deflated(t, spaces))), []jobs.Code{ok, big}},
		"Flate bomb squared": {onePage("", stream("/Filter [/FlateDecode /FlateDecode]", deflated(t, deflated(t, spaces)))), []jobs.Code{ok, big}},
		"Flate bomb, image":  {image("/Width 10000 /Height 10000 /BitsPerComponent 8 /ColorSpace /DeviceGray /Filter /FlateDecode", deflated(t, zeros)), []jobs.Code{ok, big}},
		"a huge image":       {image("/Width 60000 /Height 60000 /BitsPerComponent 8 /ColorSpace /DeviceRGB", "x"), []jobs.Code{ok, big}},
		"JBIG2, garbage":     {image("/Width 100 /Height 100 /BitsPerComponent 1 /ColorSpace /DeviceGray /Filter /JBIG2Decode", strings.Repeat("\xff\x00JB2", 100)), []jobs.Code{ok}},
		"JBIG2, huge":        {image("/Width 60000 /Height 60000 /BitsPerComponent 1 /ColorSpace /DeviceGray /Filter /JBIG2Decode", jbig2Page(60_000, 60_000)), []jobs.Code{ok, big}},
		"JPX, garbage":       {image("/Width 100 /Height 100 /Filter /JPXDecode", "\x00\x00\x00\x0cjP  \r\n\x87\n"+strings.Repeat("x", 100)), []jobs.Code{ok}},
		"a font of garbage":  {onePage("/Resources << /Font << /F 5 0 R >> >>", stream("", "BT /F 9 Tf (Hello) Tj ET"), "<< /Type /Font /Subtype /TrueType /FontDescriptor 6 0 R >>", "<< /Type /FontDescriptor /FontFile2 7 0 R >>", stream("", strings.Repeat("\x00\x01", 1000))), []jobs.Code{ok}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := made(t, "a.pdf", c.pdf, `{"picture_size":64}`)
			if !slices.Contains(c.codes, m.Code()) {
				t.Errorf("%v, %s", m.Err, m.Result)
			}
		})
	}
}

// jbig2Page is the segment that begins a JBIG2 page of a size.
func jbig2Page(width, height uint32) string {
	b := []byte{0, 0, 0, 0, 0x30, 0, 1, 0, 0, 0, 19}
	for _, v := range []uint32{width, height, 0, 0} {
		b = append(b, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return string(append(b, 0, 0, 0))
}

// Text that no map to Unicode explains is text of some kind, with no characters that cannot be
// stored.
func TestNoToUnicode(t *testing.T) {
	t.Parallel()
	pdf := onePage("/MediaBox [0 0 100 100] /Resources << /Font << /F 5 0 R >> >>",
		stream("", "BT /F 9 Tf <00000001FFFED800DC000041> Tj ET"),
		"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H /DescendantFonts [6 0 R] >>",
		"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>")
	m := made(t, "a.pdf", pdf, "")
	if m.Err != nil {
		t.Fatal(m.Err)
	}
	if text := string(m.Artifacts["text.txt"].Content); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) {
		t.Errorf("%q", text)
	}
}

// A title is short, whatever its document says, and holds what can be stored.
func TestTitles(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"(Hello)":                          "Hello",
		"( A\\n  B\\t)":                    "A B",
		"<FEFF00410000004200E9>":           "A Bé",
		"(" + strings.Repeat("x", 9) + ")": strings.Repeat("x", 9),
		"(" + strings.Repeat("x", document.MaxTitle+9) + ")": strings.Repeat("x", document.MaxTitle),
		"[1 2 3]": "", "9 0 R": "",
	} {
		pdf := objects("/Info 4 0 R", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
			"<< /Type /Page /Parent 2 0 R >>", "<< /Title "+raw+" >>")
		got := jobtest.Decode[document.Result](t, made(t, "a.pdf", pdf, `{"picture":false}`))
		if got.Title != want {
			t.Errorf("%.30s: %q, want %q", raw, got.Title, want)
		}
	}
}

// A page that is damaged is empty, and the others are read.
func TestUnreadablePages(t *testing.T) {
	t.Parallel()
	pdf := bytes.Replace(pdfOf("", "(One) Tj", "(Two) Tj"), []byte("/Type /Page /Parent"), []byte("/Typo /Pane /Parent"), 1)
	pdf = bytes.Replace(pdf, []byte("4 0 obj\n<<"), []byte("4 0 obj\n()"), 1)
	m := made(t, "a.pdf", pdf, "")
	got := jobtest.Decode[document.Result](t, m)
	if text := string(m.Artifacts["text.txt"].Content); text != "\fTwo" || got.Unreadable != 1 || got.Pages != 2 {
		t.Errorf("%q, %+v", text, got)
	}
	if _, ok := m.Artifacts["page-1.png"]; ok {
		t.Error("there is a picture of a page that cannot be read")
	}
}

// A document that takes more memory than there is fails with the code for that.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	handler := document.Limited(shared(), document.Limits{Memory: 24 << 20})
	text := strings.Repeat("BT /F 1 Tf (Hello, world) Tj ET\n", 200_000)
	pdf := onePage("/MediaBox [0 0 100 100] /Resources << /Font << /F 5 0 R >> >>", stream("/Filter /FlateDecode", deflated(t, text)), font)
	m := jobtest.Run(t, spec.Document(), handler, "a.pdf", pdf, "")
	if m.Code() != jobs.CodeLimitMemory || len(m.Artifacts) != 0 {
		t.Errorf("%v, %d artifacts", m.Err, len(m.Artifacts))
	}
}

// A run ends with its context even while PDFium works on a document without end.
func TestEndsWithoutEnd(t *testing.T) {
	t.Parallel()
	warm := made(t, "a.pdf", pdfOf("", "(Hello) Tj"), "") // compiles, which takes longer than this may
	if warm.Err != nil {
		t.Fatal(warm.Err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	pdf := laughs(20)
	answer, err := shared().Handle(ctx, newRun("a.pdf", bytes.NewReader(pdf), int64(len(pdf)), &recorder{}))
	if !errors.Is(err, context.DeadlineExceeded) || jobs.IsPermanent(err) {
		t.Errorf("%v, %v", answer, err)
	}
	// And what it leaves behind is as good as new.
	if again := made(t, "a.pdf", pdfOf("", "(Hello) Tj"), ""); again.Err != nil {
		t.Error(again.Err)
	}
}

// hole is a large file with a PDF at its end, behind a comment.
type hole struct {
	tail []byte
	size int64
	most int // the most that was asked for at once
}

// newHole moves a PDF to the end of a file, which its offsets must know of.
func newHole(pdf []byte, size int64) *hole {
	by := size - int64(len(pdf))
	pdf = regexp.MustCompile(`\d{10} 00000 n|startxref\n\d+`).ReplaceAllFunc(pdf, func(match []byte) []byte {
		var off int64
		if _, err := fmt.Sscanf(string(match), "startxref\n%d", &off); err == nil {
			return fmt.Appendf(nil, "startxref\n%d", off+by)
		}
		if _, err := fmt.Sscanf(string(match), "%d", &off); err != nil {
			panic(err)
		}
		return fmt.Appendf(nil, "%010d 00000 n", off+by)
	})
	return &hole{tail: pdf, size: by + int64(len(pdf))}
}

func (h *hole) ReadAt(p []byte, off int64) (int, error) {
	h.most = max(h.most, len(p))
	n := int(min(int64(len(p)), h.size-off))
	for i := range n {
		p[i] = 'x'
	}
	const head = "%PDF-1.7\n%"
	if off < int64(len(head)) {
		copy(p[:n], head[off:])
	}
	if at := off - (h.size - int64(len(h.tail))); at >= 0 {
		copy(p[:n], h.tail[at:])
	} else if -at < int64(n) {
		copy(p[-at:n], h.tail)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// A large file is read in parts, where it is. Live memory of the whole process is measured, so the
// test runs alone.
func TestLargePDF(t *testing.T) { //nolint:paralleltest // as said
	if testing.Short() {
		t.Skip("left to make test-all: a PDF of a GiB")
	}
	const size = 1 << 30
	file := newHole(pdfOf("", "(Hello) Tj"), size)
	run := newRun("a.pdf", file, file.size, &recorder{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	answer, err := shared().Handle(t.Context(), run)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if result, ok := answer.(*document.Result); !ok || result.Characters != 5 {
		t.Errorf("%+v", answer)
	}
	if file.most > 1<<20 {
		t.Errorf("%d bytes were read at once", file.most)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("%d bytes stay in use", grown)
	}
}
