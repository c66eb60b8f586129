package image

import (
	"encoding/binary"
	"image"
	"math"
)

// converter gives what converts pixels from the profile's colors to sRGB, for profiles that are a
// matrix and three curves: those of displays and cameras, such as Display P3 and Adobe RGB. It is
// nil for others: tables, and colors other than red, green and blue.
func (p *icc) converter() func(*image.NRGBA) {
	if string(p.content[16:20]) != "RGB " || string(p.content[20:24]) != "XYZ " {
		return nil
	}
	c := &conversion{}
	var columns [3][3]float64
	for i, color := range []string{"r", "g", "b"} {
		var ok bool
		if columns[i], ok = xyz(p.tags[color+"XYZ"]); !ok {
			return nil
		}
		curve := parseCurve(p.tags[color+"TRC"])
		if curve == nil {
			return nil
		}
		for v := range c.linear[i] {
			c.linear[i][v] = float32(unit(curve(float64(v) / 255)))
		}
	}
	// White must come out as white, or the matrix is not what it is taken for.
	for row, white := range [3]float64{0.9642, 1, 0.8249} {
		if sum := columns[0][row] + columns[1][row] + columns[2][row]; math.Abs(sum-white) > 0.05 {
			return nil
		}
	}
	for i, row := range fromXYZ() {
		for j, column := range columns {
			c.matrix[i][j] = float32(row[0]*column[0] + row[1]*column[1] + row[2]*column[2])
		}
	}
	c.encode()
	if c.changesNothing() {
		return func(*image.NRGBA) {}
	}
	return c.apply
}

// fromXYZ gives the matrix from the colors by which profiles are connected, whose white is D50, to
// sRGB's, which are not yet encoded.
func fromXYZ() [3][3]float64 {
	return [3][3]float64{
		{3.1338561, -1.6168667, -0.4906146},
		{-0.9787684, 1.9161415, 0.0334540},
		{0.0719453, -0.2289914, 1.4052427},
	}
}

// conversion converts pixels to sRGB.
type conversion struct {
	linear  [3][256]float32
	matrix  [3][3]float32
	encoded [steps + 1]uint8
}

// steps is into how many parts the encoding of sRGB is cut: the steepest is then less than half of
// what eight bits tell apart.
const steps = 1 << 13

func (c *conversion) encode() {
	for i := range c.encoded {
		v := float64(i) / steps
		if v <= 0.0031308 {
			v *= 12.92
		} else {
			v = 1.055*math.Pow(v, 1/2.4) - 0.055
		}
		c.encoded[i] = uint8(255*v + 0.5)
	}
}

// of converts one color. What sRGB does not hold is cut off.
func (c *conversion) of(red, green, blue uint8) (r, g, b uint8) {
	x, y, z := c.linear[0][red], c.linear[1][green], c.linear[2][blue]
	out := func(m *[3]float32) uint8 {
		v := m[0]*x + m[1]*y + m[2]*z
		return c.encoded[int(min(max(v, 0), 1)*steps+0.5)]
	}
	return out(&c.matrix[0]), out(&c.matrix[1]), out(&c.matrix[2])
}

// apply converts a picture where it lies.
func (c *conversion) apply(picture *image.NRGBA) {
	pix := picture.Pix
	for i := 0; i+3 < len(pix); i += 4 {
		pix[i], pix[i+1], pix[i+2] = c.of(pix[i], pix[i+1], pix[i+2])
	}
}

// changesNothing tells whether the profile is sRGB itself, but for rounding.
func (c *conversion) changesNothing() bool {
	const step = 15
	near := func(a uint8, b int) bool { return int(a)-b <= 1 && b-int(a) <= 1 }
	for r := 0; r < 256; r += step {
		for g := 0; g < 256; g += step {
			for b := 0; b < 256; b += step {
				if x, y, z := c.of(uint8(r), uint8(g), uint8(b)); !near(x, r) || !near(y, g) || !near(z, b) {
					return false
				}
			}
		}
	}
	return true
}

func xyz(tag []byte) (v [3]float64, ok bool) {
	if len(tag) < 20 || string(tag[:4]) != "XYZ " {
		return v, false
	}
	for i := range v {
		v[i] = fixed(tag[8+4*i:])
	}
	return v, true
}

// fixed reads a number with 16 bits behind the point.
func fixed(p []byte) float64 { return float64(int32(binary.BigEndian.Uint32(p))) / 65536 }

// unit cuts a number off at 0 and 1; what is none is 0.
func unit(v float64) float64 {
	if !(v > 0) {
		return 0
	}
	return min(v, 1)
}

// parseCurve reads a tone curve; nil when it is damaged or of an unknown kind.
func parseCurve(tag []byte) func(float64) float64 {
	if len(tag) < 12 {
		return nil
	}
	switch string(tag[:4]) {
	case "curv":
		return parseTable(tag)
	case "para":
		return parseFormula(tag)
	}
	return nil
}

// parseTable reads a curve of samples, or of a single exponent.
func parseTable(tag []byte) func(float64) float64 {
	count, samples := uint64(binary.BigEndian.Uint32(tag[8:])), tag[12:]
	switch {
	case 2*count > uint64(len(samples)):
		return nil
	case count == 0:
		return func(v float64) float64 { return v }
	case count == 1:
		gamma := float64(binary.BigEndian.Uint16(samples)) / 256
		return func(v float64) float64 { return math.Pow(v, gamma) }
	}
	at := func(i int) float64 { return float64(binary.BigEndian.Uint16(samples[2*i:])) / 65535 }
	return func(v float64) float64 {
		at64 := v * float64(count-1)
		i := min(int(at64), int(count)-2)
		return at(i) + (at(i+1)-at(i))*(at64-float64(i))
	}
}

// parseFormula reads a curve of one of the five kinds that have up to seven parameters: an exponent
// above a limit, and a line below it.
func parseFormula(tag []byte) func(float64) float64 {
	counts := [5]int{1, 3, 4, 5, 7}
	kind := binary.BigEndian.Uint16(tag[8:])
	if int(kind) >= len(counts) || len(tag) < 12+4*counts[kind] {
		return nil
	}
	v := [7]float64{1: 1} // the exponent, a, b, c, d, e, f
	for i := range counts[kind] {
		v[i] = fixed(tag[12+4*i:])
	}
	exponent, a, b, c, d, e, f := v[0], v[1], v[2], v[3], v[4], v[5], v[6]
	switch kind {
	case 1: // nothing below the limit
		c, d = 0, -b/a
	case 2: // something constant
		e, f, c, d = c, c, 0, -b/a
	}
	return func(x float64) float64 {
		if kind == 0 || x >= d {
			return math.Pow(a*x+b, exponent) + e
		}
		return c*x + f
	}
}
