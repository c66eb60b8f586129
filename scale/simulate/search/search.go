package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/simulate"
)

type search struct {
	ours          simulate.Leat
	seeds, coarse int
	log           io.Writer
}

// tried is rules and what they came to.
type tried struct {
	rules simulate.Rules
	simulate.Summary
}

// short is how many settings of each rival are run on all seeds.
const short = 12

// load searches one load, and prints its table.
func (s *search) load(ctx context.Context, shape simulate.Shape, out io.Writer) error {
	loads := make([]*simulate.Load, s.seeds)
	for i := range loads {
		loads[i] = shape.Load(uint64(i + 1))
	}
	slots := loads[0].Slots
	ours, err := run1(ctx, loads, s.ours)
	if err != nil {
		return err
	}
	defaults, err := run1(ctx, loads, simulate.Leat{Policy: scale.Default()})
	if err != nil {
		return err
	}
	rows := []row{{"**Leat**", "one for all loads", ours}, {"Leat, defaults", "down window 5m0s, at most half of it a minute", defaults}}
	var notes []string
	for _, rival := range []struct {
		name     string
		defaults []simulate.Rules
		grid     []simulate.Rules
	}{
		{"KEDA", []simulate.Rules{simulate.KEDA{}, simulate.KEDA{Active: true}}, kedas(slots)},
		{"HPA", []simulate.Rules{simulate.HPA{}}, hpas(slots)},
	} {
		for _, rules := range rival.defaults {
			t, err := run1(ctx, loads, rules)
			if err != nil {
				return err
			}
			rows = append(rows, row{rival.name + ", defaults", fmt.Sprint(rules), t})
		}
		best, beaten, err := s.best(ctx, loads, rival.grid, ours)
		if err != nil {
			return err
		}
		rows = append(rows, row{rival.name + ", best", fmt.Sprint(best.rules), best})
		notes = append(notes, fmt.Sprintf("Of %d settings of %s, %d beat Leat on both wait and cost.", len(rival.grid), rival.name, beaten))
	}
	return table(out, shape, rows, strings.Join(notes, " "))
}

// best tries all settings on a few loads, the best of them on all, and gives the one that comes closest
// to beating ours, and how many do.
func (s *search) best(ctx context.Context, loads []*simulate.Load, grid []simulate.Rules, ours tried) (tried, int, error) {
	few, err := run1(ctx, loads[:s.coarse], s.ours)
	if err != nil {
		return tried{}, 0, err
	}
	list := make([]tried, 0, len(grid))
	for i, rules := range grid {
		t, err := run1(ctx, loads[:s.coarse], rules)
		if err != nil {
			return tried{}, 0, err
		}
		list = append(list, t)
		if i%50 == 0 {
			fmt.Fprintf(s.log, "%s: %d of %d settings of %s\n", t.Load, i, len(grid), rules.Name())
		}
	}
	slices.SortStableFunc(list, func(a, b tried) int { return cmp.Compare(a.against(few), b.against(few)) })
	beaten := 0
	for i := range list {
		promising := i < short || list[i].against(few) < 1.03
		if !promising {
			list = list[:i]
			break
		}
		if list[i], err = run1(ctx, loads, list[i].rules); err != nil {
			return tried{}, 0, err
		}
		if ours.LosesTo(list[i].Summary) {
			beaten++
		}
	}
	return slices.MinFunc(list, func(a, b tried) int { return cmp.Compare(a.against(ours), b.against(ours)) }), beaten, nil
}

// against is how far rules are from beating others on both wait and cost: below 1 they do. A second is
// added to the waits, so that a tenth of one beside none does not count for everything.
func (t tried) against(o tried) float64 {
	return max((t.WaitP99+1)/(o.WaitP99+1), t.PodHours/o.PodHours)
}

func run1(ctx context.Context, loads []*simulate.Load, rules simulate.Rules) (tried, error) {
	results, err := simulate.Repeat(ctx, loads, rules, simulate.Options{})
	return tried{rules, simulate.Summarize(results)}, err
}

type row struct {
	name, settings string
	tried
}

func table(out io.Writer, shape simulate.Shape, rows []row, notes string) error {
	_, err := fmt.Fprintf(out, "### %s\n\n%s.\n\n| | wait p99, s | later than 30 s | pod-hours | interrupted | turns | failed | settings |\n|---|--:|--:|--:|--:|--:|--:|---|\n", shape.Name, shape.About)
	for _, r := range rows {
		if err == nil {
			_, err = fmt.Fprintf(out, "| %s | %.2f | %.2f %% | %.2f | %.1f | %.0f | %.0f | %s |\n",
				r.name, r.WaitP99, 100*r.Missed, r.PodHours, r.Interrupted, r.Turns, r.Failed, r.settings)
		}
	}
	if err == nil {
		_, err = fmt.Fprintf(out, "\n%s\n\n", notes)
	}
	return err
}
