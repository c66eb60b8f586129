// Package sniff tells a file's media type from its first bytes. The upload API and the handlers
// share it, so that both give the same answer for the same file.
//
// It reads nothing but the bytes it is given and decodes no format. It imports nothing else of
// Leat.
package sniff

import (
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// Limit is the number of a file's first bytes that Type looks at.
const Limit = 4096

// Unknown is the type of content that nothing is known of.
const Unknown = "application/octet-stream"

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
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return mediaType
	}
	switch strings.ToLower(name[dot:]) {
	case ".csv":
		return "text/csv"
	case ".tsv", ".tab":
		return "text/tab-separated-values"
	case ".md", ".markdown":
		return "text/markdown"
	}
	return mediaType
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
