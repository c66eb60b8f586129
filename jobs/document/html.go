package document

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	htmlcharset "golang.org/x/net/html/charset"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/charset"
)

// xhtmlNamespace stands at the start of a page that is written as XHTML, whatever it is sent as.
const xhtmlNamespace = "http://www.w3.org/1999/xhtml"

// readHTML gives the text that a reader sees, roughly as a browser would copy it. It looks at one
// tag or stretch of text at a time, and builds no tree.
func (h *handler) readHTML(src *source, out *output, head []byte) (*Result, error) {
	meter := &meter{report: out.run.Progress, total: src.Size()}
	encoding := declared(head)
	if encoding == "" {
		var err error
		meter.total *= 2
		if encoding, err = charset.Detect(src.stream(meter)); err != nil {
			return nil, err
		}
	}
	decoded, err := decode(src, meter, encoding)
	if err != nil {
		return nil, err
	}
	text := newTextWriter(out, h.limits.text)
	page := &htmlReader{to: text, xml: bytes.Contains(head, []byte(xhtmlNamespace))}
	tokens := html.NewTokenizer(decoded)
	tokens.SetMaxBuf(h.limits.token)
	if err := page.read(tokens); err != nil {
		return nil, err
	}
	return text.count(&Result{Format: "html", Title: clip(page.title), Encoding: encoding}), nil
}

// declared names the encoding that the start of an HTML file declares, by a mark or by a meta
// element, or gives "" when it does not.
func declared(head []byte) string {
	if name := charset.Marked(head); name != "" {
		return name
	}
	// Where nothing is declared, DetermineEncoding guesses, by what is above ASCII. Only a name that it gives
	// whatever that is was declared.
	const above = "é "
	plain := bytes.Clone(head[:min(len(head), 1024-len(above))]) // about as far as browsers look
	for i := range plain {
		plain[i] = min(plain[i], utf8.RuneSelf-1)
	}
	_, name, _ := htmlcharset.DetermineEncoding(plain, "")
	if _, other, _ := htmlcharset.DetermineEncoding(append([]byte(above), plain...), ""); other != name {
		return ""
	}
	return name
}

// htmlReader turns tokens into text.
type htmlReader struct {
	to      *textWriter
	xml     bool // it is XHTML
	title   string
	titled  bool      // the first title element was there
	inTitle bool      // a title element is open
	skipped atom.Atom // the element whose content is left out
	depth   int       // how many of it are open within each other
	pre     int       // how many elements are open that keep white space
	line    bool      // the line has text
	some    bool      // any line has
	space   bool      // white space is due before the next text
	newline bool      // a line end is due before the next text
	tab     bool      // a tab is due before the next text
}

func (h *htmlReader) read(tokens *html.Tokenizer) error {
	for {
		var err error
		switch tokens.Next() {
		case html.ErrorToken:
			switch err := tokens.Err(); {
			case errors.Is(err, io.EOF):
				return nil
			case errors.Is(err, html.ErrBufferExceeded):
				return jobs.Fail(jobs.CodeLimitMemory, "a tag, a comment or a stretch of text is longer than is allowed")
			default:
				return err
			}
		case html.TextToken:
			err = h.text(tokens)
		case html.StartTagToken:
			name, _ := tokens.TagName()
			err = h.start(atom.Lookup(name))
		case html.SelfClosingTagToken:
			name, _ := tokens.TagName()
			err = h.selfClosing(tokens, atom.Lookup(name))
		case html.EndTagToken:
			name, _ := tokens.TagName()
			h.end(atom.Lookup(name))
		case html.CommentToken, html.DoctypeToken:
		}
		if err != nil {
			return err
		}
	}
}

// selfClosing takes a tag such as <br/>. In XHTML and in drawings it closes the element, whose content the
// tokenizer must then not look for; in HTML it is a start tag like any other.
func (h *htmlReader) selfClosing(tokens *html.Tokenizer, element atom.Atom) error {
	if !h.xml && element != atom.Svg && h.skipped != atom.Svg {
		return h.start(element)
	}
	tokens.NextIsNotRawText()
	if err := h.start(element); err != nil {
		return err
	}
	h.end(element)
	return nil
}

// start opens an element.
func (h *htmlReader) start(element atom.Atom) error {
	switch {
	case h.skipped != 0:
		if element == h.skipped {
			h.depth++
		}
		return nil
	case isHidden(element):
		h.skipped, h.depth = element, 1
		return nil
	case element == atom.Title:
		h.inTitle = true
		return nil
	case element == atom.Br:
		return h.breakLine()
	}
	h.bound(element)
	if isPre(element) {
		h.pre++
	}
	return nil
}

// end closes an element.
func (h *htmlReader) end(element atom.Atom) {
	switch {
	case h.skipped != 0:
		if element == h.skipped {
			if h.depth--; h.depth == 0 {
				h.skipped = 0
			}
		}
		return
	case element == atom.Title:
		h.titled, h.inTitle = h.titled || h.inTitle, false
		return
	}
	h.bound(element)
	if isPre(element) && h.pre > 0 {
		h.pre--
	}
}

// bound takes note of where an element begins or ends.
func (h *htmlReader) bound(element atom.Atom) {
	switch {
	case isBlock(element):
		h.newline = true
	case element == atom.Td, element == atom.Th:
		h.tab = h.line
	}
}

// breakLine ends a line, be it empty or not.
func (h *htmlReader) breakLine() error {
	if !h.some {
		return nil
	}
	if h.newline && h.line {
		if err := h.to.write('\n'); err != nil {
			return err
		}
	}
	h.line, h.newline, h.space, h.tab = false, false, false, false
	return h.to.write('\n')
}

func (h *htmlReader) text(tokens *html.Tokenizer) error {
	switch {
	case h.skipped != 0:
		return nil
	case h.inTitle:
		if !h.titled {
			h.title += string(tokens.Text())
		}
		return nil
	}
	for _, r := range string(tokens.Text()) {
		if err := h.character(r); err != nil {
			return err
		}
	}
	return nil
}

func (h *htmlReader) character(r rune) error {
	switch r {
	case ' ', '\t', '\n', '\r', '\f':
		if h.pre == 0 {
			h.space = true
			return nil
		}
		if r == '\n' {
			return h.breakLine()
		}
	case 0:
		r = replacement
	}
	if err := h.gap(); err != nil {
		return err
	}
	h.line, h.some = true, true
	return h.to.write(r)
}

// gap writes what is due between the last text and the next.
func (h *htmlReader) gap() error {
	due := rune(0)
	switch {
	case h.newline && h.line:
		due = '\n'
	case h.newline || !h.line:
	case h.tab:
		due = '\t'
	case h.space:
		due = ' '
	}
	h.newline, h.tab, h.space = false, false, false
	if due == 0 {
		return nil
	}
	return h.to.write(due)
}

// isHidden tells whether an element holds what is not text, or is not shown.
func isHidden(element atom.Atom) bool {
	return slices.Contains([]atom.Atom{
		atom.Script, atom.Style, atom.Template, atom.Noscript, atom.Iframe, atom.Noembed, atom.Noframes, atom.Svg,
	}, element)
}

func isPre(element atom.Atom) bool {
	return element == atom.Pre || element == atom.Textarea || element == atom.Xmp || element == atom.Listing || element == atom.Plaintext
}

// isBlock tells whether an element begins and ends lines.
func isBlock(element atom.Atom) bool {
	return slices.Contains([]atom.Atom{
		atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Body, atom.Caption, atom.Center,
		atom.Dd, atom.Details, atom.Dialog, atom.Dir, atom.Div, atom.Dl, atom.Dt, atom.Fieldset,
		atom.Figcaption, atom.Figure, atom.Footer, atom.Form, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5,
		atom.H6, atom.Head, atom.Header, atom.Hgroup, atom.Hr, atom.Html, atom.Legend, atom.Li, atom.Listing,
		atom.Main, atom.Menu, atom.Nav, atom.Ol, atom.Optgroup, atom.Option, atom.P, atom.Plaintext, atom.Pre,
		atom.Search, atom.Section, atom.Select, atom.Summary, atom.Table, atom.Tbody, atom.Textarea,
		atom.Tfoot, atom.Thead, atom.Title, atom.Tr, atom.Ul, atom.Xmp,
	}, element)
}
