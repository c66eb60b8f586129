package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/leat-dev/leat/blob"
)

func testRoundTrip(t *testing.T, store blob.Store) {
	sizes := []int{
		0, 1, 4095, 4096,
		64<<10 - 1, 64 << 10, 64<<10 + 1,
		256<<10 - 1, 256 << 10, 256<<10 + 1,
		1<<20 - 1, 1 << 20, 1<<20 + 1, 1<<20 + 64<<10,
		17<<20 + 12345,
	}
	for i, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			key, content := blob.NewKey(), Content(uint64(i), size)
			Put(t, store, key, content)
			CheckContent(t, store, key, content)
			entry, err := store.Stat(t.Context(), key)
			if err != nil || entry.Key != key || entry.Size != int64(size) || entry.ModTime.IsZero() {
				t.Errorf("Stat = %+v, %v", entry, err)
			}
		})
	}
	for name, wrap := range readers {
		t.Run(name, func(t *testing.T) {
			key, content := blob.NewKey(), Content(99, 300<<10)
			if _, err := store.Put(t.Context(), key, wrap(bytes.NewReader(content))); err != nil {
				t.Fatal(err)
			}
			CheckContent(t, store, key, content)
		})
	}
	checkNoLeftovers(t, store)
}

// readers are ways in which content may come.
var readers = map[string]func(io.Reader) io.Reader{
	"one byte at a time":      iotest.OneByteReader,
	"half of what is wanted":  iotest.HalfReader,
	"io.EOF with the last":    iotest.DataErrReader,
	"nothing every other way": func(r io.Reader) io.Reader { return &stutter{r: r} },
}

// stutter gives nothing, without an error, every other time.
type stutter struct {
	r   io.Reader
	odd bool
}

func (s *stutter) Read(p []byte) (int, error) {
	if s.odd = !s.odd; s.odd {
		return 0, nil
	}
	return s.r.Read(p)
}

func testPutIsExclusive(t *testing.T, store blob.Store) {
	key, first := blob.NewKey(), Content(1, 100<<10)
	Put(t, store, key, first)
	_, err := store.Put(t.Context(), key, bytes.NewReader(Content(2, 200<<10)))
	if !errors.Is(err, blob.ErrExist) {
		t.Errorf("a second Put = %v, want ErrExist", err)
	}
	CheckContent(t, store, key, first)
	checkNoLeftovers(t, store)
}

func testPutsOfOneKeyAtOnce(t *testing.T, store blob.Store) {
	const puts = 8
	key := blob.NewKey()
	errs := make([]error, puts)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			_, errs[i] = store.Put(t.Context(), key, bytes.NewReader(Content(uint64(i), 70<<10+i)))
		})
	}
	group.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			t.Errorf("Puts %d and %d of the same key succeeded", winner, i)
		case !errors.Is(err, blob.ErrExist):
			t.Errorf("Put %d = %v, want ErrExist", i, err)
		}
	}
	if winner < 0 {
		t.Fatal("no Put succeeded")
	}
	CheckContent(t, store, key, Content(uint64(winner), 70<<10+winner))
	checkNoLeftovers(t, store)
}

func testPutsAtOnce(t *testing.T, store blob.Store) {
	const puts = 64
	sizes := []int{0, 10, 70 << 10, 600 << 10, 3 << 20}
	keys := make([]blob.Key, puts)
	errs := make([]error, puts)
	var group sync.WaitGroup
	for i := range keys {
		keys[i] = blob.NewKey()
		group.Go(func() {
			content := Content(uint64(i), sizes[i%len(sizes)])
			_, errs[i] = store.Put(t.Context(), keys[i], onlyReader{bytes.NewReader(content)})
		})
	}
	group.Wait()
	for i, key := range keys {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		CheckContent(t, store, key, Content(uint64(i), sizes[i%len(sizes)]))
	}
	if got := len(All(t, store, 10)); got != puts {
		t.Errorf("List gives %d objects, want %d", got, puts)
	}
}

func testReaderErrorLeavesNothing(t *testing.T, store blob.Store) {
	own := errors.New("an error of the reader's own")
	for _, size := range []int{0, 1, 64 << 10, 5 << 20} {
		// io.ErrUnexpectedEOF is how a request's body says that the sender went away; an io.EOF
		// in the middle of an error is not the end either.
		for _, want := range []error{own, io.ErrUnexpectedEOF, fmt.Errorf("wrapped: %w", io.EOF)} {
			key := blob.NewKey()
			content := io.MultiReader(bytes.NewReader(Content(1, size)), iotest.ErrReader(want))
			if _, err := store.Put(t.Context(), key, content); !errors.Is(err, want) {
				t.Errorf("Put of %d bytes and an error = %v, want it to wrap %v", size, err, want)
			}
			CheckAbsent(t, store, key)
		}
	}
	key := blob.NewKey()
	if _, err := store.Put(t.Context(), key, idle{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("Put of a reader that gives nothing = %v, want io.ErrNoProgress", err)
	}
	CheckAbsent(t, store, key)
}

// idle never gives anything.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func testReaderPanicLeavesNothing(t *testing.T, store blob.Store) {
	key := blob.NewKey()
	func() {
		defer func() {
			if got := recover(); got != "reader" {
				t.Errorf("recovered %v, want the reader's panic", got)
			}
		}()
		content := io.MultiReader(bytes.NewReader(Content(1, 2<<20)), panicking{})
		_, err := store.Put(t.Context(), key, content)
		t.Errorf("Put = %v, want the reader's panic", err)
	}()
	CheckAbsent(t, store, key)
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("reader") }

func testCancelledPutLeavesNothing(t *testing.T, store blob.Store) {
	for _, size := range []int{0, 100 << 10, 5 << 20} {
		cause := errors.New("cancelled by the test")
		ctx, cancel := context.WithCancelCause(t.Context())
		key := blob.NewKey()
		// The content goes on without end once it has cancelled: only ctx can end the Put.
		content := io.MultiReader(bytes.NewReader(Content(1, size)), &endless{once: func() { cancel(cause) }})
		if _, err := store.Put(ctx, key, content); !errors.Is(err, cause) {
			t.Errorf("Put that was cancelled after %d bytes = %v, want the cause", size, err)
		}
		CheckAbsent(t, store, key)
	}
}

// endless calls once and then gives zeros for ever.
type endless struct{ once func() }

func (e *endless) Read(p []byte) (int, error) {
	e.once()
	return copy(p, make([]byte, min(len(p), 1000))), nil
}
