package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/simulate"
)

type search struct {
	ours          simulate.Leat
	seeds, coarse int
	coarseFor     time.Duration // of each load, where every setting is tried
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
	few := s.few(loads)
	bar, err := run1(ctx, few, s.ours)
	if err != nil {
		return tried{}, 0, err
	}
	fmt.Fprintf(s.log, "%s: %d settings of %s\n", loads[0].Name, len(grid), grid[0].Name())
	list, err := runAll(ctx, few, grid)
	if err != nil {
		return tried{}, 0, err
	}
	slices.SortStableFunc(list, func(a, b tried) int { return cmp.Compare(a.against(bar), b.against(bar)) })
	var promising []simulate.Rules
	for i, t := range list {
		if i < short || t.against(bar) < 1.03 {
			promising = append(promising, t.rules)
		}
	}
	fmt.Fprintf(s.log, "%s: %d of them on all loads\n", loads[0].Name, len(promising))
	if list, err = runAll(ctx, loads, promising); err != nil {
		return tried{}, 0, err
	}
	beaten := 0
	for _, t := range list {
		if ours.LosesTo(t.Summary) {
			beaten++
		}
	}
	return slices.MinFunc(list, func(a, b tried) int { return cmp.Compare(a.against(ours), b.against(ours)) }), beaten, nil
}

// few are the loads that every setting is tried on: the first, and of each its beginning.
func (s *search) few(loads []*simulate.Load) []*simulate.Load {
	few := make([]*simulate.Load, s.coarse)
	for i := range few {
		part := *loads[i]
		part.For = min(part.For, s.coarseFor)
		few[i] = &part
	}
	return few
}

// runAll runs the loads under each of the rules, as many side by side as there are processors.
func runAll(ctx context.Context, loads []*simulate.Load, rules []simulate.Rules) ([]tried, error) {
	list := make([]tried, len(rules))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range rules {
		group.Go(func() (err error) {
			list[i], err = run1(ctx, loads, rules[i])
			return err
		})
	}
	return list, group.Wait()
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
