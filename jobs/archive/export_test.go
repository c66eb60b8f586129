package archive

import "github.com/leat-dev/leat/jobs"

// NewLimited is New with lower limits, in bytes: on all that is unpacked, on one file, and on what a
// small archive may unpack to.
func NewLimited(bytes, file, free int64) jobs.Handler {
	return &handler{limits: limits{bytes: bytes, file: file, free: free}}
}

// CleanPath and Names are for tests of names alone.
func CleanPath(name string) (string, Reason) { return cleanPath(name) }

// Names gives the function that names the files of one archive.
func Names() func(clean string) string { return names{}.of }

// Window is for the test of its limit alone, since what it allows is allocated.
func Window(declared, size uint64) (int, error) { return window(declared, size) }
