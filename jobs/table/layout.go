package table

import "fmt"

// maxDictionary is how many different values a text column has at most to be stored as a dictionary.
const maxDictionary = 4096

// layout is how a column is stored in Parquet.
type layout struct {
	kind       kind
	precision  int  // of decimals, in digits; 0 when they are stored as doubles
	scale      int  // of decimals
	zoned      bool // timestamps are points in time
	dictionary bool
}

// String names the layout as the profile does.
func (l layout) String() string {
	switch {
	case l.kind == kindDecimal && l.precision > 0:
		return fmt.Sprintf("decimal(%d,%d)", l.precision, l.scale)
	case l.kind == kindInteger:
		return "int64"
	case l.kind == kindDecimal:
		return "double"
	case l.kind == kindTimestamp && l.zoned:
		return "timestamp(us,utc)"
	case l.kind == kindTimestamp:
		return "timestamp(us)"
	case l.kind == kindText || l.kind == kindNone:
		return "string"
	}
	return l.kind.String()
}

// layout chooses how to store the column so that no number of it changes: decimals are exact as far
// as Parquet's reach, and doubles are taken only where a double's text may have come from one.
func (c *column) layout() layout {
	l := layout{kind: c.kind, zoned: c.number.zoned}
	switch n := c.number; {
	case c.kind == kindNone:
		l.kind = kindText
	case c.kind != kindDecimal:
	case !n.exponent && n.before+n.scale <= maxPrecision:
		l.precision, l.scale = max(n.before+n.scale, 1), n.scale
	case n.digits > maxDouble:
		l.kind = kindText
	}
	return l
}
