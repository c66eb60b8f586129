// Package isolate runs handlers in processes of their own, so that a file which makes a decoder take
// all memory, loop or crash ends its own job, and nothing else notices.
//
// A worker's side is [New]: a handler that starts the program's own binary anew for each run, with an
// empty environment, as a process group that is killed when the run's context ends. The child's side
// is [Serve]: it limits itself, and then calls the real handler with a run whose input, artifacts and
// children pass over two pipes. A child is never used twice, so that no file can leave anything behind
// for the next one; one is kept ready for each kind, since a start takes longer than many a job.
//
// On the pipes are frames: a kind of one byte, a stream's number and a length of four bytes each, and
// as many bytes. The worker begins with the run; the child reads the input, reports progress, sends
// artifacts and children in pieces, and ends with the result.
//
// The package imports jobs, and nothing else of Leat.
package isolate
