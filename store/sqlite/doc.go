// Package sqlite keeps Leat's truth in one SQLite file, for the embedded default in which a single
// process is everything. It implements store.Store with modernc.org/sqlite, which needs no C
// compiler, through database/sql.
//
// # How it writes
//
// SQLite lets one transaction write at a time, so there is one connection that writes. Every small
// write, whatever its kind, goes through one group: uploads, claims, ends and heartbeats that
// arrive together share a transaction and its one sync of the log. A call that fails on its own
// data, or that the state of things forbids, fails alone: the group is rolled back and done again,
// each call behind a savepoint. Large writes (pruning, bulk cancels, reaping) have a transaction of
// their own.
//
// Because nobody else can write meanwhile, a transaction reads a job, decides in Go with the pure
// rules of package jobs, and writes it back; the change, its event, its attempt and the roll-up are
// one commit. A parent is settled in the transaction in which its last child ends.
//
// # How it reads
//
// A bounded pool of read-only connections reads beside the writer; each sees the last commit as of
// its transaction's start (the log is a write-ahead log). A write that was acknowledged is seen by
// every read that begins after it.
//
// # How durable it is
//
// The write-ahead log is synced at every commit (synchronous=FULL; fdatasync where the system has
// it, F_FULLFSYNC on macOS) before anybody is told of it. The database and its log are readable by their owner only.
//
// The file must lie on a local disk and belong to one process; keeping a second one away is the
// caller's business.
//
// It may import jobs, store and store/group. Nothing else of Leat may import modernc.org/sqlite.
package sqlite
