package jobs_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs"
)

func code(err error) jobs.Code {
	if e, ok := errors.AsType[*jobs.Error](err); ok && jobs.IsPermanent(err) {
		return e.Code
	}
	return ""
}

func TestBudgetEnds(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		budget jobs.Budget
		want   jobs.Code
	}{
		"depth":  {jobs.Budget{Jobs: 1}, jobs.CodeLimitOutput},
		"jobs":   {jobs.Budget{Depth: 1}, jobs.CodeLimitOutput},
		"time":   {jobs.Budget{Depth: 1, Jobs: 1, Until: now.Add(-1)}, jobs.CodeLimitTime},
		"enough": {jobs.Budget{Depth: 1, Jobs: 1, Until: now}, ""},
		"no end": {jobs.Budget{Depth: 1, Jobs: 1}, ""},
	} {
		before := c.budget.Jobs
		err := c.budget.Spawn(now)
		if code(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if took := before - c.budget.Jobs; took != 0 && err != nil {
			t.Errorf("%s: refused, and took %d", name, took)
		}
	}
	b := jobs.Budget{Bytes: 10}
	if err := errors.Join(b.Write(4), b.Write(6)); err != nil || b.Bytes != 0 {
		t.Errorf("wrote 10 of 10 bytes: %v, %d left", err, b.Bytes)
	}
	if err := b.Write(1); code(err) != jobs.CodeLimitOutput {
		t.Errorf("wrote 11 of 10 bytes: %v", err)
	}
}

// However a tree of jobs grows, it stays within its root's budget.
func TestBudgetHoldsForTheWholeTree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		root := jobs.Budget{
			Depth: rapid.IntRange(0, 4).Draw(t, "depth"), Jobs: rapid.IntRange(0, 50).Draw(t, "jobs"),
			Bytes: rapid.Int64Range(0, 1000).Draw(t, "bytes"),
		}
		made, bytes, deepest := 0, int64(0), 0
		var grow func(b jobs.Budget, depth int)
		grow = func(b jobs.Budget, depth int) {
			deepest = max(deepest, depth)
			children := 0
			for range rapid.IntRange(0, 4).Draw(t, "children") {
				size := rapid.Int64Range(0, 300).Draw(t, "size")
				if b.Spawn(time.Time{}) != nil || b.Write(size) != nil {
					break
				}
				made, bytes, children = made+1, bytes+size, children+1
			}
			for range children {
				grow(b.Share(children), depth+1)
			}
		}
		grow(root, 0)
		if made > root.Jobs || bytes > root.Bytes || deepest > root.Depth {
			t.Fatalf("%d jobs, %d bytes, %d deep of %+v", made, bytes, deepest, root)
		}
	})
}
