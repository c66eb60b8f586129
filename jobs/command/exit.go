package command

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

// ending is how a program came to its end.
type ending struct {
	code int           // its exit code, or 128 and the number of the signal that ended it
	cpu  time.Duration // processor time, with that of what it started and waited for
}

// afterSignal is what is added to a signal's number to make an exit code of it, as shells do.
const afterSignal = 128

// judge tells what the program's end means for the job. said is the last line of its standard error.
func (h *handler) judge(end ending, said string) error {
	if end.code == 0 {
		return nil
	}
	failure := &jobs.Error{Code: jobs.CodeHandlerError, Message: end.String()}
	if said != "" {
		failure.Message += ": " + said
	}
	exit := h.declared.Exit
	code, mapped := exit.Codes[end.code]
	switch {
	case mapped:
		failure.Code = code
	case slices.Contains(exit.Permanent, end.code):
	case slices.Contains(exit.Retry, end.code):
		return failure
	case end.overTime(h.declared.Limits.CPU):
		failure.Code = jobs.CodeLimitTime
	case end.code == afterSignal+int(syscall.SIGXFSZ):
		failure.Code = jobs.CodeLimitOutput
	case exit.Other != declare.Permanent:
		return failure
	}
	return jobs.Permanent(failure)
}

// overTime tells whether the limit on processor time has ended the program: by the first signal
// for it, or, where it has ignored that, by the last.
func (e ending) overTime(limit time.Duration) bool {
	return e.code == afterSignal+int(syscall.SIGXCPU) ||
		e.code == afterSignal+int(syscall.SIGKILL) && e.cpu >= limit
}

// String says it in words.
func (e ending) String() string {
	if e.code > afterSignal {
		return fmt.Sprintf("the program ended with exit code %d (%v)", e.code, syscall.Signal(e.code-afterSignal))
	}
	return fmt.Sprintf("the program ended with exit code %d", e.code)
}
