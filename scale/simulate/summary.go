package simulate

import (
	"context"
	"fmt"
)

// Summary is the means of several runs of a shape under the same rules.
type Summary struct {
	Load   string `json:"load"`
	Scaler string `json:"scaler"`
	Runs   int    `json:"runs"`

	WaitP50     float64 `json:"wait_p50_s"`
	WaitP95     float64 `json:"wait_p95_s"`
	WaitP99     float64 `json:"wait_p99_s"`
	WaitMax     float64 `json:"wait_max_s"`
	Missed      float64 `json:"missed"`
	PodHours    float64 `json:"pod_hours"`
	Turns       float64 `json:"turns"`
	Interrupted float64 `json:"interrupted"`
	LostSeconds float64 `json:"lost_seconds"`
	Failed      float64 `json:"failed"`
}

// Summarize takes the means of runs of the same rules; nothing but its zero value comes of none.
func Summarize(runs []*Result) Summary {
	if len(runs) == 0 {
		return Summary{}
	}
	s := Summary{Load: runs[0].Load, Scaler: runs[0].Scaler, Runs: len(runs)}
	share := 1 / float64(len(runs))
	for _, r := range runs {
		s.WaitP50 += r.WaitP50 * share
		s.WaitP95 += r.WaitP95 * share
		s.WaitP99 += r.WaitP99 * share
		s.WaitMax += r.WaitMax * share
		s.Missed += r.Missed * share
		s.PodHours += r.PodHours * share
		s.Turns += float64(r.Turns) * share
		s.Interrupted += float64(r.Interrupted) * share
		s.LostSeconds += r.LostSeconds * share
		s.Failed += float64(r.Failed) * share
	}
	return s
}

// What two scalers may differ by and be called equal: a tenth of a second of wait, which handing a
// job out takes anyway, and half a percent of the pod-hours.
const (
	equalWait = 0.1
	equalCost = 0.005
)

// LosesTo says whether jobs wait longer under s, at the 99th percentile, and it costs more as well.
func (s Summary) LosesTo(o Summary) bool {
	return s.WaitP99 > o.WaitP99+equalWait && s.PodHours > o.PodHours*(1+equalCost)
}

// Repeat runs the loads under the same rules.
func Repeat(ctx context.Context, loads []*Load, rules Rules, o Options) ([]*Result, error) {
	results := make([]*Result, 0, len(loads))
	for _, l := range loads {
		r, err := Run(ctx, l, rules, o)
		if err != nil {
			return nil, fmt.Errorf("%s under %s: %w", l.Name, rules.Name(), err)
		}
		results = append(results, r)
	}
	return results, nil
}
