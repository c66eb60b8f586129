//go:build !race

package table_test

// size of what is read to see how much memory that takes.
const size = 16 << 20
