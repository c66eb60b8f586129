package sniff

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

// UTF16 tells whether head is UTF-16 text, and in which byte order. A byte order mark decides;
// without one, only text that is mostly ASCII and holds no control characters is believed, since
// almost any bytes can be read as UTF-16.
func UTF16(head []byte) (binary.ByteOrder, bool) {
	switch {
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE, 0, 0}), bytes.HasPrefix(head, []byte{0, 0, 0xFE, 0xFF}):
		return nil, false // UTF-32
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}):
		return binary.LittleEndian, true
	case bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		return binary.BigEndian, true
	case 4*bytes.Count(head, []byte{0}) < len(head)-1:
		return nil, false // each ASCII character has a zero byte, and half must be ASCII; most uploads end here
	case looksUTF16(head, binary.LittleEndian):
		return binary.LittleEndian, true
	case looksUTF16(head, binary.BigEndian):
		return binary.BigEndian, true
	}
	return nil, false
}

func looksUTF16(head []byte, order binary.ByteOrder) bool {
	units := codeUnits(head, order)
	if len(units) < 2 || len(head) < Limit && len(head)%2 != 0 {
		return false
	}
	ascii := 0
	for i, u := range units {
		switch {
		case u < ' ' && u != '\t' && u != '\n' && u != '\r' && u != '\f', u == 0x7F, u >= 0xFFFE:
			return false
		case u < 0x80:
			ascii++
		case utf16.IsSurrogate(rune(u)) && !paired(units, i):
			return false
		}
	}
	return ascii*2 >= len(units)
}

// paired tells whether the surrogate at i has its other half; the last unit's may be cut off.
func paired(units []uint16, i int) bool {
	if units[i] < 0xDC00 {
		return i+1 == len(units) || units[i+1]&0xFC00 == 0xDC00
	}
	return i > 0 && units[i-1]&0xFC00 == 0xD800
}

func codeUnits(head []byte, order binary.ByteOrder) []uint16 {
	units := make([]uint16, len(head)/2)
	for i := range units {
		units[i] = order.Uint16(head[2*i:])
	}
	return units
}

// fromUTF16 rewrites UTF-16 as UTF-8, whose signatures are known, without the byte order mark.
func fromUTF16(head []byte) ([]byte, bool) {
	order, ok := UTF16(head)
	if !ok {
		return nil, false
	}
	units := codeUnits(head, order)
	if len(units) > 0 && units[0] == 0xFEFF {
		units = units[1:]
	}
	return []byte(string(utf16.Decode(units))), true
}
