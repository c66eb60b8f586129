package sqlite

import (
	"context"
	"database/sql"
	driver "database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/group"
)

// primary is the part of a result code that names its class; the rest refines it.
const primary = 0xff

// dataFault reports whether err is the fault of the row that was written: it breaks a rule of the
// schema, or is too large.
func dataFault(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & primary {
	case codes.SQLITE_CONSTRAINT, codes.SQLITE_MISMATCH, codes.SQLITE_TOOBIG, codes.SQLITE_RANGE:
		return true
	}
	return false
}

// breaks reports whether err ends the transaction that it occurred in, for everybody in it: the
// database or the connection failed, or the time ran out.
func breaks(err error) bool {
	if _, ok := errors.AsType[*sqlite.Error](err); ok {
		return !dataFault(err)
	}
	for _, end := range []error{
		context.Canceled, context.DeadlineExceeded, sql.ErrTxDone, sql.ErrConnDone, driver.ErrBadConn,
	} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// translate is classify for a caller: the end of its context is not the store's failure.
func translate(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return classify(err)
}

// classify gives err the form that the contract promises.
func classify(err error) error {
	for _, known := range []error{
		store.ErrNotFound, store.ErrUnavailable, store.ErrNoSpace, store.ErrClaimLost,
		store.ErrWorkerGone, store.ErrLeaseLost, store.ErrStale,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	switch {
	case outOfSpace(err):
		return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
	case breaks(err), errors.Is(err, group.ErrClosed), errors.Is(err, group.ErrNoVerdict):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}

// outOfSpace knows the two ways in which a full disk shows: a page could not be written, or the
// index of the log could not grow.
func outOfSpace(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&primary == codes.SQLITE_FULL || e.Code() == codes.SQLITE_IOERR_SHMSIZE)
}
