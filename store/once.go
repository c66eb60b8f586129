package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// Onces keeps the first answers to requests that carry a key of their sender's, so that a request that
// is sent again gets the first answer again, and has its effect once. Bound to a tenant.
//
// A key that has its answer gives it to whoever asks with it; a request that differs gets ErrOtherRequest.
// Keys are forgotten after KeepOnce.
type Onces interface {
	// AcceptOnce is Accept, in one commit with the answer to it, which it returns: that of this call, or
	// of an earlier one, after which nothing is accepted and replayed is true. answer makes it from what was
	// accepted; it must be quick and has no other effect, since it may be called again. Of calls at the
	// same time one accepts, and the others wait for it. Errors are those of Accept, ErrOtherRequest, and
	// ErrOnceBusy.
	AcceptOnce(ctx context.Context, tenant jobs.Tenant, once Once, uploads []Upload, answer func([]Accepted) Answer) (accepted []Accepted, given Answer, replayed bool, err error)
	// BeginOnce makes the caller the one that answers, for hold, unless there is an answer, which it
	// returns then. Errors: ErrOtherRequest; ErrOnceBusy while another caller is the one.
	BeginOnce(ctx context.Context, tenant jobs.Tenant, once Once, hold time.Duration) (*Answer, error)
	// EndOnce keeps the answer of the caller that BeginOnce made the one, or with nil lets another be it.
	// It has no effect once another is.
	EndOnce(ctx context.Context, tenant jobs.Tenant, once Once, answer *Answer) error
}

// KeepOnce is for how long a key stands for its first request.
const KeepOnce = 24 * time.Hour

var (
	// ErrOtherRequest: the key was used for a request that differs from this one.
	ErrOtherRequest = errors.New("store: the key stands for another request")
	// ErrOnceBusy: another call with the key is under way, and has no answer yet.
	ErrOnceBusy = errors.New("store: a request with the key is under way")
)

// Once is a request that is to have its effect once.
type Once struct {
	Key     string    // of the sender
	Request [32]byte  // a hash of all that matters of the request
	Holder  uuid.UUID // of this call
}

// Answer is the answer to a request.
type Answer struct {
	Status   int
	Location string // empty for none
	Body     []byte
}
