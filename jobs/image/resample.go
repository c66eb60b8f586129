package image

import (
	"context"
	"image"
	"math"
)

// resample makes a picture of a size from a reduced one, with the Catmull-Rom filter. It keeps as
// many rows as the filter spans.
func resample(ctx context.Context, r *reduced, width, height int) (*image.NRGBA, error) {
	across, down := newTaps(r.columns, r.width, width), newTaps(r.rows, r.height, height)
	out := image.NewNRGBA(image.Rect(0, 0, width, height))
	kept := make([][]float32, down.most())
	for i := range kept {
		kept[i] = make([]float32, 4*width)
	}
	row, sums := make([]float32, 4*r.columns), make([]float32, 4*width)
	read := 0
	for y := range height {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		first, weights := down.of(y)
		for ; read < first+len(weights); read++ {
			r.next(row)
			across.apply(kept[read%len(kept)], row)
		}
		clear(sums)
		for i, w := range weights {
			addRow(sums, kept[(first+i)%len(kept)], w)
		}
		round(out.Pix[y*out.Stride:], sums)
	}
	return out, nil
}

func addRow(sums, row []float32, weight float32) {
	row = row[:len(sums)]
	for i := range sums {
		sums[i] += row[i] * weight
	}
}

// round rounds a row of premultiplied pixels and divides it by their alpha.
func round(pix []uint8, row []float32) {
	pix = pix[:len(row)]
	for i := 0; i+3 < len(row); i += 4 {
		a := clamp(row[i+3])
		scale := float32(1)
		switch {
		case a < 0.5:
			continue // transparent black, as the picture was made
		case a < 254.99:
			scale = 255 / a
		}
		pix[i] = uint8(clamp(row[i]*scale) + 0.5)
		pix[i+1] = uint8(clamp(row[i+1]*scale) + 0.5)
		pix[i+2] = uint8(clamp(row[i+2]*scale) + 0.5)
		pix[i+3] = uint8(a + 0.5)
	}
}

// taps says which pixels of a row, with which weights, make each pixel of another.
type taps struct {
	first   []int
	ends    []int // of each pixel's part of weights
	weights []float32
}

// newTaps prepares to make out pixels of in, which are as long as length: the last may stand for
// less than a whole one.
func newTaps(in int, length float64, out int) *taps {
	scale := length / float64(out)
	spread := max(scale, 1)
	t := &taps{first: make([]int, out), ends: make([]int, out)}
	for i := range out {
		center := (float64(i)+0.5)*scale - 0.5
		first := max(0, int(math.Ceil(center-2*spread)))
		last := min(in-1, int(math.Floor(center+2*spread)))
		for first < last && catmullRom((float64(first)-center)/spread) == 0 {
			first++
		}
		for last > first && catmullRom((float64(last)-center)/spread) == 0 {
			last--
		}
		sum := 0.0
		for j := first; j <= last; j++ {
			sum += catmullRom((float64(j) - center) / spread)
		}
		for j := first; j <= last; j++ {
			t.weights = append(t.weights, float32(catmullRom((float64(j)-center)/spread)/sum))
		}
		t.first[i], t.ends[i] = first, len(t.weights)
	}
	return t
}

// of gives the first pixel that counts for pixel i, and the weights from there on.
func (t *taps) of(i int) (first int, weights []float32) {
	start := 0
	if i > 0 {
		start = t.ends[i-1]
	}
	return t.first[i], t.weights[start:t.ends[i]]
}

// most is how many pixels have to be kept: those from the first that counts for any pixel, up to
// the last that was read for it or for one before it.
func (t *taps) most() int {
	most, read := 0, 0
	for i := range t.ends {
		first, weights := t.of(i)
		read = max(read, first+len(weights))
		most = max(most, read-first)
	}
	return most
}

// apply makes a row of another.
func (t *taps) apply(out, in []float32) {
	for i := range t.first {
		first, weights := t.of(i)
		var r, g, b, a float32
		part := in[4*first:][:4*len(weights)]
		for _, w := range weights {
			p := part[:4]
			r, g, b, a = r+p[0]*w, g+p[1]*w, b+p[2]*w, a+p[3]*w
			part = part[4:]
		}
		out[4*i], out[4*i+1], out[4*i+2], out[4*i+3] = r, g, b, a
	}
}

// catmullRom is the filter of that name, which keeps edges sharper than averages do.
func catmullRom(t float64) float64 {
	t = math.Abs(t)
	switch {
	case t < 1:
		return (1.5*t-2.5)*t*t + 1
	case t < 2:
		return ((-0.5*t+2.5)*t-4)*t + 2
	}
	return 0
}
