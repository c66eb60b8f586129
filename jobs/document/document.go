// Package document is the kind of work that gives the text of a document: of a PDF page by page,
// with a picture of the first page, of HTML as a reader sees it, and of plain text in UTF-8.
//
// PDF is read by PDFium, compiled to WebAssembly and run by wazero: in memory of its own that is
// bounded, without files, network or clock. HTML and plain text are read as streams. Content that
// is damaged, encrypted or hostile fails the job with a code.
//
// It imports package jobs, jobs/charset, jobs/input, jobs/sniff and jobs/spec, and nothing else of Leat.
package document

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/input"
	"github.com/leat-dev/leat/jobs/sniff"
	"github.com/leat-dev/leat/jobs/spec"
)

// Result is what the handler answers.
type Result struct {
	Format     string `json:"format"`               // "pdf", "html" or "text"
	Pages      int    `json:"pages,omitempty"`      // of a PDF
	Title      string `json:"title,omitempty"`      // as the document names itself
	Characters int64  `json:"characters"`           // of the text, without the breaks between pages
	Words      int64  `json:"words"`                // parts of the text that white space separates
	Encrypted  bool   `json:"encrypted"`            // a PDF that opens without a password all the same
	Unreadable int    `json:"unreadable,omitempty"` // pages of a PDF that are damaged; their text is empty
	Encoding   string `json:"encoding,omitempty"`   // of HTML and text, as it was read
	// Artifacts names the files that were made.
	Artifacts []string `json:"artifacts"`
}

// The names of the artifacts.
const (
	textName    = "text.txt"
	pagesName   = "pages.jsonl"
	pictureName = "page-1.png"
)

// maxTitle bounds a title, in characters.
const maxTitle = 1000

// limits bound what one run takes and makes.
type limits struct {
	file   int64  // bytes of a PDF
	memory uint64 // bytes that PDFium works in
	text   int64  // bytes of text.txt
	token  int    // bytes of one tag, comment or stretch of text in HTML
}

// defaultLimits are those of New. PDFium addresses a file with 32 bits.
func defaultLimits() limits {
	return limits{file: 2<<30 - 1, memory: 256 << 20, text: 1 << 30, token: 16 << 20}
}

// New returns the handler of the kind document. What PDFium's code is compiled to is kept in
// cacheDir, which is made when it is needed and must be writable by the owner of the process alone;
// when cacheDir is empty, it is kept in memory, and the first PDF of each process takes some
// seconds longer.
func New(cacheDir string) jobs.Handler {
	return newHandler(cacheDir, defaultLimits())
}

// Prepare compiles PDFium's code into cacheDir, so that a process which may write no file finds it
// there. It takes some seconds.
func Prepare(ctx context.Context, cacheDir string) error {
	i, err := newEngine(cacheDir).start(ctx, defaultLimits().memory)
	if err != nil {
		return err
	}
	return i.close()
}

func newHandler(cacheDir string, l limits) *handler {
	return &handler{engine: newEngine(cacheDir), limits: l}
}

type handler struct {
	engine *engine
	limits limits
}

// Handle answers with a *Result. It fails for good when the file is no document, or is one that
// cannot be read; an error in reading the input is tried again.
func (h *handler) Handle(ctx context.Context, run *jobs.Run) (any, error) {
	params, err := jobs.DecodeParams[spec.DocumentParams](run)
	if err != nil {
		return nil, err
	}
	src := &source{input.NewSource(ctx, run.Input), ctx}
	head, err := src.Head(sniff.Limit)
	if err != nil {
		return nil, err
	}
	out := &output{ctx: ctx, run: run}
	var result *Result
	switch format, mediaType := formatOf(head, run.File.Name); format {
	case "pdf":
		result, err = h.readPDF(src, out, params.WithDefaults())
	case "html":
		result, err = h.readHTML(src, out, head)
	case "text":
		result, err = h.readText(src, out)
	default:
		err = jobs.Fail(jobs.CodeUnsupported, "%s is not a type of document that can be read", mediaType)
	}
	if err = out.close(err); err != nil {
		return nil, err
	}
	result.Artifacts = out.names
	return result, nil
}

// formatOf tells what the file that starts with head is to be read as. Its name counts only where
// HTML is hard to tell from other text.
func formatOf(head []byte, name string) (format, mediaType string) {
	mediaType = sniff.Type(head, name)
	switch extension := strings.ToLower(path.Ext(name)); {
	case mediaType == "application/pdf":
		return "pdf", mediaType
	case mediaType == "text/html", mediaType == "application/xhtml+xml":
		return "html", mediaType
	case sniff.IsText(mediaType):
		if slices.Contains([]string{".html", ".htm", ".xhtml"}, extension) {
			return "html", mediaType
		}
		return "text", mediaType
	}
	return "", mediaType
}
