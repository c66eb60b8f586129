package table

import (
	"cmp"
	"slices"
)

// maxValue bounds a cell's text where it is shown, in bytes.
const maxValue = 128

// frequent finds the most frequent values among more than it can count, in the manner of Misra and
// Gries: when its table is full, the median count is taken off all, and those without a count go.
// A count is therefore too small by at most lost, and a value that was there more often than that is
// in the table. Values are told apart by a hash of 64 bits.
//
// The sketch of the library for sketches takes strings, which costs an allocation for each cell.
type frequent struct {
	slots []slot // a power of two, at most three quarters in use
	spare []slot // the table before this one, empty
	used  int
	most  int // slots at most
	lost  int64
}

type slot struct {
	hash  uint64
	count int64
	text  []byte // cut
}

func newFrequent(most int) *frequent {
	return &frequent{slots: make([]slot, min(8, most)), most: most}
}

func (f *frequent) add(hash uint64, text []byte) {
	s := f.find(hash)
	if s.count > 0 {
		s.count++
		return
	}
	if f.used >= len(f.slots)*3/4 {
		if len(f.slots) < f.most {
			f.rebuild(2*len(f.slots), 0)
		} else {
			f.purge()
		}
		s = f.find(hash)
	}
	f.used++
	s.hash, s.count = hash, 1
	s.text = append(s.text[:0], text[:min(len(text), maxValue+1)]...)
}

// find gives the slot of a hash, or the free one where it belongs.
func (f *frequent) find(hash uint64) *slot {
	mask := uint64(len(f.slots) - 1)
	for i := hash >> 32 & mask; ; i = (i + 1) & mask {
		if s := &f.slots[i]; s.count == 0 || s.hash == hash {
			return s
		}
	}
}

func (f *frequent) purge() {
	counts := make([]int64, 0, 256)
	for i := range f.slots {
		if f.slots[i].count > 0 {
			counts = append(counts, f.slots[i].count)
		}
	}
	slices.Sort(counts)
	median := counts[len(counts)/2]
	f.lost += median
	f.rebuild(len(f.slots), median)
}

// rebuild makes a table of another size, or of the same one, and takes something off each count. What
// it replaces is used the next time, with the memory of its texts.
func (f *frequent) rebuild(size int, off int64) {
	old := f.slots
	if f.slots = f.spare; len(f.slots) != size {
		f.slots = make([]slot, size)
	}
	f.spare, f.used = old, 0
	for i := range old {
		s := &old[i]
		if s.count > off {
			to := f.find(s.hash)
			to.hash, to.count = s.hash, s.count-off
			to.text, s.text = s.text, to.text
			f.used++
		}
		s.count = 0
	}
}

// top gives the most frequent values, the most frequent first, as far as they are certain to be
// more frequent than what may have been lost.
func (f *frequent) top(n int) []Value {
	slots := slices.DeleteFunc(slices.Clone(f.slots), func(s slot) bool { return s.count == 0 || s.count <= f.lost })
	slices.SortFunc(slots, func(a, b slot) int {
		return cmp.Or(cmp.Compare(b.count, a.count), slices.Compare(a.text, b.text))
	})
	values := make([]Value, 0, n)
	for _, s := range slots[:min(n, len(slots))] {
		values = append(values, Value{Value: shown(s.text), Count: s.count})
	}
	return values
}
