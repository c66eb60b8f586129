package blob

import (
	"context"
	"io"
)

// Appender is a Store that also takes an object in pieces: over several calls, of several processes,
// with any time in between. How far an object has come is for the caller to keep, as a Progress. An
// object in the making is there for Open, Stat, List and Delete as any other is.
type Appender interface {
	Store

	// Append reads content until io.EOF and keeps it under key, behind the first at.Size bytes, which
	// earlier calls have kept; the zero Progress begins the object. What earlier calls may have left
	// behind those bytes is written over, or cut off by Seal. Memory does not grow with the content.
	//
	// The Progress that it returns is durable: also beside an error, of which it tells how much was kept
	// until then. An error of content, and the cause of the end of ctx, are returned wrapped. While the
	// call goes on, it tells saved, unless that is nil, of what has become durable; saved runs beside the
	// reading, one call at a time, and none is under way when Append returns. An error of saved ends the
	// call and is returned wrapped.
	//
	// It fails with ErrBusy while another call appends to the object, in whatever process; the end of
	// a process ends its calls. With ErrNotExist when at.Size is above 0 and the object is not there or
	// is shorter, and with ErrNoSpace when the storage is full.
	Append(ctx context.Context, key Key, at Progress, content io.Reader, saved func(Progress) error) (Progress, error)

	// Seal ends the making: the object is the first at.Size bytes, durable, and no call may append to it
	// any more. Repeating it is success. Errors are those of Append.
	Seal(ctx context.Context, key Key, at Progress) (Info, error)
}

// Progress is how far an object in the making has come.
type Progress struct {
	Size int64 // bytes
	// State is the Appender's own, to be given back as it was. It holds a few hundred bytes: how far
	// the hash has come.
	State []byte
}
