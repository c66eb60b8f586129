package system

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/leat-dev/leat/internal/testserver"
)

// statusKiB reads a field of /proc/<pid>/status that is given in KiB.
func statusKiB(tb testserver.TB, pid int, field string) int64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatalf("read a process's memory: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				tb.Fatalf("read a process's memory: %v", err)
			}
			return n
		}
	}
	tb.Fatalf("a process's status has no %s", field)
	return 0
}

// procCPU reads the processor time, in user mode and the kernel, from /proc/<pid>/stat.
func procCPU(tb testserver.TB, pid int) time.Duration {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatalf("read a process's time: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the program's name
	var ticks [2]int64
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		tb.Fatalf("a process's time is not in %q", text)
	}
	for i := range ticks {
		if ticks[i], err = strconv.ParseInt(fields[11+i], 10, 64); err != nil {
			tb.Fatalf("read a process's time: %v", err)
		}
	}
	return time.Duration(ticks[0]+ticks[1]) * (time.Second / 100) // Linux tells hundredths, whatever its own clock
}
