package image

import (
	"context"
	"image"

	"github.com/leat-dev/leat/jobs"
)

// NewLimited is New with other limits.
func NewLimited(maxPixels, maxMemory int64) jobs.Handler { return newHandler(maxPixels, maxMemory) }

// Fit is for the test of what it promises.
func Fit(width, height, size int) (int, int) { return fit(width, height, size) }

// Scaled makes a smaller picture of one without transparency: in its planes where that can be done,
// or by way of red, green and blue.
func Scaled(ctx context.Context, picture image.Image, width, height int, inPlanes bool) (*image.NRGBA, error) {
	s := &shot{picture: picture, canvas: picture.Bounds(), coding: fullCoding(), opaque: inPlanes, orientation: 1}
	return s.scaled(ctx, width, height)
}
