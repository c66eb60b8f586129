package command

import (
	"bytes"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/leat-dev/leat/jobs/spec/declare"
)

// maxProgressLine bounds the line that is looked at for progress, in bytes; the rest of a longer
// one is not.
const maxProgressLine = 4 << 10

// progress reads from a program's lines how far it is. One goroutine uses it.
type progress struct {
	declared declare.Progress
	done     *regexp.Regexp
	total    *regexp.Regexp
	report   func(fraction float64)

	of   float64 // what total has said, or 0
	last float64
	line []byte
}

func (h *handler) newProgress(report func(float64)) *progress {
	return &progress{declared: h.declared.Progress, done: h.done, total: h.total, report: report}
}

// reader is where the given stream's bytes go.
func (p *progress) reader(from declare.Stream) io.Writer {
	if p.done == nil || p.declared.From != from {
		return io.Discard
	}
	return p
}

// Write implements io.Writer.
func (p *progress) Write(text []byte) (int, error) {
	n := len(text)
	for {
		i := bytes.IndexAny(text, "\r\n")
		piece := text
		if i >= 0 {
			piece = text[:i]
		}
		p.line = append(p.line, piece[:min(len(piece), maxProgressLine-len(p.line))]...)
		if i < 0 {
			return n, nil
		}
		p.read(p.line)
		p.line, text = p.line[:0], text[i+1:]
	}
}

// read looks at a line. Only what is more than before is reported.
func (p *progress) read(line []byte) {
	if p.total != nil && p.of == 0 {
		if m := p.total.FindSubmatch(line); m != nil {
			p.of = max(0, number(m[1]))
		}
	}
	m := p.done.FindSubmatch(line)
	if m == nil {
		return
	}
	share := number(m[1])
	switch {
	case len(m) > 2:
		share /= number(m[2])
	case p.total != nil:
		share /= p.of
	case p.declared.Unit == declare.Percent:
		share /= 100
	}
	if math.IsInf(share, 0) {
		return // of a total that is 0, or not known yet
	}
	if share = min(share, 1); share > p.last { // never so for what is not a number
		p.last = share
		p.report(share)
	}
}

// number reads a number, or a time as a number of seconds; NaN is what is neither.
func number(text []byte) float64 {
	sum := 0.0
	for piece := range strings.SplitSeq(string(text), ":") {
		n, err := strconv.ParseFloat(piece, 64)
		if err != nil {
			return math.NaN()
		}
		sum = 60*sum + n
	}
	if math.IsInf(sum, 0) {
		return math.NaN()
	}
	return sum
}
