package app

import (
	"errors"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent is how much the heap may grow between collections, in percent of what is alive: more
// than Go's 100, since what is alive in a Leat process is a few MiB, and was collected 30 times a
// second under load. At 400, an api of small uploads accepts about 8 % more and takes 20 MiB more.
const gcPercent = 400

// tuneMemory lets the heap grow, up to nine tenths of what the container may use. Whoever sets GOGC
// or GOMEMLIMIT knows better.
func tuneMemory(log *slog.Logger) {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	switch limit, err := memlimit.Set(); {
	case errors.Is(err, memlimit.ErrCgroupsNotSupported), errors.Is(err, memlimit.ErrNoCgroup): // nobody limits it
	case err != nil:
		log.Warn("memory limit of the container is unknown; set GOMEMLIMIT if there is one", "error", err)
	default:
		log.Debug("memory limit", "bytes", limit)
	}
}
