// Package system runs Leat as it runs in a cluster, for tests: the api and the worker as processes
// of their own (integration/program), on a real Redis and a real Postgres, so that they can be
// killed, stopped and cut off. It is for tests and bench only.
package system
