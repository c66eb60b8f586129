package image

import (
	"encoding/binary"
	"image"
)

// upright turns and mirrors a picture as its EXIF orientation, 1 to 8, says that it is to be shown.
func upright(in *image.NRGBA, orientation int) *image.NRGBA {
	if orientation <= 1 {
		return in
	}
	width, height := in.Rect.Dx(), in.Rect.Dy()
	// Where the pixel lies that is shown in the corner, and the steps from it along a row and a column.
	start, step, stride := 0, 4, in.Stride
	right, bottom := 4*(width-1), in.Stride*(height-1)
	switch orientation {
	case 2:
		start, step = right, -4
	case 3:
		start, step, stride = right+bottom, -4, -in.Stride
	case 4:
		start, stride = bottom, -in.Stride
	case 5:
		step, stride = in.Stride, 4
	case 6:
		start, step, stride = bottom, -in.Stride, 4
	case 7:
		start, step, stride = right+bottom, -in.Stride, -4
	case 8:
		start, step, stride = right, in.Stride, -4
	}
	if orientation >= 5 {
		width, height = height, width
	}
	out := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		at := start + y*stride
		row := out.Pix[y*out.Stride:][:4*width]
		for x := 0; x < len(row); x += 4 {
			binary.NativeEndian.PutUint32(row[x:], binary.NativeEndian.Uint32(in.Pix[at:]))
			at += step
		}
	}
	return out
}
