package isolate

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// again replaces the process by the same program in its second life.
func again() error {
	runtime.LockOSThread() // exec keeps the thread that calls it, and what was set for it
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("isolate: give up new privileges: %w", err)
	}
	argv := slices.Clone(os.Args)
	argv[slices.Index(argv, stageNew)] = stageConfined
	if err := syscall.Exec("/proc/self/exe", argv, os.Environ()); err != nil { //nolint:gosec // the program itself
		return fmt.Errorf("isolate: begin anew: %w", err)
	}
	return nil
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
