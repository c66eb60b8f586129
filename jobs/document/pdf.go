package document

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	pdfiumerrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
)

// pdf is one that is read.
type pdf struct {
	*instance
	src      *source
	document references.FPDF_DOCUMENT
}

// readPDF gives the text of each page, and a picture of the first.
func (h *handler) readPDF(src *source, out *output, params spec.DocumentParams) (result *Result, err error) {
	if src.Size() > h.limits.file {
		return nil, jobs.Fail(jobs.CodeLimitMemory, "the PDF has %d bytes, more than %d", src.Size(), h.limits.file)
	}
	instance, err := h.engine.start(src.ctx, h.limits.memory)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, instance.close()) }()
	file := &window{src: src}
	defer func() { file.src = nil }()
	p := &pdf{instance: instance, src: src}
	if result, err = p.open(file, params.MaxPages); err != nil {
		return nil, err
	}
	text := newTextWriter(out, h.limits.text)
	if result.Unreadable, err = p.readPages(text, out, result.Pages); err != nil {
		return nil, err
	}
	if result.Unreadable == result.Pages {
		return nil, jobs.Fail(jobs.CodeMalformed, "none of the PDF's %d pages can be read", result.Pages)
	}
	if *params.Picture {
		if err := p.makePicture(out, params.PictureSize); err != nil {
			return nil, err
		}
	}
	return text.count(result), nil
}

// open opens the file and tells about the document as a whole.
func (p *pdf) open(file *window, maxPages int) (*Result, error) {
	opened, err := p.OpenDocument(&requests.OpenDocument{FileReader: file, FileReaderSize: p.src.Size()})
	if err != nil {
		return nil, p.blame(err)
	}
	p.document = opened.Document
	pages, err := p.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: p.document})
	if err != nil {
		return nil, p.blame(err)
	}
	switch {
	case pages.PageCount < 1:
		return nil, jobs.Fail(jobs.CodeMalformed, "the PDF has no pages")
	case pages.PageCount > maxPages:
		return nil, jobs.Fail(jobs.CodeLimitOutput, "the PDF has %d pages, more than %d", pages.PageCount, maxPages)
	}
	security, err := p.FPDF_GetSecurityHandlerRevision(&requests.FPDF_GetSecurityHandlerRevision{Document: p.document})
	if err != nil {
		return nil, p.blame(err)
	}
	return &Result{
		Format: "pdf", Pages: pages.PageCount, Title: p.title(),
		Encrypted: security.SecurityHandlerRevision >= 0,
	}, nil
}

// title asks for the document's title. A document without one makes an error of its own, so that
// none counts here; if it was one that matters, what comes next fails too.
func (p *pdf) title() string {
	meta, err := p.FPDF_GetMetaText(&requests.FPDF_GetMetaText{Document: p.document, Tag: "Title"})
	if err != nil {
		return ""
	}
	return clip(meta.Value)
}

// pageText is a line of pages.jsonl.
type pageText struct {
	Page int    `json:"page"` // from 1
	Text string `json:"text"`
}

// readPages writes the pages' text. It tells how many of them could not be read, and are empty.
func (p *pdf) readPages(text *textWriter, out *output, pages int) (unreadable int, err error) {
	lines := json.NewEncoder(out.create(pagesName, "application/x-ndjson"))
	lines.SetEscapeHTML(false)
	for i := range pages {
		content, err := p.GetPageText(&requests.GetPageText{Page: p.page(i)})
		switch {
		case err == nil:
		case errors.Is(err, pdfiumerrors.ErrPage) && p.fatal() == nil:
			unreadable++
		default:
			return 0, p.blame(err)
		}
		page := pageText{Page: i + 1}
		if err == nil {
			page.Text = cleanPage(content.Text)
		}
		if i > 0 {
			if err := text.breakPage(); err != nil {
				return 0, err
			}
		}
		if err := errors.Join(text.writeString(page.Text), lines.Encode(page)); err != nil {
			return 0, err
		}
		out.run.Progress(float64(i+1) / float64(pages+1)) // the picture is the last step
	}
	return unreadable, nil
}

func (p *pdf) page(index int) requests.Page {
	return requests.Page{ByIndex: &requests.PageByIndex{Document: p.document, Index: index}}
}

// cleanPage gives a page's text with line feeds for line ends and no other control characters.
// Where a hyphen at a line's end parts a word, PDFium joins the lines and leaves a mark, U+0002 or
// U+FFFE; without it, the word is whole.
func cleanPage(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ', r == 0x7F, r == 0xFFFE, r == 0xFFFF:
			return -1
		}
		return r
	}, text)
}

// fatal tells why nothing more can be got from the instance, if so.
func (p *pdf) fatal() error {
	if ended := context.Cause(p.src.ctx); ended != nil {
		return ended
	}
	return p.src.Err()
}

// blame tells why PDFium failed.
func (p *pdf) blame(err error) error {
	if fatal := p.fatal(); fatal != nil {
		return fatal
	}
	switch {
	case errors.Is(err, pdfiumerrors.ErrPassword):
		return jobs.Fail(jobs.CodeEncrypted, "the PDF opens with a password only")
	case errors.Is(err, pdfiumerrors.ErrSecurity):
		return jobs.Fail(jobs.CodeEncrypted, "the PDF is encrypted in a way that is not known")
	case p.memory.refused:
		return jobs.Fail(jobs.CodeLimitMemory, "the PDF takes more than %d MiB of memory", p.memory.limit>>20)
	case errors.Is(err, pdfiumerrors.ErrFile), errors.Is(err, pdfiumerrors.ErrFormat):
		return jobs.Fail(jobs.CodeMalformed, "the PDF is damaged")
	case errors.Is(err, pdfiumerrors.ErrPage):
		return jobs.Fail(jobs.CodeMalformed, "a page of the PDF is damaged")
	}
	return jobs.Fail(jobs.CodeMalformed, "the PDF cannot be worked on")
}
