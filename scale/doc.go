// Package scale decides how many workers there should be. [Decide] is a pure function: a policy,
// what was observed, and what earlier decisions left behind give a decision, which says for each
// rule what it asked for and which one bound. The same inputs give the same decision, so that a
// decision can be explained and replayed.
//
// It imports nothing of Leat, reads no clock and does no I/O.
package scale
