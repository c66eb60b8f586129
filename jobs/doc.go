// Package jobs is Leat's domain: what a job is, the states it moves through, how long it waits
// before it is tried again, which kinds of work exist, and what a handler is given and may answer.
//
// It is pure: no I/O, no clock and no randomness of its own, and it imports nothing else of Leat.
// Every other package may import it.
package jobs
