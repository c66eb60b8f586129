package table

import (
	"bytes"
	"math"
	"math/big"
	"strconv"
)

const (
	maxPrecision = 38 // digits of a Parquet decimal
	// maxDouble is the number of digits that a float64's shortest text has at most. A number with an
	// exponent and more digits would not come back from one.
	maxDouble = 17
)

// number is what is known of a number from how it is written.
type number struct {
	value    float64
	integer  int64 // exact, where whole is true
	whole    bool
	exponent bool
	before   int // digits before the point
	scale    int // digits behind it
	digits   int // digits that count: all but leading zeros
}

func (n *number) kind() kind {
	if n.whole {
		return kindInteger
	}
	return kindDecimal
}

// parseNumber reads a number: digits with an optional minus before and an optional fraction and
// exponent behind them. What has leading zeros, a plus, or separators is none: it may be an
// identifier or a telephone number, and it would not be written back the same.
func parseNumber(b []byte) (n number, ok bool) {
	negative := bytes.HasPrefix(b, []byte("-"))
	start := 0
	if negative {
		start = 1
	}
	mantissa, i := digits(b, start, 0)
	n.before = i - start
	if n.before > 1 && b[start] == '0' {
		return n, false
	}
	if n.digits = n.before; mantissa == 0 && n.before == 1 {
		n.digits = 0
	}
	if i < len(b) && b[i] == '.' {
		point := i + 1
		mantissa, i = digits(b, point, mantissa)
		if n.scale = i - point; n.scale == 0 {
			return n, false
		}
		n.digits += n.scale
	} else if n.before == 0 {
		return n, false
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		n.exponent = true
		if i = skipExponent(b, i+1); i < 0 {
			return n, false
		}
	}
	return n, i == len(b) && n.evaluate(b, mantissa, negative)
}

// digits reads digits from i on. What they amount to means something for up to 19 of them.
func digits(b []byte, i int, value uint64) (amount uint64, next int) {
	for i < len(b) && b[i]-'0' <= 9 {
		value = value*10 + uint64(b[i]-'0')
		i++
	}
	return value, i
}

func skipExponent(b []byte, i int) int {
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	start := i
	if _, i = digits(b, i, 0); i == start {
		return -1
	}
	return i
}

// evaluate finds the value. It is false for a number that no type of ours can hold.
func (n *number) evaluate(b []byte, mantissa uint64, negative bool) bool {
	n.whole = n.scale == 0 && !n.exponent
	if n.before+n.scale <= 18 && !n.exponent {
		n.evaluateShort(b, mantissa, negative)
		return true
	}
	if n.digits > maxDouble && (n.exponent || n.before+n.scale > maxPrecision) {
		return false
	}
	var err error
	if n.value, err = strconv.ParseFloat(string(b), 64); err != nil {
		return false // beyond a float64
	}
	if n.exponent {
		return mantissa == 0 || math.Abs(n.value) >= 0x1p-1022 // what is smaller loses digits
	}
	if n.whole {
		n.integer, err = strconv.ParseInt(string(b), 10, 64)
		n.whole = err == nil
	}
	return true
}

// evaluateShort does without strconv where it can.
func (n *number) evaluateShort(b []byte, mantissa uint64, negative bool) {
	n.integer, n.value = int64(mantissa), float64(mantissa)
	switch {
	case n.scale == 0:
	case mantissa < 1<<53:
		n.value /= powerOfTen(n.scale) // both are exact, so that this is the nearest
	default:
		n.value, _ = strconv.ParseFloat(string(bytes.TrimPrefix(b, []byte("-"))), 64) // which is a number
	}
	if negative {
		n.integer, n.value = -n.integer, -n.value
	}
}

// powerOfTen is exact up to 22.
func powerOfTen(n int) float64 {
	return [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}[n]
}

// compareNumbers compares numbers as written, exactly. Equal float64 values decide only between
// numbers that lie close together.
func compareNumbers(a, b []byte, x, y float64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case bytes.Equal(a, b):
		return 0
	}
	p, okP := new(big.Rat).SetString(string(a))
	q, okQ := new(big.Rat).SetString(string(b))
	if !okP || !okQ || math.IsInf(x, 0) {
		return 0
	}
	return p.Cmp(q)
}

// decimalBytes gives a number without an exponent, times ten to the scale, as a big-endian two's
// complement of 16 bytes.
func decimalBytes(dst *[16]byte, b []byte, scale int) bool {
	v, ok := unscaled(b, scale)
	if !ok {
		return false
	}
	if v.Sign() < 0 {
		v.Add(v, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	v.FillBytes(dst[:])
	return true
}

// unscaled gives a number without an exponent, times ten to the scale.
func unscaled(b []byte, scale int) (*big.Int, bool) {
	whole, fraction, _ := bytes.Cut(b, []byte("."))
	text := append(make([]byte, 0, maxPrecision+2), whole...)
	text = append(text, fraction...)
	for range scale - len(fraction) {
		text = append(text, '0')
	}
	return new(big.Int).SetString(string(text), 10)
}

// decimal64 gives a number without an exponent and of at most 18 digits, times ten to the scale.
func decimal64(b []byte, scale int) (int64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	value, i := digits(b, 0, 0)
	if i < len(b) {
		point := i + 1
		value, i = digits(b, point, value)
		scale -= i - point
	}
	if i != len(b) || scale < 0 {
		return 0, false
	}
	for range scale {
		value *= 10
	}
	if negative {
		return -int64(value), true
	}
	return int64(value), true
}
