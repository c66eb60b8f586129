package store

import (
	"fmt"

	"github.com/leat-dev/leat/jobs"
)

// Checked leaves of an end what its outcome allows, for drivers to record: a result that
// jobs.CheckResult refuses makes it a failure, and a failure has an error fit to be stored.
func (end RunEnd) Checked() (RunEnd, error) {
	clean := RunEnd{JobID: end.JobID, Claim: end.Claim, Outcome: end.Outcome, Delay: max(end.Delay, 0)}
	switch end.Outcome {
	case jobs.RunSucceeded:
		if err := jobs.CheckResult(end.Result); err != nil {
			return end.Invalid(err.Error()), nil
		}
		clean.Result, clean.Artifacts, clean.Children = end.Result, end.Artifacts, end.Children
	case jobs.RunFailed, jobs.RunRetry:
		clean.Error = &jobs.Error{Code: jobs.CodeHandlerError}
		if end.Error != nil {
			clean.Error = jobs.AsError(end.Error)
		}
	case jobs.RunCancelled, jobs.RunDrained:
	default:
		return clean, fmt.Errorf("store: a run cannot end by itself as %q", end.Outcome)
	}
	return clean, nil
}

// Invalid is what becomes of a run whose result cannot be stored.
func (end RunEnd) Invalid(reason string) RunEnd {
	return RunEnd{
		JobID: end.JobID, Claim: end.Claim, Outcome: jobs.RunFailed,
		Error: &jobs.Error{Code: jobs.CodeInvalidResult, Message: reason},
	}
}
