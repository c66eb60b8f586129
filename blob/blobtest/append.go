package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/blob"
)

// appending is a test of the stores that are Appenders.
func appending(test func(t *testing.T, store blob.Appender)) func(t *testing.T, store blob.Store) {
	return func(t *testing.T, store blob.Store) {
		if appender, ok := store.(blob.Appender); ok {
			test(t, appender)
		}
	}
}

// Append appends content, and checks how far that comes.
func Append(t *testing.T, store blob.Appender, key blob.Key, at blob.Progress, content []byte) blob.Progress {
	t.Helper()
	got, err := store.Append(t.Context(), key, at, onlyReader{bytes.NewReader(content)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkSize(t, got, at.Size+int64(len(content)))
	return got
}

// Seal seals an object, and checks that it is content, and said to be.
func Seal(t *testing.T, store blob.Appender, key blob.Key, at blob.Progress, content []byte) {
	t.Helper()
	info, err := store.Seal(t.Context(), key, at)
	if err != nil {
		t.Fatal(err)
	}
	want := blob.Info{Size: int64(len(content)), SHA256: sha256.Sum256(content)}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("Seal says of %d bytes (-want +got):\n%s", len(content), diff)
	}
	CheckContent(t, store, key, content)
}

func checkSize(t *testing.T, p blob.Progress, want int64) {
	t.Helper()
	if p.Size != want || len(p.State) == 0 || len(p.State) > 500 {
		t.Errorf("the progress is %d bytes, with a state of %d, want %d", p.Size, len(p.State), want)
	}
}

// testAppend looks at an object in the making as others do.
func testAppend(t *testing.T, store blob.Appender) {
	key, content := blob.NewKey(), Content(1, 100<<10)
	const half = 50 << 10
	at := Append(t, store, key, blob.Progress{}, content[:half])
	CheckContent(t, store, key, content[:half])
	if entry, err := store.Stat(t.Context(), key); err != nil || entry.Key != key || entry.Size != half {
		t.Errorf("Stat of an object in the making = %+v, %v", entry, err)
	}
	if all := All(t, store, 10); len(all) != 1 || all[0].Key != key {
		t.Errorf("List beside an object in the making gives %v, want only %v", all, key)
	}
	if _, err := store.Put(t.Context(), key, bytes.NewReader(content)); !errors.Is(err, blob.ErrExist) {
		t.Errorf("Put over an object in the making = %v, want ErrExist", err)
	}
	at = Append(t, store, key, at, content[half:])
	for range 2 {
		Seal(t, store, key, at, content)
	}
	checkNoLeftovers(t, store)
}

func testAppendsOfManySizes(t *testing.T, store blob.Appender) {
	sizes := []int{
		0, 1, 0, 63, 64, 4095, 64<<10 - 1, 64 << 10, 64<<10 + 1, 0, 512<<10 - 1, 512 << 10, 512<<10 + 1,
		576 << 10, 1, 2<<20 + 7, 5<<20 + 12345, 0,
	}
	total := 0
	for _, size := range sizes {
		total += size
	}
	key, content := blob.NewKey(), Content(1, total)
	var at blob.Progress
	for _, size := range sizes {
		at = Append(t, store, key, at, content[at.Size:][:size])
	}
	Seal(t, store, key, at, content)

	whole := blob.NewKey()
	Seal(t, store, whole, Append(t, store, whole, blob.Progress{}, content), content)
}

func testAppendOfManyReaders(t *testing.T, store blob.Appender) {
	for name, wrap := range readers {
		t.Run(name, func(t *testing.T) {
			key, content := blob.NewKey(), Content(99, 300<<10)
			at := Append(t, store, key, blob.Progress{}, content[:1000])
			at, err := store.Append(t.Context(), key, at, wrap(bytes.NewReader(content[1000:])), nil)
			if err != nil {
				t.Fatal(err)
			}
			Seal(t, store, key, at, content)
		})
	}
}

// testAppendKeepsWhatCameBeforeAnError goes on after the errors that end a sender's part, again and again.
func testAppendKeepsWhatCameBeforeAnError(t *testing.T, store blob.Appender) {
	own := errors.New("an error of the reader's own")
	ends := map[string]func(cancel context.CancelCauseFunc) (io.Reader, error){
		"an error": func(context.CancelCauseFunc) (io.Reader, error) { return iotest.ErrReader(own), own },
		"a broken body": func(context.CancelCauseFunc) (io.Reader, error) {
			return iotest.ErrReader(io.ErrUnexpectedEOF), io.ErrUnexpectedEOF
		},
		"a wrapped io.EOF": func(context.CancelCauseFunc) (io.Reader, error) {
			return iotest.ErrReader(fmt.Errorf("wrapped: %w", io.EOF)), io.EOF
		},
		"nothing": func(context.CancelCauseFunc) (io.Reader, error) { return idle{}, io.ErrNoProgress },
		"the end of ctx": func(cancel context.CancelCauseFunc) (io.Reader, error) {
			return readFunc(func([]byte) (int, error) { cancel(own); return 0, nil }), own
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			sizes := []int{0, 1, 70 << 10, 600 << 10, 3 << 20}
			key, content := blob.NewKey(), Content(1, 4<<20)
			var at blob.Progress
			for _, size := range sizes {
				ctx, cancel := context.WithCancelCause(t.Context())
				tail, want := end(cancel)
				got, err := store.Append(ctx, key, at, io.MultiReader(bytes.NewReader(content[at.Size:][:size]), tail), nil)
				cancel(nil)
				if !errors.Is(err, want) {
					t.Fatalf("Append of %d bytes and %s = %v, want it to wrap %v", size, name, err, want)
				}
				checkSize(t, got, at.Size+int64(size))
				at = got
			}
			Seal(t, store, key, Append(t, store, key, at, content[at.Size:]), content)
		})
	}
}

func testAppendOfAPanickingReader(t *testing.T, store blob.Appender) {
	key, content := blob.NewKey(), Content(1, 2<<20)
	func() {
		defer func() {
			if got := recover(); got != "reader" {
				t.Errorf("recovered %v, want the reader's panic", got)
			}
		}()
		got, err := store.Append(t.Context(), key, blob.Progress{}, io.MultiReader(bytes.NewReader(content), panicking{}), nil)
		t.Errorf("Append = %v, %v, want the reader's panic", got, err)
	}()
	Seal(t, store, key, Append(t, store, key, blob.Progress{}, content), content)
}

// testAppendWritesOverWhatWasNotTold goes on from less than there is: as one whose word of it was lost.
func testAppendWritesOverWhatWasNotTold(t *testing.T, store blob.Appender) {
	key, content := blob.NewKey(), Content(1, 1<<20)
	lost := Content(2, 1<<20)
	begun := Append(t, store, key, blob.Progress{}, nil)
	first := Append(t, store, key, begun, content[:1000])
	Append(t, store, key, first, lost)
	second := Append(t, store, key, first, content[1000:200<<10])
	Append(t, store, key, second, lost[:70<<10])
	Seal(t, store, key, second, content[:200<<10]) // what is behind it is cut off

	for _, at := range []blob.Progress{{}, begun} {
		again := Append(t, store, key, at, content[:10])
		Seal(t, store, key, again, content[:10])
	}
}

// testAppendIsExclusive calls from the midst of an Append.
func testAppendIsExclusive(t *testing.T, store blob.Appender) {
	key, content := blob.NewKey(), Content(1, 1<<20)
	at := Append(t, store, key, blob.Progress{}, content[:10])
	beside := &onRead{do: func() {
		for _, p := range []blob.Progress{{}, at} {
			if got, err := store.Append(t.Context(), key, p, bytes.NewReader(content), nil); !errors.Is(err, blob.ErrBusy) {
				t.Errorf("Append beside another = %v, %v, want ErrBusy", got, err)
			}
			if info, err := store.Seal(t.Context(), key, p); !errors.Is(err, blob.ErrBusy) {
				t.Errorf("Seal beside an Append = %v, %v, want ErrBusy", info, err)
			}
		}
		other := blob.NewKey()
		Seal(t, store, other, Append(t, store, other, blob.Progress{}, content), content)
	}}
	got, err := store.Append(t.Context(), key, at, io.MultiReader(bytes.NewReader(content[10:]), beside), nil)
	if err != nil {
		t.Fatal(err)
	}
	Seal(t, store, key, got, content)
}

func testAppendToNothing(t *testing.T, store blob.Appender) {
	key, other, content := blob.NewKey(), blob.NewKey(), Content(1, 1000)
	at := Append(t, store, other, blob.Progress{}, content)
	check := func(what string) {
		t.Helper()
		if got, err := store.Append(t.Context(), key, at, bytes.NewReader(content), nil); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("Append to %s = %v, %v, want ErrNotExist", what, got, err)
		}
		if info, err := store.Seal(t.Context(), key, at); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("Seal of %s = %v, %v, want ErrNotExist", what, info, err)
		}
	}
	check("an object that is not there")
	CheckAbsent(t, store, key)
	Append(t, store, key, blob.Progress{}, content[:999])
	check("an object that is shorter")
	CheckContent(t, store, key, content[:999])
}

func testAppendToAForeignState(t *testing.T, store blob.Appender) {
	key, content := blob.NewKey(), Content(1, 1000)
	at := Append(t, store, key, blob.Progress{}, content)
	for _, state := range [][]byte{nil, {}, []byte("foreign"), at.State[1:], make([]byte, len(at.State))} {
		foreign := blob.Progress{Size: at.Size, State: state}
		if got, err := store.Append(t.Context(), key, foreign, bytes.NewReader(content), nil); err == nil {
			t.Errorf("Append at the state %x = %v, want an error", state, got)
		}
		if info, err := store.Seal(t.Context(), key, foreign); err == nil {
			t.Errorf("Seal at the state %x = %v, want an error", state, info)
		}
	}
	Seal(t, store, key, at, content)
}

// testAppendsAtOnce has callers race for each piece of one object: one at a time gets it, and the others
// are told so.
func testAppendsAtOnce(t *testing.T, store blob.Appender) {
	key, content := blob.NewKey(), Content(1, 600<<10)
	var at blob.Progress
	for at.Size < int64(len(content)) {
		piece := content[at.Size:][:100<<10]
		got := make([]blob.Progress, 8)
		errs := make([]error, len(got))
		var group sync.WaitGroup
		for i := range got {
			group.Go(func() { got[i], errs[i] = store.Append(t.Context(), key, at, bytes.NewReader(piece), nil) })
		}
		group.Wait()
		next := at
		for i, err := range errs {
			switch {
			case err == nil:
				checkSize(t, got[i], at.Size+int64(len(piece)))
				next = got[i]
			case !errors.Is(err, blob.ErrBusy):
				t.Errorf("Append %d = %v, want ErrBusy", i, err)
			}
		}
		if next.Size == at.Size {
			t.Fatal("no Append succeeded")
		}
		at = next
	}
	Seal(t, store, key, at, content)
}

func testDeleteBesideAnAppend(t *testing.T, store blob.Appender) {
	key, content := blob.NewKey(), Content(1, 1<<20)
	at := Append(t, store, key, blob.Progress{}, content[:10])
	beside := &onRead{do: func() {
		if err := store.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete beside an Append = %v", err)
		}
	}}
	got, err := store.Append(t.Context(), key, at, io.MultiReader(bytes.NewReader(content[10:]), beside), nil)
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("Append beside a Delete = %v", err)
	}
	CheckAbsent(t, store, key)
	if info, err := store.Seal(t.Context(), key, got); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("Seal after a Delete = %v, %v, want ErrNotExist", info, err)
	}
}

func testSealOfNothing(t *testing.T, store blob.Appender) {
	key := blob.NewKey()
	for range 2 {
		Seal(t, store, key, blob.Progress{}, nil)
	}
	key = blob.NewKey()
	at := Append(t, store, key, blob.Progress{}, nil)
	Seal(t, store, key, at, nil)
}

// readFunc is a reader that is a function.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
