// Package faultfs is a disk that fails on demand: an fsblob.FS in memory that forgets at a crash
// what was not synced, and whose operations fail where a test wants them to.
//
// A file's content is safe once it was synced, and a name once the folder that it is in was synced.
// At a crash each change that is not safe is lost or kept, as the test decides, one by one: a disk
// promises neither. After a sync that failed, a file's content is never safe, though a second sync
// says so, as it is on Linux.
//
// It is for tests; no program imports it. It imports fsblob, whose FS it is, and blob.
package faultfs

import (
	"errors"
	"slices"
	"sync"

	"github.com/leat-dev/leat/blob/fsblob"
)

// Kind is what an operation does.
type Kind string

// The kinds of operations, one for each method of fsblob.FS and of what it opens.
const (
	Create   Kind = "create"
	Edit     Kind = "edit"
	Write    Kind = "write"
	Truncate Kind = "truncate"
	Sync     Kind = "sync"
	Close    Kind = "close" // of a file that was written
	Open     Kind = "open"
	Read     Kind = "read"
	Stat     Kind = "stat"
	Mkdir    Kind = "mkdir"
	Move     Kind = "move"
	Remove   Kind = "remove"
	Names    Kind = "names"
	SyncDir  Kind = "syncdir"
)

// Op is an operation that is about to be done.
type Op struct {
	Step int // 1 for the first since New
	Kind Kind
	Path string // the old one of a Move
}

// Fault is what goes wrong with an operation. The zero Fault is that nothing does.
type Fault struct {
	// Err is the operation's error, such as syscall.ENOSPC or syscall.EIO.
	Err error
	// Applied says that the operation takes effect in spite of Err. A Write then writes the first
	// half of what it was given. A Sync never takes effect when it fails.
	Applied bool
	// PowerOff says that nothing works from here on, until Crash: Err is ErrPowerOff.
	PowerOff bool
}

// ErrPowerOff is the error of every operation on a disk whose power is off, and on a file that was
// open when it went off.
var ErrPowerOff = errors.New("faultfs: the power is off")

// FS is the disk. Its methods may be called from many goroutines at once.
type FS struct {
	mu     sync.Mutex
	root   *node
	inject func(Op) Fault
	steps  int
	off    bool
	boots  int // how often it was crashed: files of an earlier boot are dead
}

var _ fsblob.FS = (*FS)(nil)

// New gives an empty disk that works.
func New() *FS {
	return &FS{root: newDir(), inject: func(Op) Fault { return Fault{} }}
}

// Inject makes fault decide about every operation from here on, in place of the function before
// it. It is called by one goroutine at a time, and must not use the disk. Nil makes all work.
func (f *FS) Inject(fault func(Op) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault == nil {
		fault = func(Op) Fault { return Fault{} }
	}
	f.inject = fault
}

// At is for Inject: the operation number step has the fault.
func At(step int, fault Fault) func(Op) Fault {
	return func(op Op) Fault {
		if op.Step == step {
			return fault
		}
		return Fault{}
	}
}

// On is for Inject: every operation of one of the kinds has the fault.
func On(fault Fault, kinds ...Kind) func(Op) Fault {
	return func(op Op) Fault {
		if slices.Contains(kinds, op.Kind) {
			return fault
		}
		return Fault{}
	}
}

// Steps is the number of operations since New.
func (f *FS) Steps() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.steps
}

// Crash turns the power off and on again. Of each change that was not safe, keep says whether it
// is still there: a name that was made or removed, a file's length, and each 4 KiB of its content,
// where zeros take the place of what is lost. A nil keep loses all of them. What Inject was given
// stays.
func (f *FS) Crash(keep func() bool) {
	if keep == nil {
		keep = func() bool { return false }
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.root.crash(keep)
	f.off = false
	f.boots++
}

// anyBoot is the boot of an operation that uses no open file.
const anyBoot = -1

// do does one operation, of a file that was opened in the given boot: effect, unless a fault takes
// its place. It tells effect when only half of it is wanted.
func (f *FS) do(kind Kind, path string, boot int, effect func(half bool) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off || boot != anyBoot && boot != f.boots {
		return ErrPowerOff
	}
	f.steps++
	fault := f.inject(Op{Step: f.steps, Kind: kind, Path: path})
	if fault.PowerOff {
		f.off = true
		fault.Err = ErrPowerOff
	}
	if fault.Err == nil {
		return effect(false)
	}
	if fault.Applied {
		if err := effect(true); err != nil {
			return err
		}
	}
	return fault.Err
}
