package image

import "image"

// coding is how brightness and two values of color stand for red, green and blue.
type coding struct {
	black, luma                                   float32
	redByRed, greenByBlue, greenByRed, blueByBlue float32
}

// fullCoding is that of JPEG, in which brightness goes from 0 to 255.
func fullCoding() coding {
	return coding{luma: 1, redByRed: 1.402, greenByBlue: 0.344136, greenByRed: 0.714136, blueByBlue: 1.772}
}

// studioCoding is that of WebP, in which brightness goes from 16 to 235. The decoder gives its
// planes as they are, in a type that elsewhere means the full range.
func studioCoding() coding {
	return coding{
		black: 16, luma: 255.0 / 219,
		redByRed: 1.596027, greenByBlue: 0.391762, greenByRed: 0.812968, blueByBlue: 2.017232,
	}
}

// rgb gives red, green and blue from 0 to 255.
func (c *coding) rgb(y, cb, cr float32) (r, g, b float32) {
	y, cb, cr = (y-c.black)*c.luma, cb-128, cr-128
	return clamp(y + c.redByRed*cr), clamp(y - c.greenByBlue*cb - c.greenByRed*cr), clamp(y + c.blueByBlue*cb)
}

func clamp(v float32) float32 { return min(max(v, 0), 255) }

// planarRows gives a picture of brightness and color row by row.
func planarRows(p *image.YCbCr, c coding) rowFunc {
	return func(y int, row []uint16) {
		y += p.Rect.Min.Y
		for x := range len(row) / 4 {
			at, color := p.YOffset(p.Rect.Min.X+x, y), p.COffset(p.Rect.Min.X+x, y)
			r, g, b := c.rgb(float32(p.Y[at]), float32(p.Cb[color]), float32(p.Cr[color]))
			row[4*x], row[4*x+1], row[4*x+2], row[4*x+3] = deep(r), deep(g), deep(b), 0xFFFF
		}
	}
}

// deep makes 16 bits of a value from 0 to 255.
func deep(v float32) uint16 { return uint16(v*0x101 + 0.5) }

// planarAlphaRows is planarRows for a picture with transparency.
func planarAlphaRows(p *image.NYCbCrA, c coding) rowFunc {
	opaque := planarRows(&p.YCbCr, c)
	return func(y int, row []uint16) {
		opaque(y, row)
		for x := range len(row) / 4 {
			a := uint32(p.A[p.AOffset(p.Rect.Min.X+x, p.Rect.Min.Y+y)]) * 0x101
			for i := 4 * x; i < 4*x+4; i++ {
				row[i] = uint16((uint32(row[i])*a + 0x7FFF) / 0xFFFF)
			}
		}
	}
}
