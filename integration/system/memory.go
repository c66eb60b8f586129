package system

import (
	"fmt"
	"os"
	"strconv"
	"strings"

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
