package image

import "image"

// sampling gives how many pixels across and down share one of color, where that is one or two.
func sampling(ratio image.YCbCrSubsampleRatio) (across, down int, ok bool) {
	switch ratio {
	case image.YCbCrSubsampleRatio444:
		return 1, 1, true
	case image.YCbCrSubsampleRatio422:
		return 2, 1, true
	case image.YCbCrSubsampleRatio440:
		return 1, 2, true
	case image.YCbCrSubsampleRatio420:
		return 2, 2, true
	default:
		return 0, 0, false
	}
}

// plane is one of a picture's planes while squares of it are averaged.
type plane struct {
	pix           []byte
	stride        int
	width, height int // pixels
	across, down  int // pixels of a square
	sums          []uint32
	y             int
}

// next sums up the next row of squares, and gives how many rows of pixels are in it.
func (p *plane) next() int {
	clear(p.sums)
	end := min(p.y+p.down, p.height)
	count := end - p.y
	for ; p.y < end; p.y++ {
		addRuns(p.sums, p.pix[p.y*p.stride:][:p.width], p.across)
	}
	return count
}

// addRuns adds to each sum the next run of values, of which the last may be shorter.
func addRuns(sums []uint32, row []byte, run int) {
	switch run {
	case 1:
		for i, v := range row {
			sums[i] += uint32(v)
		}
		return
	case 2:
		for i := 0; len(row) >= 2; i, row = i+1, row[2:] {
			sums[i] += uint32(row[0]) + uint32(row[1])
		}
	case 4:
		for i := 0; len(row) >= 4; i, row = i+1, row[4:] {
			sums[i] += uint32(row[0]) + uint32(row[1]) + uint32(row[2]) + uint32(row[3])
		}
	default:
		for i := 0; len(row) >= run; i, row = i+1, row[run:] {
			sum := uint32(0)
			for _, v := range row[:run] {
				sum += uint32(v)
			}
			sums[i] += sum
		}
	}
	for _, v := range row {
		sums[len(sums)-1] += uint32(v)
	}
}

// share gives what a square's sum is multiplied with for its mean.
func (p *plane) share(column, rows int) float32 {
	return 1 / float32(rows*min(p.across, p.width-column*p.across))
}

// planarMeans averages squares of a picture that is stored as brightness and two planes of color,
// and turns only their means into red, green and blue. A square must hold whole pixels of color.
func planarMeans(p *image.YCbCr, c coding, size image.Point, factor, columns int) func([]float32) {
	across, down, _ := sampling(p.SubsampleRatio)
	newPlane := func(pix []byte, stride, across, down int) *plane {
		return &plane{
			pix: pix, stride: stride, width: (size.X + across - 1) / across, height: (size.Y + down - 1) / down,
			across: factor / across, down: factor / down, sums: make([]uint32, columns),
		}
	}
	luma := newPlane(p.Y, p.YStride, 1, 1)
	blue, red := newPlane(p.Cb, p.CStride, across, down), newPlane(p.Cr, p.CStride, across, down)
	return func(out []float32) {
		rows, colorRows := luma.next(), blue.next()
		red.next()
		for i := range columns {
			share := blue.share(i, colorRows)
			out[4*i], out[4*i+1], out[4*i+2] = c.rgb(
				float32(luma.sums[i])*luma.share(i, rows), float32(blue.sums[i])*share, float32(red.sums[i])*share)
			out[4*i+3] = 255
		}
	}
}
