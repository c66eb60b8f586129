package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/simulate"
)

// simulation is what leat scale simulate was asked for.
type simulation struct {
	*remote
	shape, trace, decisions string
	policies, rivals        []string
	seeds                   int
	within, startDelay      time.Duration
	slots                   int
	out                     string
}

// simulateCommand is leat scale simulate, which needs no server.
func (r *remote) simulateCommand() *cobra.Command {
	s := &simulation{remote: r}
	cmd := &cobra.Command{
		Use: "simulate", Short: "See what a policy would have cost, and how long jobs would have waited", Args: cobra.NoArgs,
		Long: "Run a load through a model of queues and workers, under one policy or several, and under the rules of\n" +
			"KEDA and of Kubernetes' HPA. The load is a built-in shape, a trace of arrivals, or what a live\n" +
			"scaler has recorded; of that it is also told where another policy would have decided otherwise.\n\n" +
			shapesText(),
		Example: "  leat scale simulate --shape burst --policy mine.yaml --rival keda,hpa --out figures\n" +
			"  leat scale explain --limit 1000 --json >decisions.jsonl\n" +
			"  leat scale simulate --decisions decisions.jsonl --policy mine.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(cmd, "shape", "trace", "decisions"); err != nil {
				return err
			}
			return s.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.shape, "shape", "", "a built-in load, or all")
	f.StringVar(&s.trace, "trace", "", "CSV file with a job a line: arrival and service time in seconds, and perhaps the queue")
	f.StringVar(&s.decisions, "decisions", "", "file with decisions as leat scale explain --json prints them")
	f.StringArrayVar(&s.policies, "policy", nil, "YAML file with a policy; may be repeated (default: the built-in one)")
	f.StringSliceVar(&s.rivals, "rival", nil, "keda, hpa, or both with a comma between")
	f.IntVar(&s.seeds, "seeds", 5, "how many loads of the shape to take the mean of")
	f.DurationVar(&s.within, "within", 30*time.Second, "in which a job is to start; later ones are counted")
	f.IntVar(&s.slots, "slots", 0, "jobs that a replica runs at once (default: the load's own)")
	f.DurationVar(&s.startDelay, "start-delay", 0, "mean time that a replica takes to start (default: the load's own)")
	f.StringVar(&s.out, "out", "", "folder for CSV files and for plots as SVG and PNG")
	return cmd
}

func shapesText() string {
	var text strings.Builder
	text.WriteString("Shapes:\n")
	for _, s := range simulate.Shapes() {
		fmt.Fprintf(&text, "  %-13s %s\n", s.Name, s.About)
	}
	return text.String()
}

func (s *simulation) run(ctx context.Context) error {
	if s.seeds < 1 || s.slots < 0 || s.startDelay < 0 || s.within <= 0 {
		return usage("--seeds and --within must be above 0, --slots and --start-delay not below")
	}
	contenders, err := s.contenders()
	if err != nil {
		return err
	}
	if s.decisions != "" {
		return s.backtest(ctx, contenders)
	}
	loads, err := s.loads()
	if err != nil {
		return err
	}
	for _, of := range loads {
		if err := s.compare(ctx, of, contenders); err != nil {
			return err
		}
	}
	return nil
}

// contenders are the policies and the rivals that were named.
func (s *simulation) contenders() ([]simulate.Rules, error) {
	var list []simulate.Rules
	for _, path := range s.policies {
		p, err := app.ScalingPolicy(path, scale.Default())
		if err != nil {
			return nil, err
		}
		list = append(list, simulate.Leat{Label: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), Policy: p})
	}
	if len(list) == 0 {
		list = append(list, simulate.Leat{Policy: scale.Default()})
	}
	for _, name := range s.rivals {
		switch name {
		case "keda":
			list = append(list, simulate.KEDA{}, simulate.KEDA{Label: "keda-active", Active: true})
		case "hpa":
			list = append(list, simulate.HPA{})
		default:
			return nil, usage("%q is neither keda nor hpa", name)
		}
	}
	return list, nil
}

// loads are those of each shape, one for each seed.
func (s *simulation) loads() ([][]*simulate.Load, error) {
	if s.trace != "" {
		file, err := os.Open(s.trace)
		if err != nil {
			return nil, usage("%w", err)
		}
		defer file.Close()
		l, err := simulate.ReadTrace(strings.TrimSuffix(filepath.Base(s.trace), filepath.Ext(s.trace)), file)
		if err != nil {
			return nil, usage("%w", err)
		}
		loads, err := s.seeded(func(seed uint64) (*simulate.Load, error) {
			again := *l
			again.Seed = seed
			return &again, nil
		})
		return [][]*simulate.Load{loads}, err
	}
	var list [][]*simulate.Load
	var names []string
	for _, shape := range simulate.Shapes() {
		names = append(names, shape.Name)
		if s.shape != "all" && s.shape != shape.Name {
			continue
		}
		loads, err := s.seeded(func(seed uint64) (*simulate.Load, error) { return shape.Load(seed), nil })
		if err != nil {
			return nil, err
		}
		list = append(list, loads)
	}
	if len(list) == 0 {
		return nil, usage("give --trace, --decisions, or a --shape: all, %s", strings.Join(names, ", "))
	}
	return list, nil
}

// seeded makes a load for each seed, with what flags say of the workers.
func (s *simulation) seeded(load func(seed uint64) (*simulate.Load, error)) ([]*simulate.Load, error) {
	list := make([]*simulate.Load, s.seeds)
	for i := range list {
		l, err := load(uint64(i + 1))
		if err != nil {
			return nil, err
		}
		if s.slots > 0 {
			l.Slots = s.slots
		}
		if s.startDelay > 0 {
			l.StartMean, l.StartDeviation = s.startDelay, s.startDelay/4
		}
		list[i] = l
	}
	return list, nil
}

// compare runs loads under all contenders, prints their means and writes the files.
func (s *simulation) compare(ctx context.Context, loads []*simulate.Load, contenders []simulate.Rules) error {
	o := simulate.Options{Target: s.within}
	if s.out != "" {
		o.Points = 1000
	}
	var runs []*simulate.Result
	var means []simulate.Summary
	for _, rules := range contenders {
		results, err := simulate.Repeat(ctx, loads, rules, o)
		if err != nil {
			return err
		}
		runs, means = append(runs, results...), append(means, simulate.Summarize(results))
	}
	if err := s.report(means); err != nil || s.out == "" {
		return err
	}
	return s.write(loads[0].Name, runs)
}

func (s *simulation) report(means []simulate.Summary) error {
	if s.json {
		for _, m := range means {
			if err := s.print(nil, m); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintf(s.env.Stdout, "%s, mean of %d\n", means[0].Load, means[0].Runs)
	err := table(s.env.Stdout, func(line func(...any)) {
		line("POLICY", "WAIT P50", "P95", "P99", "MAX", "LATE", "POD-HOURS", "TURNS", "INTERRUPTED", "FAILED")
		for _, m := range means {
			line(m.Scaler, seconds(m.WaitP50), seconds(m.WaitP95), seconds(m.WaitP99), seconds(m.WaitMax), fmt.Sprintf("%.2f %%", 100*m.Missed),
				fmt.Sprintf("%.2f", m.PodHours), fmt.Sprintf("%.1f", m.Turns), fmt.Sprintf("%.1f", m.Interrupted), fmt.Sprintf("%.0f", m.Failed))
		}
	})
	fmt.Fprintln(s.env.Stdout)
	return err
}

func seconds(s float64) string { return fmt.Sprintf("%.2f s", s) }

// write puts the runs into files. What is drawn is the first seed's.
func (s *simulation) write(name string, runs []*simulate.Result) error {
	if err := os.MkdirAll(s.out, 0o755); err != nil { //nolint:gosec // figures are for everybody to read
		return err
	}
	var drawn []*simulate.Result
	for _, r := range runs {
		if r.Seed == runs[0].Seed {
			drawn = append(drawn, r)
		}
	}
	return errors.Join(
		s.file(name+"-runs.csv", func(w io.Writer) error { return simulate.WriteRuns(w, runs) }),
		s.file(name+"-series.csv", func(w io.Writer) error { return simulate.WriteSeries(w, runs) }),
		s.file(name+".svg", func(w io.Writer) error { return simulate.Plot(w, simulate.SVG, drawn) }),
		s.file(name+".png", func(w io.Writer) error { return simulate.Plot(w, simulate.PNG, drawn) }),
	)
}

func (s *simulation) file(name string, write func(io.Writer) error) error {
	f, err := os.Create(filepath.Join(s.out, name))
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// backtest tells where each policy would have decided otherwise, and runs what arrived then.
func (s *simulation) backtest(ctx context.Context, contenders []simulate.Rules) error {
	f, err := os.Open(s.decisions)
	if err != nil {
		return usage("%w", err)
	}
	defer f.Close()
	records, err := simulate.ReadRecords(f)
	if err != nil {
		return usage("%s: %w", s.decisions, err)
	}
	for _, c := range contenders {
		if ours, ok := c.(simulate.Leat); ok {
			if err := s.differences(records, ours); err != nil {
				return err
			}
		}
	}
	loads, err := s.seeded(func(seed uint64) (*simulate.Load, error) { return simulate.Recorded(records, seed) })
	if err != nil {
		return usage("%s: %w", s.decisions, err)
	}
	then := simulate.Leat{Label: "as recorded", Policy: records[len(records)-1].Policy}
	return s.compare(ctx, loads, append([]simulate.Rules{then}, contenders...))
}

// shown is how many differences are printed in text.
const shown = 20

func (s *simulation) differences(records []simulate.Record, ours simulate.Leat) error {
	list := simulate.Replay(records, ours.Policy)
	if s.json {
		return s.print(nil, map[string]any{
			"policy": ours.Name(), "decisions": len(records), "differences": append([]simulate.Difference{}, list...),
		})
	}
	fmt.Fprintf(s.env.Stdout, "%s would have decided %d of %d decisions otherwise, as the fleet stood at each\n", ours.Name(), len(list), len(records))
	err := table(s.env.Stdout, func(line func(...any)) {
		for i, d := range list {
			if i == 0 {
				line("AT", "REPLICAS", "WAS", "BY", "WOULD BE", "BY", "WHY")
			}
			if i == shown {
				line("...", "", "", "", "", "", fmt.Sprintf("%d more; --json has them all", len(list)-shown))
				return
			}
			line(d.At.Local().Format(time.DateTime), d.Current, d.Was, d.WasBound, d.Would, d.Bound, d.Why)
		}
	})
	fmt.Fprintln(s.env.Stdout)
	return err
}
