package document

import (
	"errors"
	"image"
	"image/png"
	"math"

	"github.com/klippa-app/go-pdfium/enums"
	pdfiumerrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
)

// white is the paper, in PDFium's order of the bytes.
const white = 0xFFFFFFFF

// makePicture makes a picture of the first page on white paper, size pixels long at its longer
// side. A first page that is damaged has none.
func (p *pdf) makePicture(out *output, size int) error {
	points, err := p.GetPageSize(&requests.GetPageSize{Page: p.page(0)})
	if errors.Is(err, pdfiumerrors.ErrPage) && p.fatal() == nil {
		return nil
	}
	if err != nil {
		return p.blame(err)
	}
	width, height := fit(points.Width, points.Height, size)
	picture, err := p.draw(width, height)
	if err != nil {
		return p.blame(err)
	}
	return png.Encode(out.create(pictureName, "image/png"), picture)
}

// fit scales a page's size so that its longer side is size. A page may be of any size that its file
// says, even none.
func fit(width, height float64, size int) (int, int) {
	longer := max(width, height)
	if !(longer > 0) || math.IsInf(longer, 0) {
		return size, size
	}
	scale := func(side float64) int {
		return min(max(int(math.Round(max(side, 0)/longer*float64(size))), 1), size)
	}
	return scale(width), scale(height)
}

// draw draws the first page.
func (p *pdf) draw(width, height int) (*image.NRGBA, error) {
	created, err := p.FPDFBitmap_Create(&requests.FPDFBitmap_Create{Width: width, Height: height})
	if err != nil {
		return nil, err
	}
	bitmap := created.Bitmap
	if err := p.drawOn(bitmap, width, height); err != nil {
		return nil, err
	}
	pixels, err := p.FPDFBitmap_GetBuffer(&requests.FPDFBitmap_GetBuffer{Bitmap: bitmap})
	if err != nil {
		return nil, err
	}
	picture := image.NewNRGBA(image.Rect(0, 0, width, height))
	if len(pixels.Buffer) != len(picture.Pix) {
		return nil, pdfiumerrors.ErrUnexpected
	}
	copy(picture.Pix, pixels.Buffer)
	for i := 3; i < len(picture.Pix); i += 4 {
		picture.Pix[i] = 0xFF
	}
	return picture, nil
}

func (p *pdf) drawOn(bitmap references.FPDF_BITMAP, width, height int) error {
	if _, err := p.FPDFBitmap_FillRect(&requests.FPDFBitmap_FillRect{Bitmap: bitmap, Width: width, Height: height, Color: white}); err != nil {
		return err
	}
	_, err := p.FPDF_RenderPageBitmap(&requests.FPDF_RenderPageBitmap{
		Bitmap: bitmap, Page: p.page(0), SizeX: width, SizeY: height,
		Flags: enums.FPDF_RENDER_FLAG_ANNOT | enums.FPDF_RENDER_FLAG_REVERSE_BYTE_ORDER,
	})
	return err
}
