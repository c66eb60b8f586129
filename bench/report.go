package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// row is one figure, beside what it is compared with.
type row struct {
	Name     string  `json:"name"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
	Beside   string  `json:"beside,omitempty"` // what it is compared with
	Baseline float64 `json:"baseline,omitempty"`
	Ratio    float64 `json:"ratio,omitempty"` // Value / Baseline
	Target   string  `json:"target,omitempty"`
	Met      *bool   `json:"met,omitempty"`
}

// target records a figure that ought to be at most, or at least, a limit.
func (b *bench) target(name string, value float64, unit string, most bool, limit float64) {
	met, word := value >= limit, "at least"
	if most {
		met, word = value <= limit, "at most"
	}
	b.rows = append(b.rows, row{Name: name, Value: value, Unit: unit, Target: fmt.Sprintf("%s %g %s", word, limit, unit), Met: &met})
}

// compare records a figure beside another of the same run. A limit of 0 is none.
func (b *bench) compare(name string, value float64, unit, beside string, baseline float64, most bool, limit float64) {
	r := row{Name: name, Value: value, Unit: unit, Beside: beside, Baseline: baseline, Ratio: value / baseline}
	if limit > 0 {
		met, word := r.Ratio >= limit, "ratio at least"
		if most {
			met, word = r.Ratio <= limit, "ratio at most"
		}
		r.Target, r.Met = fmt.Sprintf("%s %.2g", word, limit), &met
	}
	b.rows = append(b.rows, r)
}

// report prints the table, then the same as JSON.
func report(w io.Writer, rows []row) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\nMEASURED\tVALUE\tBESIDE\tRATIO\tTARGET\tMET")
	for _, r := range rows {
		beside, ratio, met := "", "", ""
		if r.Beside != "" {
			beside = fmt.Sprintf("%s: %s %s", r.Beside, number(r.Baseline), r.Unit)
			ratio = fmt.Sprintf("%.2f", r.Ratio)
		}
		if r.Met != nil {
			met = map[bool]string{true: "yes", false: "NO"}[*r.Met]
		}
		fmt.Fprintf(tw, "%s\t%s %s\t%s\t%s\t%s\t%s\n", r.Name, number(r.Value), r.Unit, beside, ratio, r.Target, met)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return json.NewEncoder(w).Encode(rows)
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// percentile gives the p-th percentile in milliseconds; it sorts its argument.
func percentile(times []time.Duration, p float64) float64 {
	slices.Sort(times)
	i := min(int(float64(len(times))*p/100), len(times)-1)
	return float64(times[i].Microseconds()) / 1000
}
