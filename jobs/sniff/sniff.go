// Package sniff tells a file's media type from its first bytes. The upload API and the handlers
// share it, so that both give the same answer for the same file.
//
// It reads nothing but the bytes it is given and decodes no format. It imports nothing else of
// Leat.
package sniff

import (
	"path"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// Limit is the number of a file's first bytes that Type looks at.
const Limit = 4096

// Unknown is the type of content that nothing is known of.
const Unknown = "application/octet-stream"

const jsonLines = "application/x-ndjson"

// Type gives the media type, without parameters, of the file that starts with head: its first
// Limit bytes, or all of a shorter one. An empty file is text/plain.
//
// The content decides. The file's name is asked only when the content is plain text, and then only
// for kinds of text that have no signature and that no program runs or renders as more than text.
func Type(head []byte, name string) string {
	head = head[:min(len(head), Limit)]
	if narrow, ok := fromUTF16(head); ok {
		if found := detect(narrow); IsText(found) {
			return refine(found, name)
		}
	}
	return refine(detect(head), name)
}

func detect(head []byte) string {
	mediaType, _, _ := strings.Cut(mimetype.Detect(head).String(), ";")
	return mediaType
}

// refine makes plain text more exact by the extension of its name.
func refine(mediaType, name string) string {
	if mediaType != "text/plain" {
		return mediaType
	}
	if named := byName(name); named != "" {
		return named
	}
	return mediaType
}

// byName gives the kind of text that a name promises, "" for none.
func byName(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".csv":
		return "text/csv"
	case ".tsv", ".tab":
		return "text/tab-separated-values"
	case ".jsonl", ".ndjson":
		return jsonLines
	case ".md", ".markdown":
		return "text/markdown"
	}
	return ""
}

// Routes lists the media types by which the work on a file is chosen, the best first: that of its
// content, and where this says little, what the name promises. Content that nothing is known of may be
// damaged text. JSON lines of which the start shows no second record look like one JSON document. What
// is packed by gzip has a type of its own, such as text/csv+gzip.
func Routes(mediaType, name string) []string {
	named := byName(name)
	switch {
	case mediaType == Unknown && named != "":
		return []string{mediaType, named}
	case isJSON(mediaType) && named == jsonLines:
		return []string{named, mediaType}
	case mediaType == "application/gzip":
		if inner, ok := strings.CutSuffix(strings.ToLower(name), ".gz"); ok && byName(inner) != "" {
			return []string{byName(inner) + "+gzip", mediaType}
		}
	}
	return []string{mediaType}
}

// isJSON tells whether content of a media type is one JSON document.
func isJSON(mediaType string) bool {
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

// IsText reports whether a media type's content is text, as far as it can be told from the type:
// plain text and all that is written in it, such as CSV, JSON, XML, SVG and source code.
func IsText(mediaType string) bool {
	if strings.HasPrefix(mediaType, "text/") {
		return true
	}
	for m := mimetype.Lookup(mediaType); m != nil; m = m.Parent() {
		if m.Is("text/plain") {
			return true
		}
	}
	return false
}

// Extension gives the usual extension of files of a media type, with its dot, or "" when there is
// none.
func Extension(mediaType string) string {
	if mediaType == "text/markdown" {
		return ".md"
	}
	if m := mimetype.Lookup(mediaType); m != nil {
		return m.Extension()
	}
	return ""
}
