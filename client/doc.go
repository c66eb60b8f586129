// Package client speaks Leat's HTTP API from Go. The command line uses it, and so can any program.
//
// It imports api/wire of Leat and nothing else.
package client
