package image

import (
	"bytes"
	"encoding/binary"
	"image"
	"io"

	"github.com/HugoSmits86/nativewebp"
)

// encodeWebP writes a picture, lossless. It goes by way of memory, since the encoder drops errors in
// writing.
func encodeWebP(w io.Writer, picture *image.NRGBA) error {
	var content bytes.Buffer
	if isUniform(picture) { // the encoder panics over one or two black pixels
		content.Write(uniformWebP(picture))
	} else if err := nativewebp.Encode(&content, picture, nil); err != nil {
		return err
	}
	_, err := w.Write(content.Bytes())
	return err
}

func isUniform(picture *image.NRGBA) bool {
	for i := 4; i < len(picture.Pix); i += 4 {
		if !bytes.Equal(picture.Pix[i:i+4], picture.Pix[:4]) {
			return false
		}
	}
	return true
}

// uniformWebP makes a WebP of a picture of one color: each of the five codes has one symbol, so that
// the pixels take no bits at all.
func uniformWebP(picture *image.NRGBA) []byte {
	var bits, n uint64
	var data []byte
	put := func(value, count uint64) {
		bits |= value << n
		for n += count; n >= 8; n -= 8 {
			data = append(data, byte(bits))
			bits >>= 8
		}
	}
	put(0x2F, 8)
	put(uint64(picture.Rect.Dx()-1), 14)
	put(uint64(picture.Rect.Dy()-1), 14)
	put(1, 1) // transparency is used
	put(0, 3) // version
	put(0, 3) // no transform, no cache of colors, one group of codes
	for _, channel := range []int{1, 0, 2, 3} {
		put(0b101, 3) // a simple code of one symbol, of eight bits
		put(uint64(picture.Pix[channel]), 8)
	}
	put(0b0001, 4) // and one of one symbol, of one bit, for distances
	put(0, 7)      // fill the last byte
	data = append(data, make([]byte, len(data)%2)...)
	out := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(12+len(data)))
	out = binary.LittleEndian.AppendUint32(append(out, "WEBPVP8L"...), uint32(len(data)))
	return append(out, data...)
}
