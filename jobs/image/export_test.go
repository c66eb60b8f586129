package image

import "github.com/leat-dev/leat/jobs"

// NewLimited is New with other limits.
func NewLimited(maxPixels, maxMemory int64) jobs.Handler { return newHandler(maxPixels, maxMemory) }

// Fit is for the test of what it promises.
func Fit(width, height, size int) (int, int) { return fit(width, height, size) }
