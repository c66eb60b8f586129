package isolate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/leat-dev/leat/jobs"
)

// The two lives of a child.
const (
	stageNew      = "new"      // gives up gaining privileges, which only an exec gives up for all threads
	stageConfined = "confined" // does the work
)

// Main is a child's main function. Its arguments are those that New has given it, behind what its
// caller put before them. A child whose time or memory is up ends with the outcome that says so, or
// without any.
func Main(ctx context.Context, handlers map[string]jobs.Handler, args []string, in io.Reader, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("isolate: a child without a kind")
	}
	handler, ok := handlers[args[0]]
	if !ok {
		return fmt.Errorf("isolate: no handler for the kind %q", args[0])
	}
	if args[1] == stageNew {
		return again()
	}
	limits, err := parseLimits(args[2:])
	if err != nil {
		return err
	}
	err = confine(limits, func() {
		spent := failureOf(jobs.Fail(jobs.CodeLimitTime, "work on the file took more than %v of processor time", limits.CPU))
		// If the pipe is in use, the worker sees from how the process ends what it was.
		_ = newWire(in, out).sendJSON(frameResult, 0, outcome{Failed: spent})
		os.Exit(exitSpent) //nolint:forbidigo // the handler cannot be ended otherwise, and the process is its own
	})
	if err != nil {
		return err
	}
	return Serve(ctx, handler, in, out)
}

// exitSpent is the exit code of a child whose processor time is up.
const exitSpent = 4
