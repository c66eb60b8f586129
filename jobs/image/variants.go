package image

import (
	"cmp"
	"context"
	"image"
	"slices"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
)

// makeAll makes the variants, the largest first: one that is small enough is made from the one
// before it, which is quicker than to go over the whole image again.
func makeAll(ctx context.Context, run *jobs.Run, s *shot, variants []spec.ImageVariant) ([]Variant, error) {
	order := make([]int, len(variants))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(variants[b].Size, variants[a].Size) })
	made := make([]Variant, len(variants))
	size := s.canvas.Size()
	if s.orientation >= 5 {
		size.X, size.Y = size.Y, size.X
	}
	transparent := false
	var last *image.NRGBA
	for done, i := range order {
		v := variants[i]
		width, height := fit(size.X, size.Y, v.Size)
		var err error
		if last == nil || max(last.Rect.Dx(), last.Rect.Dy()) < 2*max(width, height) {
			last, err = s.scaled(ctx, width, height)
		} else {
			last, err = again(last).scaled(ctx, width, height)
		}
		if err != nil {
			return nil, err
		}
		if done == 0 { // of the smaller ones, some might have lost a speck
			transparent = !s.opaque && !last.Opaque()
		}
		if made[i], err = store(ctx, run, last, v, transparent); err != nil {
			return nil, err
		}
		run.Progress(decoding + (1-decoding)*float64(done+1)/float64(len(order)))
	}
	return made, nil
}

// again takes a variant as a picture to make another of.
func again(made *image.NRGBA) *shot {
	return &shot{picture: made, canvas: made.Rect, orientation: 1}
}

// scaled makes the picture of a size, as it is to be shown: upright and in sRGB.
func (s *shot) scaled(ctx context.Context, width, height int) (*image.NRGBA, error) {
	if s.orientation >= 5 {
		width, height = height, width
	}
	out, err := resample(ctx, reduce(s, width, height), width, height)
	if err != nil {
		return nil, err
	}
	if s.convert != nil {
		s.convert(out)
	}
	return upright(out, s.orientation), nil
}
