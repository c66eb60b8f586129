package blob

import "errors"

// The errors that callers of a Store tell apart, with errors.Is. The errors that a Store returns
// wrap them with the key and, where there is one, the cause.
var (
	// ErrNotExist says that there is no object under the key, or no mark of identity.
	ErrNotExist = errors.New("blob: does not exist")
	// ErrExist says that there is an object under the key already.
	ErrExist = errors.New("blob: exists already")
	// ErrNoSpace says that the storage is full, or its quota is used up.
	ErrNoSpace = errors.New("blob: no space left")
	// ErrForeign says that the blob store belongs to another store.
	ErrForeign = errors.New("blob: belongs to another store")
	// ErrBusy says that another call appends to the object.
	ErrBusy = errors.New("blob: is being appended to")
	// ErrInvalidKey says that a key is not a UUIDv7 in its canonical form.
	ErrInvalidKey = errors.New("blob: invalid key")
)
