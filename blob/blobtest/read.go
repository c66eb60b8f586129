package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/blob"
)

func testReadAt(t *testing.T, store blob.Store) {
	const size = 3<<20 + 17
	key, content := blob.NewKey(), Content(1, size)
	Put(t, store, key, content)
	object := open(t, store, key)

	var group sync.WaitGroup
	for _, at := range []struct{ off, n int }{{0, 1}, {0, size}, {1 << 20, 70000}, {size - 5, 5}, {4095, 2}} {
		group.Go(func() {
			got := make([]byte, at.n)
			n, err := object.ReadAt(got, int64(at.off))
			if n != at.n || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, content[at.off:at.off+at.n]) {
				t.Errorf("ReadAt of %d bytes from %d = %d, %v, or other bytes", at.n, at.off, n, err)
			}
		})
	}
	group.Wait()
	if n, err := object.ReadAt(make([]byte, 10), size-3); n != 3 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt past the end = %d, %v, want 3, io.EOF", n, err)
	}
	if n, err := object.ReadAt(make([]byte, 1), size); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt at the end = %d, %v, want 0, io.EOF", n, err)
	}
}

func testSeek(t *testing.T, store blob.Store) {
	const size = 100 << 10
	key, content := blob.NewKey(), Content(1, size)
	Put(t, store, key, content)
	object := open(t, store, key)
	for _, seek := range []struct {
		off    int64
		whence int
		at     int64
	}{{100, io.SeekStart, 100}, {-10, io.SeekEnd, size - 10}, {-20, io.SeekCurrent, size - 30}, {0, io.SeekStart, 0}} {
		at, err := object.Seek(seek.off, seek.whence)
		if err != nil || at != seek.at {
			t.Fatalf("Seek(%d, %d) = %d, %v, want %d", seek.off, seek.whence, at, err, seek.at)
		}
		got := make([]byte, 10)
		if _, err := io.ReadFull(object, got); err != nil || !bytes.Equal(got, content[at:at+10]) {
			t.Errorf("Read at %d: %v, or other bytes", at, err)
		}
		if _, err := object.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
	}
}

func testServesHTTP(t *testing.T, store blob.Store) {
	const size = 2<<20 + 3
	key, content := blob.NewKey(), Content(1, size)
	Put(t, store, key, content)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		object, err := store.Open(r.Context(), key)
		if err != nil {
			t.Error(err)
			return
		}
		defer object.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, object)
	}))
	defer server.Close()
	for _, test := range []struct {
		header string
		want   []byte
	}{
		{"", content},
		{"bytes=0-0", content[:1]},
		{"bytes=1000-1000999", content[1000:1001000]},
		{"bytes=-10", content[size-10:]},
		{fmt.Sprintf("bytes=%d-", size-70000), content[size-70000:]},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.header != "" {
			request.Header.Set("Range", test.header)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, test.want) {
			t.Errorf("range %q: %s, %d bytes, not the %d wanted", test.header, response.Status, len(got), len(test.want))
		}
	}
}

func testMissing(t *testing.T, store blob.Store) {
	key := blob.NewKey()
	CheckAbsent(t, store, key)
	if object, err := store.Open(t.Context(), key); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("Open = %v, %v, want ErrNotExist", object, err)
	}
	// Beside it, where the same folders exist.
	Put(t, store, blob.NewKey(), []byte("x"))
	CheckAbsent(t, store, key)
}

func testInvalidKey(t *testing.T, store blob.Store) {
	for _, key := range []blob.Key{{}, blob.Key(uuid.New())} {
		for name, err := range callAll(t.Context(), store, key) {
			if !errors.Is(err, blob.ErrInvalidKey) {
				t.Errorf("%s with the key %v = %v, want ErrInvalidKey", name, key, err)
			}
		}
	}
	if _, err := store.List(t.Context(), blob.Key{}, 0); err == nil {
		t.Error("List with a limit of 0 gives no error")
	}
}

func testEndedContext(t *testing.T, store blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	key := blob.NewKey()
	Put(t, store, key, []byte("content"))
	cancel()
	calls := callAll(ctx, store, key)
	_, calls["List"] = store.List(ctx, blob.Key{}, 10)
	_, calls["Put of a new key"] = store.Put(ctx, blob.NewKey(), bytes.NewReader(nil))
	_, calls["Identity"] = store.Identity(ctx)
	calls["EnsureIdentity"] = store.EnsureIdentity(ctx, uuid.New())
	for name, err := range calls {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context = %v, want context.Canceled", name, err)
		}
	}
	CheckContent(t, store, key, []byte("content"))
	checkNoLeftovers(t, store)
}

// callAll calls each method that takes a key, and gives its error.
func callAll(ctx context.Context, store blob.Store, key blob.Key) map[string]error {
	errs := map[string]error{"Delete": store.Delete(ctx, key)}
	_, errs["Put"] = store.Put(ctx, key, bytes.NewReader(nil))
	_, errs["Open"] = store.Open(ctx, key)
	_, errs["Stat"] = store.Stat(ctx, key)
	if appender, ok := store.(blob.Appender); ok {
		_, errs["Append"] = appender.Append(ctx, key, blob.Progress{}, bytes.NewReader(nil), nil)
		_, errs["Seal"] = appender.Seal(ctx, key, blob.Progress{})
	}
	return errs
}

func open(t *testing.T, store blob.Store, key blob.Key) blob.Object {
	t.Helper()
	object, err := store.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := object.Close(); err != nil {
			t.Error(err)
		}
	})
	return object
}
