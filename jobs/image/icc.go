package image

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"image"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/leat-dev/leat/jobs/imageinfo"
	"github.com/leat-dev/leat/jobs/input"
)

// maxProfile bounds a profile that is read, in bytes. Those of a matrix and three curves, which are
// honored, have some hundred bytes, and seldom more than sixty thousand.
const maxProfile = 1 << 20

// maxProfileName bounds what is said of a profile's name, in characters.
const maxProfileName = 100

// profile is an ICC profile.
type profile struct {
	name    string
	convert func(*image.NRGBA) // to sRGB; nil when it cannot be done
}

// readProfile reads an image's profile; nil when there is none. One that is damaged, or of a kind
// that is not honored, is there and converts nothing. Its errors are those of the source.
func readProfile(src *input.Source, info *imageinfo.Info) (*profile, error) {
	if len(info.Profile) == 0 {
		return nil, nil
	}
	parts := make([]io.Reader, len(info.Profile))
	for i, at := range info.Profile {
		parts[i] = io.NewSectionReader(src, at.Off, at.Size)
	}
	r := io.LimitReader(io.MultiReader(parts...), maxProfile+1)
	if info.Format == "png" {
		r = inflated(r)
	}
	content, err := io.ReadAll(io.LimitReader(r, maxProfile+1))
	if src.Err() != nil {
		return nil, src.Err()
	}
	p := &profile{name: "unknown"}
	if icc, ok := parseICC(content); ok && err == nil {
		p.name = icc.name()
		p.convert = icc.converter()
	}
	return p, nil
}

// inflated reads a PNG's profile: a name, a zero, another for the method, and zlib's data.
func inflated(r io.Reader) io.Reader {
	head := make([]byte, 80)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return failing{err}
	}
	name := bytes.IndexByte(head[:n], 0)
	if name < 0 || name+2 > n {
		return failing{io.ErrUnexpectedEOF}
	}
	z, err := zlib.NewReader(io.MultiReader(bytes.NewReader(head[name+2:n]), r))
	if err != nil {
		return failing{err}
	}
	return z
}

// failing is a reader of nothing.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// icc is a profile's content. Its tags lie within it.
type icc struct {
	content []byte
	tags    map[string][]byte
}

// The header of a profile and an entry of its table of tags, in bytes.
const (
	iccHeader = 128
	iccEntry  = 12
	maxTags   = 256
)

// parseICC reads the table of tags.
func parseICC(content []byte) (*icc, bool) {
	if len(content) < iccHeader+4 || len(content) > maxProfile || string(content[36:40]) != "acsp" {
		return nil, false
	}
	be := binary.BigEndian
	count := be.Uint32(content[iccHeader:])
	table := content[iccHeader+4:]
	if count > maxTags || int(count)*iccEntry > len(table) {
		return nil, false
	}
	p := &icc{content: content, tags: map[string][]byte{}}
	for ; count > 0; count-- {
		off, size := uint64(be.Uint32(table[4:])), uint64(be.Uint32(table[8:]))
		if size < 8 || off+size > uint64(len(content)) {
			return nil, false
		}
		p.tags[string(table[:4])] = content[off : off+size]
		table = table[iccEntry:]
	}
	return p, true
}

// name is what the profile's description says, in its first language.
func (p *icc) name() string {
	desc := p.tags["desc"]
	text := ""
	switch {
	case len(desc) >= 12 && string(desc[:4]) == "desc":
		length := min(uint64(binary.BigEndian.Uint32(desc[8:])), uint64(len(desc)-12))
		text = string(desc[12 : 12+length])
	case len(desc) >= 28 && string(desc[:4]) == "mluc":
		length, off := uint64(binary.BigEndian.Uint32(desc[20:])), uint64(binary.BigEndian.Uint32(desc[24:]))
		if off+length <= uint64(len(desc)) {
			text = fromUTF16(desc[off : off+length])
		}
	}
	return plain(text)
}

func fromUTF16(p []byte) string {
	units := make([]uint16, len(p)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(p[2*i:])
	}
	return string(utf16.Decode(units))
}

// plain makes a name fit to be shown.
func plain(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > maxProfileName {
		name = string(runes[:maxProfileName])
	}
	if name = strings.TrimSpace(name); name == "" {
		return "unnamed"
	}
	return name
}
