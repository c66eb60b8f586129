package image

import (
	"image"
	"image/color"
)

// shot is a decoded picture on its canvas, which is transparent around it.
type shot struct {
	picture     image.Image
	canvas      image.Rectangle // from the origin
	at          image.Point     // where on the canvas the picture lies
	coding      coding          // of a picture that is stored as brightness and color
	opaque      bool
	orientation int
	convert     func(*image.NRGBA) // to sRGB; nil for nothing to do
	converted   bool               // what becomes of it is in sRGB, for all that the profile says
}

// rowFunc writes a row of a canvas into row: for each pixel red, green, blue and alpha, of 16 bits
// each and premultiplied.
type rowFunc func(y int, row []uint16)

// rows gives the canvas row by row.
func (s *shot) rows() rowFunc {
	bounds := s.picture.Bounds()
	inner := s.pictureRows()
	placed := bounds.Sub(bounds.Min).Add(s.at)
	if placed == s.canvas {
		return inner
	}
	placed = placed.Intersect(s.canvas)
	return func(y int, row []uint16) {
		clear(row)
		if y >= placed.Min.Y && y < placed.Max.Y {
			inner(y-placed.Min.Y, row[4*placed.Min.X:4*placed.Max.X])
		}
	}
}

// pictureRows gives the picture row by row, the first being 0. What is not common goes the slow way.
func (s *shot) pictureRows() rowFunc {
	switch p := s.picture.(type) {
	case *image.YCbCr:
		return planarRows(p, s.coding)
	case *image.NYCbCrA:
		return planarAlphaRows(p, s.coding)
	case *image.RGBA:
		return rgbaRows(p)
	case *image.NRGBA:
		return nrgbaRows(p)
	case *image.Gray:
		return grayRows(p)
	case *image.Paletted:
		return palettedRows(p)
	case image.RGBA64Image:
		return anyRows(p.Bounds(), p.RGBA64At)
	}
	return anyRows(s.picture.Bounds(), func(x, y int) color.RGBA64 {
		r, g, b, a := s.picture.At(x, y).RGBA()
		return color.RGBA64{R: uint16(r), G: uint16(g), B: uint16(b), A: uint16(a)}
	})
}

func anyRows(bounds image.Rectangle, at func(x, y int) color.RGBA64) rowFunc {
	return func(y int, row []uint16) {
		for x := range len(row) / 4 {
			c := at(bounds.Min.X+x, bounds.Min.Y+y)
			row[4*x], row[4*x+1], row[4*x+2], row[4*x+3] = c.R, c.G, c.B, c.A
		}
	}
}

func rgbaRows(p *image.RGBA) rowFunc {
	return func(y int, row []uint16) {
		pix := p.Pix[y*p.Stride:][:len(row)]
		for i, v := range pix {
			row[i] = uint16(v) * 0x101
		}
	}
}

func nrgbaRows(p *image.NRGBA) rowFunc {
	return func(y int, row []uint16) {
		pix := p.Pix[y*p.Stride:][:len(row)]
		for i := 0; i+3 < len(pix); i += 4 {
			a := uint32(pix[i+3])
			premultiplied := func(v uint8) uint16 { return uint16((uint32(v)*a*0x101 + 127) / 255) }
			row[i], row[i+1], row[i+2] = premultiplied(pix[i]), premultiplied(pix[i+1]), premultiplied(pix[i+2])
			row[i+3] = uint16(a) * 0x101
		}
	}
}

func grayRows(p *image.Gray) rowFunc {
	return func(y int, row []uint16) {
		for x, v := range p.Pix[y*p.Stride:][:len(row)/4] {
			g := uint16(v) * 0x101
			row[4*x], row[4*x+1], row[4*x+2], row[4*x+3] = g, g, g, 0xFFFF
		}
	}
}

func palettedRows(p *image.Paletted) rowFunc {
	var colors [256][4]uint16
	for i := range colors {
		colors[i][3] = 0xFFFF // an index beyond the palette is black
		if i < len(p.Palette) {
			r, g, b, a := p.Palette[i].RGBA()
			colors[i] = [4]uint16{uint16(r), uint16(g), uint16(b), uint16(a)}
		}
	}
	return func(y int, row []uint16) {
		for x, i := range p.Pix[y*p.Stride:][:len(row)/4] {
			copy(row[4*x:4*x+4], colors[i][:])
		}
	}
}
