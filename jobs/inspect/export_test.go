package inspect

import "github.com/leat-dev/leat/jobs"

// NewLimited is New with another limit on what is unpacked, in bytes.
func NewLimited(maxUnpacked int64) jobs.Handler {
	return &handler{windows: make(chan struct{}, maxWindows), maxUnpacked: maxUnpacked}
}

// MaxWindows and Chunk are for tests that reach just beyond them.
const (
	MaxWindows = maxWindows
	Chunk      = chunk
)
