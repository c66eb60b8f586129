package document_test

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"strings"
	"testing"
)

// objects puts a PDF together: the objects are numbered from 1, and the first is the catalog.
func objects(trailer string, list ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	offsets := make([]int, len(list))
	for i, object := range list {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(list)+1)
	for _, off := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", off)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n", len(list)+1, trailer, start)
	return b.Bytes()
}

// stream makes a stream object.
func stream(dictionary, content string) string {
	return fmt.Sprintf("<< %s /Length %d >>\nstream\n%s\nendstream", dictionary, len(content), content)
}

func deflated(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"

// pdfOf makes a PDF with a page for each of the contents, which show text in Helvetica.
func pdfOf(trailer string, contents ...string) []byte {
	kids, list := "", []string{"<< /Type /Catalog /Pages 2 0 R >>", "", font}
	for _, content := range contents {
		page := len(list) + 1
		kids += fmt.Sprintf("%d 0 R ", page)
		list = append(list, fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] /Contents %d 0 R /Resources << /Font << /F 3 0 R >> >> >>", page+1),
			stream("", "BT /F 12 Tf 20 50 Td "+content+" ET"))
	}
	list[1] = fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d >>", kids, len(contents))
	return objects(trailer, list...)
}

// onePage makes a PDF whose one page has the dictionary's entries, content and further objects,
// which are numbered from 5.
func onePage(entries, content string, more ...string) []byte {
	return objects("", append([]string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /Contents 4 0 R " + entries + " >>",
		content,
	}, more...)...)
}

// laughs makes a page whose content draws a form that draws another ten times, and so on: work
// without end in a small file.
func laughs(depth int) []byte {
	var more []string
	for i := range depth {
		more = append(more, stream(fmt.Sprintf("/Type /XObject /Subtype /Form /BBox [0 0 100 100] /Resources << /XObject << /X %d 0 R >> >>", 6+i),
			strings.Repeat("/X Do ", 20)))
	}
	more = append(more, stream("/Type /XObject /Subtype /Form /BBox [0 0 100 100]", "0 0 10 10 re f"))
	return onePage("/MediaBox [0 0 100 100] /Resources << /XObject << /X 5 0 R >> >>", stream("", "/X Do"), more...)
}
