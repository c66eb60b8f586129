package archive

import (
	"errors"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"

	"github.com/leat-dev/leat/jobs"
)

// The limits of one run, besides the number of entries, which is a parameter. What the jobs of a
// whole tree may make together is the worker's to bound.
const (
	// MaxBytes bounds all that is unpacked, in bytes, whether it is taken or skipped.
	MaxBytes = 16 << 30
	// MaxFile bounds one file, in bytes.
	MaxFile = 8 << 30
	// MaxRatio bounds how many times its own size an archive may unpack to, once it unpacks to more
	// than FreeBytes.
	MaxRatio = 200
	// FreeBytes is what even the smallest archive may unpack to, in bytes: text of few different
	// lines shrinks to less than a hundredth.
	FreeBytes = 64 << 20
	// MaxXZWindow, MaxZstdWindow and Max7zWindow bound what a decompressor may keep of its output, in
	// bytes: enough for xz -9, for zstd --ultra -22 and --long=27, and for 7z -mx=9.
	MaxXZWindow   = 64 << 20
	MaxZstdWindow = 128 << 20
	Max7zWindow   = 256 << 20
	// MaxPath bounds an entry's path, in bytes.
	MaxPath = 4096
	// MaxHeader bounds a 7z archive's directory, in bytes, unpacked. It is read as a whole.
	MaxHeader = 16 << 20
)

// limits are the ones that tests set lower.
type limits struct {
	bytes, file, free int64
}

func defaultLimits() limits { return limits{bytes: MaxBytes, file: MaxFile, free: FreeBytes} }

// budget is how much an archive of size bytes may unpack to.
func (l limits) budget(size int64) int64 {
	if size > l.bytes/MaxRatio {
		return l.bytes
	}
	return min(l.bytes, max(l.free, MaxRatio*size))
}

// isWindow tells whether a decompressor gave up because it would have had to keep too much.
func isWindow(err error) bool {
	return errors.Is(err, xz.ErrMemlimit) || errors.Is(err, zstd.ErrWindowSizeExceeded) ||
		errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, errWindow)
}

var (
	errWindow   = errors.New("needs a window that is too large")
	errShort    = errors.New("holds less than its header says")
	errLong     = errors.New("holds more than its header says")
	errChecksum = errors.New("does not have the checksum that its header says")
)

func failBytes(limit int64) error {
	return jobs.Fail(jobs.CodeLimitOutput, "the archive unpacks to more than the %d bytes that one of its size may", limit)
}
