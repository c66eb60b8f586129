package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/leat-dev/leat/jobs"
)

// A handler refuses an input that no further attempt would make better.
func ExampleFail() {
	handler := jobs.HandlerFunc(func(_ context.Context, run *jobs.Run) (any, error) {
		if run.File.Size == 0 {
			return nil, jobs.Fail(jobs.CodeMalformed, "%s is empty", run.File.Name)
		}
		return nil, nil
	})
	_, err := handler.Handle(context.Background(), &jobs.Run{File: jobs.File{Name: "photo.jpg"}})

	outcome, _ := jobs.DefaultRetry().AfterFailure(1, 5, err, 0.5)
	fmt.Println(outcome, "-", jobs.AsError(err))
	// Output: failed - malformed: photo.jpg is empty
}

// An error that will not pass ends the job, whatever attempts are left.
func ExamplePermanent() {
	err := jobs.Permanent(io.ErrUnexpectedEOF)

	outcome, _ := jobs.DefaultRetry().AfterFailure(1, 5, fmt.Errorf("page 3: %w", err), 0.5)
	fmt.Println(outcome, "-", jobs.AsError(err))
	// Output: failed - handler_error: unexpected EOF
}

// A service that says when it will be back is asked again just then.
func ExampleRetryAfter() {
	err := jobs.RetryAfter(90*time.Second, errors.New("the service is busy"))

	outcome, wait := jobs.DefaultRetry().AfterFailure(1, 5, err, 0.5)
	fmt.Println(outcome, "in", wait, "-", jobs.AsError(err))
	// Output: retry in 1m30s - handler_error: the service is busy
}
