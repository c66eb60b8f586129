//go:build race

package table_test

// size of what is read to see how much memory that takes; the race detector makes it slow.
const size = 4 << 20
