package sqlite

import (
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Options say where the database is and how to use it. Only Path is required.
type Options struct {
	// Path is the database's file, or its URL: sqlite:///folder/file. The file is made where there
	// is none, its folder is not.
	Path string
	// Readers bounds the connections that read, DefaultReaders when 0.
	Readers int
	// StatementTimeout bounds each transaction, the wait for its connection included;
	// DefaultStatementTimeout when 0.
	StatementTimeout time.Duration
	// Now is the store's clock, by which run_at, leases and ages are counted; time.Now when nil.
	Now func() time.Time
	// SkipMigrate leaves the schema alone: Open fails when it is too old.
	SkipMigrate bool
	// Logger gets the few lines that the store has to say; nil means none.
	Logger *slog.Logger
}

// What zero options mean.
const (
	DefaultReaders          = 4
	DefaultStatementTimeout = 10 * time.Second
)

// OptionError says which option does not fit.
type OptionError struct {
	Option string // the field of Options
	Reason string
}

// Error names the option and the reason.
func (e *OptionError) Error() string {
	return fmt.Sprintf("sqlite: option %s: %s", e.Option, e.Reason)
}

func (o *Options) complete() error {
	path, err := parsePath(o.Path)
	if err != nil {
		return err
	}
	o.Path = path
	switch {
	case o.Readers < 0:
		return &OptionError{"Readers", "is negative"}
	case o.StatementTimeout < 0:
		return &OptionError{"StatementTimeout", "is negative"}
	}
	if o.Readers == 0 {
		o.Readers = DefaultReaders
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = DefaultStatementTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// parsePath makes a path, or a sqlite URL, an absolute path.
func parsePath(text string) (string, error) {
	path := text
	if strings.HasPrefix(text, "sqlite:") {
		u, err := url.Parse(text)
		if err != nil {
			return "", &OptionError{"Path", err.Error()}
		}
		if u.Host != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
			return "", &OptionError{"Path", fmt.Sprintf("%q is not of the form sqlite:///folder/file", text)}
		}
		path = filepath.FromSlash(u.Path)
		if drive := path[min(1, len(path)):]; filepath.VolumeName(drive) != "" { // sqlite:///C:/folder/file
			path = drive
		}
	}
	if path == "" || path == "/" || path == ":memory:" {
		return "", &OptionError{"Path", "names no file"}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", &OptionError{"Path", err.Error()}
	}
	return path, nil
}
