package isolate

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Limits bound one run in its child, and how many there are. Memory, CPU and Files hold on Linux;
// elsewhere a child has its run's time alone.
type Limits struct {
	Memory int64         // bytes of address space, beyond what the program takes by itself
	CPU    time.Duration // of all its threads together, in whole seconds
	Files  int           // that are open at once
	// AtOnce is how many runs have a child at the same time; 0 means as many as come. The others wait, and
	// their own time goes on.
	AtOnce int
}

// DefaultLimits are enough for what Leat's own handlers are made for.
func DefaultLimits() Limits {
	return Limits{Memory: 1 << 30, CPU: 10 * time.Minute, Files: 64}
}

// args are limits as a child is given them, and parseLimits reads them.
func (l Limits) args() []string {
	return []string{
		strconv.FormatInt(l.Memory, 10), strconv.FormatInt(int64(l.CPU.Round(time.Second)/time.Second), 10), strconv.Itoa(l.Files),
	}
}

func parseLimits(args []string) (Limits, error) {
	if len(args) != 3 {
		return Limits{}, fmt.Errorf("isolate: %d limits, want 3", len(args))
	}
	memory, err1 := strconv.ParseInt(args[0], 10, 64)
	cpu, err2 := strconv.ParseInt(args[1], 10, 32)
	files, err3 := strconv.Atoi(args[2])
	if err := errors.Join(err1, err2, err3); err != nil {
		return Limits{}, fmt.Errorf("isolate: limits: %w", err)
	}
	return Limits{Memory: memory, CPU: time.Duration(cpu) * time.Second, Files: files}, nil
}
