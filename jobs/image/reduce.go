package image

import "image"

// maxFactor bounds by how much a picture is reduced in whole pixels, so that sums fit 32 bits.
const maxFactor = 128

// reduced is a picture made smaller by a whole factor: each of its pixels is the mean of a square of
// the picture's. That is quick, and what is left to do by a better filter is little.
type reduced struct {
	columns, rows int     // pixels; the last of each may stand for less than a whole square
	width, height float64 // the picture's size in such pixels
	// next writes the next row: for each pixel red, green, blue and alpha, 0 to 255 and
	// premultiplied.
	next func(row []float32)
}

// reduce prepares a picture to be made as wide as width pixels, or a bit wider.
func reduce(s *shot, width, height int) *reduced {
	size := s.canvas.Size()
	factor := max(1, min(maxFactor, size.X/width, size.Y/height))
	planar, isPlanar := s.picture.(*image.YCbCr)
	if isPlanar {
		across, down, ok := sampling(planar.SubsampleRatio)
		if isPlanar = ok && s.opaque && factor >= max(across, down); isPlanar && max(across, down) == 2 {
			factor &^= 1 // so that squares hold whole pixels of color
		}
	}
	r := &reduced{
		columns: (size.X + factor - 1) / factor, rows: (size.Y + factor - 1) / factor,
		width: float64(size.X) / float64(factor), height: float64(size.Y) / float64(factor),
	}
	if isPlanar {
		r.next = planarMeans(planar, s.coding, size, factor, r.columns)
	} else {
		r.next = means(s.rows(), size, factor, r.columns)
	}
	return r
}

// means averages squares of any picture.
func means(rows rowFunc, size image.Point, factor, columns int) func([]float32) {
	row, sums := make([]uint16, 4*size.X), make([]uint32, 4*columns)
	y := 0
	return func(out []float32) {
		clear(sums)
		end := min(y+factor, size.Y)
		count := end - y
		for ; y < end; y++ {
			rows(y, row)
			addSquares(sums, row, factor)
		}
		for i := range columns {
			across := min(factor, size.X-i*factor)
			share := 1 / (float32(across*count) * 0x101)
			for j := 4 * i; j < 4*i+4; j++ {
				out[j] = float32(sums[j]) * share
			}
		}
	}
}

// addSquares adds a row of pixels to the sums of the squares that it goes through.
func addSquares(sums []uint32, row []uint16, factor int) {
	for i := 0; i+3 < len(sums); i += 4 {
		part := row[i*factor:]
		part = part[:min(len(part), 4*factor)]
		var r, g, b, a uint32
		for j := 0; j+3 < len(part); j += 4 {
			r, g, b, a = r+uint32(part[j]), g+uint32(part[j+1]), b+uint32(part[j+2]), a+uint32(part[j+3])
		}
		sums[i], sums[i+1], sums[i+2], sums[i+3] = sums[i]+r, sums[i+1]+g, sums[i+2]+b, sums[i+3]+a
	}
}
