package table

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Profile is what profile.json holds.
type Profile struct {
	Format      string          `json:"format"`                // "csv", "tsv" or "jsonl"
	Encoding    string          `json:"encoding"`              // IANA's name, in lower case
	Compression string          `json:"compression,omitempty"` // "gzip"
	Dialect     *Dialect        `json:"dialect,omitempty"`     // of delimited text
	Rows        int64           `json:"rows"`                  // that fit, without the header
	BlankLines  int64           `json:"blank_lines"`           // that are no rows
	BadRows     BadRows         `json:"bad_rows"`
	Columns     []ColumnProfile `json:"columns"`
}

// BadRows tells of the rows that do not fit.
type BadRows struct {
	Count   int64           `json:"count"`
	Reasons map[fault]int64 `json:"reasons,omitempty"`
	Lines   []BadRow        `json:"lines"` // the first ones
}

// BadRow is a row that does not fit.
type BadRow struct {
	Line   int64 `json:"line"` // that it starts in, from 1
	Reason fault `json:"reason"`
}

// maxBadRows bounds how many bad rows are listed in the profile.
const maxBadRows = 1000

func (b *BadRows) add(line int64, reason fault) {
	if b.Reasons == nil {
		b.Reasons = map[fault]int64{}
	}
	b.Count++
	b.Reasons[reason]++
	if len(b.Lines) < maxBadRows {
		b.Lines = append(b.Lines, BadRow{line, reason})
	}
}

// Value is one value and how often it is there.
type Value struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

// ColumnProfile is what is known of a column. Values are as they are written, cut at 128 bytes with
// a "…" behind.
type ColumnProfile struct {
	Name     string            `json:"name"`
	Type     string            `json:"type"` // "integer", "decimal", "boolean", "date", "timestamp" or "text"
	Stored   string            `json:"stored"`
	Nulls    int64             `json:"nulls"`
	Min      *string           `json:"min,omitempty"`
	Max      *string           `json:"max,omitempty"`
	Mean     string            `json:"mean,omitempty"` // of numbers, dates and timestamps; of booleans the share of true
	Distinct Distinct          `json:"distinct"`
	Quantile map[string]string `json:"quantiles,omitempty"` // of numbers, dates and timestamps
	Top      []Value           `json:"top"`
	// TopError is how many times at most a value was there more often than Top says; a value that
	// is not in Top may have been there twice as often as this.
	TopError int64   `json:"top_error"`
	Longest  *Longer `json:"longest,omitempty"`

	layout layout
}

// Distinct is how many different values there are, by HyperLogLog: with a probability of 95 % from
// Low to High.
type Distinct struct {
	Estimate int64   `json:"estimate"`
	Low      int64   `json:"low"`
	High     int64   `json:"high"`
	Error    float64 `json:"relative_error"` // one standard deviation, relative to the estimate
}

// Longer is the longest cell of a column.
type Longer struct {
	Value string `json:"value"`
	Bytes int    `json:"bytes"` // in UTF-8
	Line  int64  `json:"line"`  // that its row starts in
}

// topValues is how many of the most frequent values are told.
const topValues = 10

// summary ends the gathering for a column of a table with so many rows.
func (c *column) summary(rows int64) (ColumnProfile, error) {
	p := ColumnProfile{Name: c.name, Nulls: rows - c.values, Top: c.frequent.top(topValues), TopError: c.frequent.lost}
	p.layout = c.layout()
	p.Type, p.Stored = p.layout.kind.String(), p.layout.String()
	if err := c.countDistinct(&p.Distinct); err != nil {
		return p, fmt.Errorf("distinct values of column %q: %w", cut(c.name, 80), err)
	}
	p.layout.dictionary = p.layout.kind == kindText && p.Distinct.High <= maxDictionary
	if c.values == 0 {
		return p, nil
	}
	p.Longest = &Longer{Value: shown(c.longest), Bytes: c.longestLen, Line: c.longestLine}
	c.summarizeRange(&p)
	if c.digest == nil || p.Type == kindText.String() {
		return p, nil
	}
	p.Quantile = map[string]string{}
	for _, q := range []float64{0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99} {
		v, err := c.digest.Quantile(q)
		if err != nil {
			return p, fmt.Errorf("quantiles of column %q: %w", cut(c.name, 80), err)
		}
		p.Quantile[strconv.FormatFloat(q, 'g', -1, 64)] = c.format(v)
	}
	return p, nil
}

func (c *column) countDistinct(d *Distinct) error {
	if c.distinct == nil {
		return nil
	}
	estimate, err := c.distinct.GetEstimate()
	if err != nil {
		return err
	}
	low, err := c.distinct.GetLowerBound(2)
	if err != nil {
		return err
	}
	high, err := c.distinct.GetUpperBound(2)
	if err != nil {
		return err
	}
	d.Estimate, d.Low = int64(math.Round(estimate)), int64(math.Floor(low+0.5))
	d.High = min(int64(math.Ceil(high-0.5)), c.values)
	d.High = max(d.High, d.Low)
	d.Estimate = min(max(d.Estimate, d.Low), d.High)
	// The sketch's own figure for estimates in the order of arrival: sqrt(ln 2) by its registers' root.
	d.Error = math.Round(1e4*math.Sqrt(math.Ln2)/math.Sqrt(float64(int64(1)<<c.sizes.lgDistinct))) / 1e4
	return nil
}

func (c *column) summarizeRange(p *ColumnProfile) {
	lowest, highest := shown(c.min), shown(c.max)
	mean := (c.sum + c.low) / float64(c.values)
	switch kind := p.layout.kind; {
	case kind.numeric():
		lowest, highest = string(c.least), string(c.most)
		p.Mean = strconv.FormatFloat(mean, 'g', -1, 64)
	case kind.temporal():
		lowest, highest = c.formatMoment(c.from), c.formatMoment(c.to)
		p.Mean = c.format(mean)
	case kind == kindBoolean:
		lowest, highest = strconv.FormatBool(c.trues == c.values), strconv.FormatBool(c.trues > 0)
		p.Mean = strconv.FormatFloat(float64(c.trues)/float64(c.values), 'g', -1, 64)
	}
	p.Min, p.Max = &lowest, &highest
}

// format writes a value that was calculated as the column's type.
func (c *column) format(v float64) string {
	if c.kind.temporal() {
		return c.formatMoment(int64(math.Round(v)))
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func (c *column) formatMoment(at int64) string {
	switch {
	case c.kind == kindDate:
		return time.Unix(at*24*60*60, 0).UTC().Format(time.DateOnly)
	case c.number.zoned:
		return time.UnixMicro(at).UTC().Format("2006-01-02T15:04:05.999999Z")
	}
	return time.UnixMicro(at).UTC().Format("2006-01-02T15:04:05.999999")
}
