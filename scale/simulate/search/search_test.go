package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/simulate"
)

func spike(t *testing.T) simulate.Shape {
	t.Helper()
	for _, s := range simulate.Shapes() {
		if s.Name == "spike" {
			return s
		}
	}
	t.Fatal("there is no spike")
	return simulate.Shape{}
}

// Of the settings the one is found that comes closest to beating ours, and those that do are counted.
func TestBest(t *testing.T) {
	t.Parallel()
	loads := []*simulate.Load{spike(t).Load(1), spike(t).Load(2)}
	slow := scale.Default()
	slow.Min = 20 // all the time
	s := search{ours: simulate.Leat{Policy: slow}, seeds: 2, coarse: 1, coarseFor: time.Hour, log: io.Discard}
	ours, err := run1(t.Context(), loads, s.ours)
	if err != nil {
		t.Fatal(err)
	}
	cheap, same := simulate.KEDA{Active: true}, simulate.HPA{Min: 20}
	best, beaten, err := s.best(t.Context(), loads, []simulate.Rules{cheap, same}, ours)
	if err != nil {
		t.Fatal(err)
	}
	if best.rules != simulate.Rules(same) || beaten != 0 {
		t.Errorf("%v is the best of the two, and %d beat 20 replicas on wait and cost", best.rules, beaten)
	}
	slow.Min, slow.Max, slow.Drain = 2, 3, nil
	slow.Depth = &scale.Depth{JobsPerReplica: 1}
	slow.Behavior.ScaleDown.Window = time.Hour
	s.ours.Policy = slow // waits long, and stays large: more cost and more wait than two replicas and a few more
	if ours, err = run1(t.Context(), loads, s.ours); err != nil {
		t.Fatal(err)
	}
	quick := simulate.AtOnce(30 * time.Second)
	cheaper := simulate.KEDA{Active: true, Target: 15, Behavior: &quick, Min: 1}
	if _, beaten, err = s.best(t.Context(), loads, []simulate.Rules{cheaper}, ours); err != nil || beaten != 1 {
		t.Errorf("%d beat a policy that is slow and costly: %v", beaten, err)
	}
}

// The defaults are among the settings.
func TestGrid(t *testing.T) {
	t.Parallel()
	slots := 10
	defaults := map[string]bool{
		simulate.KEDA{Target: 10}.String():                                    false,
		simulate.KEDA{Target: 10, Active: true}.String():                      false,
		simulate.HPA{Target: 10}.String():                                     false,
		simulate.HPA{Target: 10, Pending: true, Scrape: 5e9, Min: 4}.String(): false,
	}
	seen := make(map[string]bool)
	for _, list := range [][]simulate.Rules{kedas(slots), hpas(slots)} {
		for _, rules := range list {
			text := fmt.Sprint(rules)
			if _, ok := defaults[text]; ok {
				defaults[text] = true
			}
			seen[rules.Name()] = true
		}
	}
	for text, found := range defaults {
		if !found {
			t.Errorf("not tried: %s", text)
		}
	}
	if !seen["keda"] || !seen["hpa"] {
		t.Errorf("tried: %v", seen)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	rows := []row{{"**Leat**", "", tried{Summary: simulate.Summary{WaitP99: 1.234, Missed: 0.5, PodHours: 7}}}}
	if err := table(&out, spike(t), rows, "A note."); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"### spike", "| **Leat** | 1.23 | 50.00 % | 7.00 |", "A note."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-policy", "no such file"}, {"-seeds", "x"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
