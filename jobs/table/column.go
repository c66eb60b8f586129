package table

import (
	"bytes"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/apache/datasketches-go/hll"
	"github.com/apache/datasketches-go/tdigest"
	"github.com/cespare/xxhash/v2"
)

// sizes says how much is kept of each column: less the more columns there are, so that all of them
// together need some ten megabytes.
type sizes struct {
	lgDistinct int    // registers for distinct values, as a power of two of bytes
	digest     uint16 // compression of the quantiles' digest
	frequent   int    // slots for frequent values
	recent     int    // hashes
}

func sizesFor(columns int) sizes {
	switch {
	case columns <= 128:
		return sizes{lgDistinct: 12, digest: 100, frequent: 256, recent: 256}
	case columns <= 1024:
		return sizes{lgDistinct: 10, digest: 40, frequent: 32, recent: 32}
	}
	return sizes{lgDistinct: 8, digest: 10, frequent: 16, recent: 8}
}

// column gathers what is to be known of a column. Nothing in it depends on chance, so that a run
// that is repeated finds the same.
type column struct {
	name   string
	values int64 // cells that are not null
	kind   kind

	number   shape
	sum, low float64 // low has what sum is too coarse for
	floor    number
	ceiling  number
	least    []byte // as written
	most     []byte
	trues    int64
	from, to int64 // days or microseconds
	digest   *tdigest.Double

	min, max    []byte // of all cells, as text
	longest     []byte
	longestLen  int
	longestLine int64

	distinct hll.HllSketch
	recent   []uint64 // hashes that the sketch has seen
	frequent *frequent
	sizes    sizes
}

// shape is what numbers of a column need.
type shape struct {
	before, scale, digits int  // at most
	exponent              bool // one has
	zoned                 bool // timestamps have a zone
}

func newColumn(name string, s sizes) *column {
	return &column{name: name, recent: make([]uint64, s.recent), frequent: newFrequent(s.frequent), sizes: s}
}

// add takes in a cell that is not null.
func (c *column) add(cell cell, line int64) error {
	text := cell.text
	c.values++
	if c.kind != kindText {
		if err := c.addTyped(trim(text), cell.form); err != nil {
			return err
		}
	}
	if c.values == 1 {
		c.min, c.max = keep(c.min, text), keep(c.max, text)
	} else if bytes.Compare(text, c.min) < 0 {
		c.min = keep(c.min, text)
	} else if bytes.Compare(text, c.max) > 0 {
		c.max = keep(c.max, text)
	}
	if len(text) > c.longestLen || c.values == 1 {
		c.longest, c.longestLen, c.longestLine = keep(c.longest, text), len(text), line
	}
	hash := xxhash.Sum64(text)
	if at := &c.recent[hash&uint64(len(c.recent)-1)]; *at != hash || hash == 0 {
		*at = hash
		if err := c.count(hash); err != nil {
			return fmt.Errorf("sketch of distinct values: %w", err)
		}
	}
	c.frequent.add(hash, text)
	return nil
}

func (c *column) count(hash uint64) (err error) {
	if c.distinct == nil {
		if c.distinct, err = hll.NewHllSketch(c.sizes.lgDistinct, hll.TgtHllTypeHll8); err != nil {
			return err
		}
	}
	return c.distinct.UpdateUInt64(hash)
}

// keep copies what is shown of a text, and a byte more, by which one can see that it was longer.
func keep(dst, text []byte) []byte { return append(dst[:0], text[:min(len(text), maxValue+1)]...) }

// shown makes text of a cell, or of its start.
func shown(b []byte) string {
	text := string(bytes.ToValidUTF8(b[:min(len(b), maxValue)], nil))
	if len(b) > maxValue {
		text = cut(string(b), maxValue) + "…"
	}
	if !utf8.ValidString(text) {
		return string(bytes.ToValidUTF8([]byte(text), []byte("\ufffd")))
	}
	return text
}

// addTyped asks whether the cell is what the column is already, or anything at all of the first one.
func (c *column) addTyped(b []byte, f form) error {
	first := c.kind == kindNone
	if f != stringly && f != composite && (first || c.kind.numeric() || c.kind == kindBoolean) {
		if known, err := c.addLiteral(b); known {
			return err
		}
	}
	if f != composite && (first || c.kind.temporal()) {
		if known, err := c.addTemporal(b); known {
			return err
		}
	}
	c.becomeText()
	return nil
}

func (c *column) addLiteral(b []byte) (known bool, err error) {
	if c.kind != kindBoolean {
		if n, ok := parseNumber(b); ok {
			return true, c.addNumber(n, b)
		}
	}
	value, ok := parseBool(b)
	if !ok || c.kind.numeric() {
		return false, nil
	}
	c.kind = kindBoolean
	if value {
		c.trues++
	}
	return true, nil
}

func (c *column) addTemporal(b []byte) (known bool, err error) {
	if c.kind != kindTimestamp {
		if days, ok := parseDate(b); ok {
			c.kind = kindDate
			return true, c.addMoment(int64(days))
		}
	}
	// With a zone a timestamp is a point in time, without one it is not: there is no type for both.
	micros, zoned, ok := parseTimestamp(b)
	if !ok || c.kind == kindDate || c.kind == kindTimestamp && zoned != c.number.zoned {
		return false, nil
	}
	c.kind, c.number.zoned = kindTimestamp, zoned
	return true, c.addMoment(micros)
}

func (c *column) becomeText() {
	c.kind, c.digest = kindText, nil
}

func (c *column) addNumber(n number, b []byte) error {
	if c.kind == kindNone || compareNumbers(b, c.least, n.value, c.floor.value) < 0 {
		c.floor, c.least = n, append(c.least[:0], b...)
	}
	if c.kind == kindNone || compareNumbers(b, c.most, n.value, c.ceiling.value) > 0 {
		c.ceiling, c.most = n, append(c.most[:0], b...)
	}
	c.kind = c.kind.with(n.kind())
	s := &c.number
	s.before, s.scale, s.digits = max(s.before, n.before), max(s.scale, n.scale), max(s.digits, n.digits)
	s.exponent = s.exponent || n.exponent
	c.addUp(n.value)
	return c.addQuantile(n.value)
}

// addUp adds to the sum as Neumaier does, without losing small numbers beside large ones.
func (c *column) addUp(v float64) {
	sum := c.sum + v
	if math.Abs(c.sum) >= math.Abs(v) {
		c.low += c.sum - sum + v
	} else {
		c.low += v - sum + c.sum
	}
	c.sum = sum
}

func (c *column) addMoment(at int64) error {
	if c.digest == nil {
		c.from, c.to = at, at
	}
	c.from, c.to = min(c.from, at), max(c.to, at)
	c.addUp(float64(at))
	return c.addQuantile(float64(at))
}

func (c *column) addQuantile(v float64) error {
	if c.digest == nil {
		digest, err := tdigest.NewDouble(c.sizes.digest)
		if err != nil {
			return fmt.Errorf("digest of quantiles: %w", err)
		}
		c.digest = digest
	}
	if err := c.digest.Update(v); err != nil {
		return fmt.Errorf("digest of quantiles: %w", err)
	}
	return nil
}
