package table

import "bytes"

// kind is what the cells of a column are.
type kind byte

const (
	kindNone kind = iota // no value was there
	kindInteger
	kindDecimal
	kindBoolean
	kindDate
	kindTimestamp
	kindText
)

// String names the kind as the profile does. A column without values is text.
func (k kind) String() string {
	return [...]string{"text", "integer", "decimal", "boolean", "date", "timestamp", "text"}[k]
}

// with gives the kind of a column in which there is one of another kind, too.
func (k kind) with(other kind) kind {
	switch {
	case k == other || k == kindNone:
		return other
	case other == kindNone:
		return k
	case k+other == kindInteger+kindDecimal:
		return kindDecimal
	}
	return kindText
}

func (k kind) numeric() bool { return k == kindInteger || k == kindDecimal }

func (k kind) temporal() bool { return k == kindDate || k == kindTimestamp }

// classify tells what a cell without spaces around it is, by itself.
func classify(b []byte, f form) kind {
	if f == composite || len(b) == 0 {
		return kindText
	}
	if f != stringly {
		if n, ok := parseNumber(b); ok {
			return n.kind()
		}
		if _, ok := parseBool(b); ok {
			return kindBoolean
		}
	}
	if _, ok := parseDate(b); ok {
		return kindDate
	}
	if _, _, ok := parseTimestamp(b); ok {
		return kindTimestamp
	}
	return kindText
}

func parseBool(b []byte) (value, ok bool) {
	switch {
	case len(b) == 4 && bytes.EqualFold(b, []byte("true")):
		return true, true
	case len(b) == 5 && bytes.EqualFold(b, []byte("false")):
		return false, true
	}
	return false, false
}

// trim takes the spaces off around a cell, which is all that bytes.TrimSpace does, faster for cells
// without.
func trim(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}
