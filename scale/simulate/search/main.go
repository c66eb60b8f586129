// Search finds, for each built-in load, the settings of KEDA and of Kubernetes' HPA that come closest
// to beating Leat on both wait and cost, and prints them beside Leat, under one policy for all loads,
// and beside their own defaults, as tables in Markdown:
//
//	go run ./scale/simulate/search -policy scale/simulate/testdata/policy.yaml -seeds 20
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/simulate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "search:", err)
		os.Exit(1) //nolint:forbidigo // this is a main function, of a program that is not in cmd
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("search", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("policy", "", "YAML file with Leat's policy; its defaults when empty")
	shape := flags.String("shape", "", "only this load")
	seeds := flags.Int("seeds", 20, "loads of each shape that what is printed is the mean of")
	coarse := flags.Int("coarse", 2, "of these, how many every setting is tried on first")
	coarseFor := flags.Duration("coarse-for", 24*time.Hour, "how much of these loads")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var text []byte
	if *file != "" {
		var err error
		if text, err = os.ReadFile(*file); err != nil {
			return err
		}
	}
	policy, err := scale.ParsePolicy(text, scale.Default())
	if err != nil {
		return err
	}
	s := search{ours: simulate.Leat{Policy: policy}, seeds: *seeds, coarse: min(*coarse, *seeds), coarseFor: *coarseFor, log: stderr}
	for _, sh := range simulate.Shapes() {
		if *shape == "" || *shape == sh.Name {
			if err := s.load(ctx, sh, stdout); err != nil {
				return err
			}
		}
	}
	return nil
}
