package spec

import (
	"fmt"
	"time"

	"github.com/leat-dev/leat/jobs"
)

// The bounds of DocumentParams.
const (
	minPictureSize, maxPictureSize, defaultPictureSize = 16, 4096, 1024
	maxMaxPages, defaultMaxPages                       = 100_000, 5000
)

// DocumentParams are the parameters of the kind document.
type DocumentParams struct {
	Picture     *bool `json:"picture,omitempty" doc:"Whether to make a picture of a PDF's first page; true when left out."`
	PictureSize int   `json:"picture_size,omitempty" doc:"The picture's longer side in pixels, 16 to 4096; 1024 when left out or 0."`
	MaxPages    int   `json:"max_pages,omitempty" doc:"The most pages that a PDF may have, 1 to 100000; 5000 when left out or 0."`
}

// Validate checks the parameters, and fills in those that were left out. Its errors are
// *jobs.ParamError.
func (p *DocumentParams) Validate() error {
	*p = p.WithDefaults()
	switch {
	case p.PictureSize < minPictureSize || p.PictureSize > maxPictureSize:
		return &jobs.ParamError{Field: "picture_size", Reason: fmt.Sprintf("want %d to %d pixels, got %d", minPictureSize, maxPictureSize, p.PictureSize)}
	case p.MaxPages < 1 || p.MaxPages > maxMaxPages:
		return &jobs.ParamError{Field: "max_pages", Reason: fmt.Sprintf("want 1 to %d pages, got %d", maxMaxPages, p.MaxPages)}
	}
	return nil
}

// WithDefaults gives the parameters with those filled in that were left out.
func (p DocumentParams) WithDefaults() DocumentParams {
	if p.Picture == nil {
		p.Picture = new(true)
	}
	if p.PictureSize == 0 {
		p.PictureSize = defaultPictureSize
	}
	if p.MaxPages == 0 {
		p.MaxPages = defaultMaxPages
	}
	return p
}

// Document is the kind that gives the text of PDF and HTML files, and of plain text when it is
// asked to: Auto leaves plain text to others, since most of it is code, data or a log.
func Document() jobs.Spec {
	return jobs.Spec{
		Name:        "document",
		Version:     1,
		Summary:     "Gives the text of PDF, HTML and plain text files in UTF-8, and of PDF files the pages and a picture of the first.",
		Params:      DocumentParams{},
		MediaTypes:  []string{"application/pdf", "application/xhtml+xml", "text/html"},
		Reusable:    true,
		Timeout:     10 * time.Minute,
		Concurrency: 2, // a PDF may take some hundred megabytes
	}
}
