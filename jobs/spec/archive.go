package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"time"

	"github.com/leat-dev/leat/jobs"
)

const (
	// DefaultArchiveEntries is how many entries an archive may have when its sender names no number.
	DefaultArchiveEntries = 10_000
	// MaxArchiveEntries is the most that a sender may allow.
	MaxArchiveEntries = 100_000

	maxPatterns    = 100
	maxPatternSize = 255 // bytes
)

// ArchiveParams are the parameters of the kind archive.
type ArchiveParams struct {
	Kind       string          `json:"kind" required:"false" doc:"Kind of work for each file in the archive. auto, the default, chooses one by content, so that an archive in the archive is unpacked in its turn."`
	Params     json.RawMessage `json:"params,omitempty" doc:"Parameters for that kind, an object. Only with a kind other than auto."`
	Include    []string        `json:"include,omitempty" doc:"Patterns such as *.csv or data/*.csv; only files that match one are taken. A pattern without a slash is matched against the last part of a path. Letter case counts."`
	Exclude    []string        `json:"exclude,omitempty" doc:"Patterns in the same form; files that match one are left out."`
	MaxEntries int             `json:"max_entries" required:"false" doc:"The job fails when the archive has more entries than this, folders and all. 1 to 100000; 10000 when left out."`
}

// Archive is the kind that takes archives apart: each file in one becomes a file and a job of its
// own.
func Archive() jobs.Spec {
	return jobs.Spec{
		Name:    "archive",
		Version: 1,
		Summary: "Makes a file and a job of each file in a zip, tar, 7z, gz, bz2, xz or zst archive.",
		Params:  ArchiveParams{},
		MediaTypes: []string{
			"application/zip", "application/x-tar", "application/x-7z-compressed",
			"application/gzip", "application/x-bzip2", "application/x-xz", "application/zstd",
		},
		Timeout: time.Hour, // unpacks and stores some gigabytes
	}
}

// Validate checks the parameters and fills in what was left out, so that what means the same looks
// the same. Its errors are *jobs.ParamError.
func (p *ArchiveParams) Validate() error {
	if p.Kind == "" {
		p.Kind = jobs.Auto
	}
	if err := jobs.CheckName(p.Kind); err != nil {
		return &jobs.ParamError{Field: "kind", Reason: err.Error()}
	}
	if p.MaxEntries == 0 {
		p.MaxEntries = DefaultArchiveEntries
	}
	if p.MaxEntries < 1 || p.MaxEntries > MaxArchiveEntries {
		return &jobs.ParamError{Field: "max_entries", Reason: fmt.Sprintf("want 1 to %d", MaxArchiveEntries)}
	}
	if err := checkPatterns("include", p.Include); err != nil {
		return err
	}
	if err := checkPatterns("exclude", p.Exclude); err != nil {
		return err
	}
	return p.normalizeParams()
}

// normalizeParams brings the parameters for the entries' jobs into an order of their own.
func (p *ArchiveParams) normalizeParams() error {
	if len(p.Params) == 0 || bytes.Equal(p.Params, []byte("null")) {
		p.Params = nil
		return nil
	}
	if p.Kind == jobs.Auto {
		return &jobs.ParamError{Field: "params", Reason: "needs a kind other than auto: each kind takes others"}
	}
	d := json.NewDecoder(bytes.NewReader(p.Params))
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		return &jobs.ParamError{Field: "params", Reason: "want an object"}
	}
	sorted, err := json.Marshal(fields)
	if err != nil {
		return &jobs.ParamError{Field: "params", Reason: err.Error()}
	}
	p.Params = sorted
	return nil
}

func checkPatterns(field string, patterns []string) error {
	if len(patterns) > maxPatterns {
		return &jobs.ParamError{Field: field, Reason: fmt.Sprintf("want at most %d patterns", maxPatterns)}
	}
	for _, pattern := range patterns {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" || len(pattern) > maxPatternSize {
			return &jobs.ParamError{Field: field, Reason: fmt.Sprintf("%q is not a pattern of 1 to %d bytes", jobs.CleanName(pattern), maxPatternSize)}
		}
	}
	return nil
}
