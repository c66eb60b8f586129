package isolate

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits bound one run in its child.
type Limits struct {
	Memory int64         // bytes of address space, beyond what the program takes by itself
	CPU    time.Duration // of all its threads together, in whole seconds
	Files  int           // that are open at once
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
	return Limits{memory, time.Duration(cpu) * time.Second, files}, nil
}

// confine limits this process for good. Once the processor time is used up, spent is called; two
// seconds later the kernel ends the process.
func confine(l Limits, spent func()) error {
	taken, err := addressSpace()
	if err != nil {
		return err
	}
	debug.SetMemoryLimit(l.Memory * 3 / 4) // collect garbage harder before the limit than at it
	seconds := uint64(max(l.CPU/time.Second, 1))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGXCPU)
	go func() {
		<-signals
		spent()
	}()
	for resource, limit := range map[int]unix.Rlimit{
		unix.RLIMIT_AS:     {Cur: taken + uint64(l.Memory), Max: taken + uint64(l.Memory)},
		unix.RLIMIT_CPU:    {Cur: seconds, Max: seconds + 2},
		unix.RLIMIT_NOFILE: {Cur: uint64(l.Files), Max: uint64(l.Files)},
		unix.RLIMIT_CORE:   {},
		unix.RLIMIT_FSIZE:  {},
	} {
		if err := unix.Setrlimit(resource, &limit); err != nil {
			return fmt.Errorf("isolate: limit resource %d: %w", resource, err)
		}
	}
	return nil
}

// addressSpace is how much of it the process has by now, in bytes.
func addressSpace() (uint64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("isolate: %w", err)
	}
	pages, _, _ := strings.Cut(string(text), " ")
	n, err := strconv.ParseUint(pages, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("isolate: read /proc/self/statm: %w", err)
	}
	return n * uint64(os.Getpagesize()), nil
}
