// Package postgres keeps Leat's truth in PostgreSQL 14 or newer. It implements store.Store with pgx
// and a pool of its own.
//
// # How it writes
//
// The hot calls (Accept, Claim, End) are grouped: those that arrive together share one statement
// and with it one round trip and one commit. Every change of a job's state appends its events, its
// attempt and its roll-up in the statement that makes it. Every commit waits for the disk but that
// of a claim, whose loss a crash repairs by itself.
//
// Rows are locked in the order of their IDs, and a transaction changes the jobs of one level of a
// family only (a job, or children), so that writers never wait for each other in a circle. What
// Postgres ends as a deadlock nevertheless is done again a few times. What fails because the
// connection broke or the time ran out is never done again: it may have happened.
//
// Every statement has a deadline (Options.StatementTimeout), and ages, due times and leases are
// counted by the database's clock.
//
// # Behind a pooler in transaction mode
//
// Options.Pooler makes the store fit for PgBouncer's transaction mode. It takes these settings of
// pgx: QueryExecModeCacheDescribe, so that each statement is sent unprepared in one round trip (the
// types of its parameters are remembered on this side); no cache of prepared statements, as the
// server connection changes with each transaction; and no run-time parameters in the start-up
// message, which PgBouncer refuses. The package uses no LISTEN, no session's state, no temporary
// tables and no session locks, but for migrations: these hold an advisory lock, and need a direct
// connection (Options.MigrateURL).
//
// # Reading all events
//
// Events are read in the order of the transactions that wrote them, up to the oldest transaction
// that is open anywhere in the server: one that is left open, in whatever database, holds the feed
// up. Transaction IDs do not outlive a dump. After restoring one into another server, run
//
//	UPDATE events SET xid = pg_current_xact_id();
//
// It may import jobs, store and store/group. Nothing else of Leat may import pgx.
package postgres
