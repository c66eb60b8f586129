package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/leat-dev/leat/jobs"
)

// work is what the test kind is told to do.
type work struct {
	Millis   int  `json:"millis,omitempty"`   // takes so long
	Stubborn bool `json:"stubborn,omitempty"` // and does not look at its context
	Fail     int  `json:"fail,omitempty"`     // fails so many attempts first
	Artifact int  `json:"artifact,omitempty"` // makes an artifact of so many bytes
}

var errAsked = errors.New("failed as it was asked to")

// workKind is the kind "work", which retries quickly.
func workKind() jobs.Kind {
	return jobs.Kind{Handler: jobs.HandlerFunc(doWork), Spec: jobs.Spec{
		Name: "work", Version: 1, Summary: "Does what a test tells it to.", Params: work{},
		Retry:   jobs.Retry{Base: 50 * time.Millisecond, Factor: 2, Cap: time.Second, Jitter: 0.2, MaxAttempts: 5},
		Timeout: 5 * time.Minute,
	}}
}

func doWork(ctx context.Context, run *jobs.Run) (any, error) {
	started := time.Now()
	params, err := jobs.DecodeParams[work](run)
	if err != nil {
		return nil, err
	}
	took := time.NewTimer(time.Duration(params.Millis) * time.Millisecond)
	defer took.Stop()
	if params.Stubborn {
		ctx = context.WithoutCancel(ctx)
	}
	select {
	case <-took.C:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if run.Attempt <= params.Fail {
		return nil, errAsked
	}
	if params.Artifact > 0 {
		content := io.LimitReader(neverEnding{}, int64(params.Artifact))
		if _, err := run.Artifact(ctx, "made.bin", "application/octet-stream", content); err != nil {
			return nil, err
		}
	}
	read, err := io.Copy(io.Discard, run.Input)
	if err != nil {
		return nil, fmt.Errorf("read the input: %w", err)
	}
	return map[string]int64{"read": read, "started_us": started.UnixMicro()}, nil
}

// neverEnding reads as the letter x for ever.
type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) {
	copy(p, bytes.Repeat([]byte{'x'}, len(p)))
	return len(p), nil
}
