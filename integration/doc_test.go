// Package integration proves the promises on the programs as they run in a cluster: processes that
// are killed, stopped and cut off, on a real Redis and a real Postgres.
package integration
