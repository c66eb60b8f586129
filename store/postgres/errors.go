package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/group"
)

// SQLSTATE codes that mean something here. See Appendix A of PostgreSQL's manual.
const (
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeDiskFull      = "53100"
	codeNoTable       = "42P01"
	codeProtocol      = "08P01"
)

// unavailable are the codes that say: the server cannot answer, or not in time; it may another day.
var unavailable = map[string]bool{
	"25006": true,                                              // read-only: it is a standby
	"25P03": true,                                              // the transaction was idle too long
	"53000": true, "53200": true, "53300": true, "53400": true, // out of something but disk space
	"55P03": true,                                                             // a lock was not to be had in time
	"57014": true,                                                             // cancelled, by a timeout of its own
	"57P01": true, "57P02": true, "57P03": true, "57P04": true, "57P05": true, // going down, coming up
	"58000": true, "58030": true, // its own disk fails it
	codeDeadlock: true, codeSerialization: true, // after as many tries as there are
}

// translate gives the contract's form of an error, judged by codes and types alone. ctx is the
// caller's: when it has ended, its error is the answer.
func translate(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("postgres: %s: %w", what, cause)
	}
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNoSpace):
		return err // translated already
	case errors.As(err, &pg) && pg.Code == codeDiskFull:
		return fmt.Errorf("postgres: %s: %w: %w", what, store.ErrNoSpace, err)
	case isUnavailable(err):
		// As text: a deadline of the store's own must not look like the caller's.
		return fmt.Errorf("postgres: %s: %w: %v", what, store.ErrUnavailable, err) //nolint:errorlint // see above
	}
	return fmt.Errorf("postgres: %s: %w", what, err)
}

func isUnavailable(err error) bool {
	var (
		connect *pgconn.ConnectError
		network net.Error
		pg      *pgconn.PgError
	)
	switch {
	case errors.As(err, &connect): // before PgError, which may be inside
		return true
	case errors.As(err, &pg):
		return unavailable[pg.Code] || pg.Code[:2] == "08"
	case errors.As(err, &network), pgconn.Timeout(err):
		return true
	}
	for _, gone := range []error{
		context.DeadlineExceeded, context.Canceled, // of the store's own contexts: the caller's lives
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		pgconn.ErrConnClosed, pgx.ErrTxClosed, puddle.ErrClosedPool,
		group.ErrClosed, group.ErrNoVerdict,
	} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

// isUndone reports whether Postgres undid a transaction for another's sake, so that doing it again
// is safe and likely to succeed.
func isUndone(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == codeDeadlock || pg.Code == codeSerialization)
}

// isData reports whether the statement failed for what it was to store, and not for the state of
// the world: a value that a column cannot hold (class 22), a broken constraint (23), or something
// too large or too deep (54).
func isData(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code[:2] {
	case "22", "23", "54":
		return true
	}
	return false
}
