// Package api is Leat's HTTP interface: it takes uploads in, stores their bytes, commits file and
// job, and answers questions about jobs, files and queues.
//
// One table of routes drives everything: the mux, the OpenAPI document, the page that people read,
// the labels of the metrics. Calls that answer JSON go through huma; where bytes stream, plain
// handlers do the work. Every refusal is a problem+json with a stable code from one table.
//
// The package is given the tenant-bound roles of the store and links no decoder: what it knows of
// a kind of work is its spec. It imports jobs, jobs/sniff, blob, store and api/wire of Leat.
package api
