// Package blob is the contract of the blob store, which holds the bytes of files and artifacts
// that are too large for a row of the store.
//
// A blob store knows nothing of files, jobs or tenants: it keeps objects under keys, and the store
// decides which of them are wanted. Objects are written once, whole or piece by piece, never changed
// then, and deleted when no row owns them any longer. The implementations are in packages of their own below this one, and
// all of them pass the suite in blobtest.
//
// The package imports nothing else of Leat.
package blob

import (
	"context"
	"io"
	"time"

	"github.com/google/uuid"
)

// Store keeps objects under keys. Its methods may be called from many goroutines and processes at
// once, each honours its context, and each answers a Key that is not valid with ErrInvalidKey.
//
// Store is what every implementation can do. What only some can do is an interface of its own that
// a caller asserts, as TempSweeper and Appender are.
type Store interface {
	// Put reads content until io.EOF and keeps it under key, hashing it on the way. It returns nil
	// only when the object is durable: it is whole after a crash of the machine at any later time.
	// Memory does not grow with the content.
	//
	// It fails with ErrExist when there is an object under key already, which it leaves as it is,
	// and with ErrNoSpace when the storage is full. An error of content is returned wrapped, so
	// that errors.Is and errors.As find it; after it, and after the end of ctx, nothing is kept.
	// After a failure of the storage itself it is unknown whether there is an object under key,
	// but if there is, it is whole. Keys are never reused, so Put is not to be repeated with the
	// same key: the sweep of objects that no row owns takes what such a Put may have left.
	//
	// Put ends only when a Read of content that is under way has returned. Who passes content that
	// can block must see to it that the end of ctx ends its Read.
	Put(ctx context.Context, key Key, content io.Reader) (Info, error)

	// Open gives the object under key for reading, or ErrNotExist. The caller closes it. An object
	// that is deleted while it is open either can be read to its end or fails; it never gives
	// other bytes.
	Open(ctx context.Context, key Key) (Object, error)

	// Stat tells of the object under key, or answers ErrNotExist.
	Stat(ctx context.Context, key Key) (Entry, error)

	// Delete removes the object under key. That there is none is success. A crash of the machine
	// may bring a deleted object back: deleting is repeated by the sweep of objects without a row.
	Delete(ctx context.Context, key Key) error

	// List gives the objects whose keys come after the given one, in the order of their keys, at
	// most limit (at least 1) of them. The zero Key comes before all others. An answer shorter
	// than limit is the last; objects that come or go during a List may be in it or not. It needs
	// memory for limit entries, however many objects there are.
	List(ctx context.Context, after Key, limit int) ([]Entry, error)

	// EnsureIdentity marks the blob store as belonging to the store with the given id, durably. If
	// it bears that mark already, this is success; if it bears another's, ErrForeign.
	EnsureIdentity(ctx context.Context, id uuid.UUID) error

	// Identity gives the id of the store that the blob store belongs to, or ErrNotExist when it
	// bears no mark. Whoever deletes what no row owns must compare it with its own store's id
	// first, or it would empty a blob store whose rows are elsewhere.
	Identity(ctx context.Context) (uuid.UUID, error)
}

// Object is an object that is open for reading. ReadAt may be called from many goroutines at once,
// beside one that calls Read and Seek.
type Object interface {
	io.ReadSeekCloser
	io.ReaderAt
	// Size is the length of the object in bytes.
	Size() int64
}

// Info is what Put learned about the content.
type Info struct {
	Size   int64 // bytes
	SHA256 [32]byte
}

// Entry is what a store knows of an object without reading it.
type Entry struct {
	Key  Key
	Size int64 // bytes
	// ModTime is about when the last byte was written, by the storage's own clock. It is never
	// later than the end of the Put.
	ModTime time.Time
}

// TempSweeper is a Store whose Puts leave something behind when their process is killed.
type TempSweeper interface {
	// SweepTemp removes the leftovers of Puts that have written nothing since olderThan, and gives
	// their number. A Put that is under way and that slow fails. It goes on past a leftover that
	// it cannot remove, and then returns an error beside the number.
	SweepTemp(ctx context.Context, olderThan time.Time) (int, error)
}
