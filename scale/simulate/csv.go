package simulate

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
)

// WriteRuns writes a line in CSV for each run.
func WriteRuns(w io.Writer, runs []*Result) error {
	out := csv.NewWriter(w)
	lines := [][]string{{
		"load", "scaler", "seed", "arrived", "succeeded", "failed", "running", "waiting", "later", "retried",
		"wait_p50_s", "wait_p95_s", "wait_p99_s", "wait_max_s", "missed", "pod_hours", "turns", "interrupted", "lost_s",
	}}
	for _, r := range runs {
		lines = append(lines, []string{
			r.Load, r.Scaler, strconv.FormatUint(r.Seed, 10),
			strconv.Itoa(r.Arrived), strconv.Itoa(r.Succeeded), strconv.Itoa(r.Failed), strconv.Itoa(r.Running),
			strconv.Itoa(r.Waiting), strconv.Itoa(r.Later), strconv.Itoa(r.Retried),
			decimal(r.WaitP50), decimal(r.WaitP95), decimal(r.WaitP99), decimal(r.WaitMax), decimal(r.Missed),
			decimal(r.PodHours), strconv.Itoa(r.Turns), strconv.Itoa(r.Interrupted), decimal(r.LostSeconds),
		})
	}
	return writeAll(out, lines)
}

// WriteSeries writes a line in CSV for each moment of each run.
func WriteSeries(w io.Writer, runs []*Result) error {
	out := csv.NewWriter(w)
	lines := [][]string{{"load", "scaler", "seed", "at_s", "waiting", "running", "replicas", "taking", "wait_s"}}
	for _, r := range runs {
		for _, p := range r.Series {
			lines = append(lines, []string{
				r.Load, r.Scaler, strconv.FormatUint(r.Seed, 10), decimal(p.At),
				strconv.Itoa(p.Waiting), strconv.Itoa(p.Running), strconv.Itoa(p.Replicas), strconv.Itoa(p.Taking), decimal(p.Wait),
			})
		}
	}
	return writeAll(out, lines)
}

func writeAll(out *csv.Writer, lines [][]string) error {
	if err := out.WriteAll(lines); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }
