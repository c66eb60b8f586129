// Package blobtest is the suite of tests that every blob.Store must pass.
//
// It imports package blob and nothing else of Leat.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/blob"
)

// Run tests the stores that open gives: each time it is called a new, empty one, which open sees to
// it is closed at the end of the test.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, store blob.Store)
	}{
		{"RoundTrip", testRoundTrip},
		{"PutIsExclusive", testPutIsExclusive},
		{"PutsOfOneKeyAtOnce", testPutsOfOneKeyAtOnce},
		{"PutsAtOnce", testPutsAtOnce},
		{"ReaderErrorLeavesNothing", testReaderErrorLeavesNothing},
		{"ReaderPanicLeavesNothing", testReaderPanicLeavesNothing},
		{"CancelledPutLeavesNothing", testCancelledPutLeavesNothing},
		{"ReadAt", testReadAt},
		{"Seek", testSeek},
		{"ServesHTTP", testServesHTTP},
		{"Missing", testMissing},
		{"InvalidKey", testInvalidKey},
		{"EndedContext", testEndedContext},
		{"Delete", testDelete},
		{"DeleteOfAnOpenObject", testDeleteOfAnOpenObject},
		{"List", testList},
		{"ListGoesOnAcrossDeletes", testListGoesOnAcrossDeletes},
		{"Identity", testIdentity},
		{"IdentitiesAtOnce", testIdentitiesAtOnce},
		{"SweepTemp", testSweepTemp},
		{"Append", appending(testAppend)},
		{"AppendsOfManySizes", appending(testAppendsOfManySizes)},
		{"AppendOfManyReaders", appending(testAppendOfManyReaders)},
		{"AppendKeepsWhatCameBeforeAnError", appending(testAppendKeepsWhatCameBeforeAnError)},
		{"AppendOfAPanickingReader", appending(testAppendOfAPanickingReader)},
		{"AppendWritesOverWhatWasNotTold", appending(testAppendWritesOverWhatWasNotTold)},
		{"AppendIsExclusive", appending(testAppendIsExclusive)},
		{"AppendToNothing", appending(testAppendToNothing)},
		{"AppendToAForeignState", appending(testAppendToAForeignState)},
		{"AppendsAtOnce", appending(testAppendsAtOnce)},
		{"DeleteBesideAnAppend", appending(testDeleteBesideAnAppend)},
		{"SealOfNothing", appending(testSealOfNothing)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// Content gives size bytes that no other seed gives.
func Content(seed uint64, size int) []byte {
	content := make([]byte, size)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	if _, err := rand.NewChaCha8(key).Read(content); err != nil {
		panic(err) // it never fails
	}
	return content
}

// KeyAt gives a key as it would have been made at a time; serial tells apart those of one
// millisecond and orders them.
func KeyAt(at time.Time, serial uint32) blob.Key {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16)
	id[6] = 0x70
	id[8] = 0x80
	binary.BigEndian.PutUint32(id[12:], serial)
	return blob.Key(id)
}

// Put puts content, and checks what Put says of it.
func Put(t *testing.T, store blob.Store, key blob.Key, content []byte) {
	t.Helper()
	info, err := store.Put(t.Context(), key, onlyReader{bytes.NewReader(content)})
	if err != nil {
		t.Fatal(err)
	}
	want := blob.Info{Size: int64(len(content)), SHA256: sha256.Sum256(content)}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("Put says of %d bytes (-want +got):\n%s", len(content), diff)
	}
}

// CheckContent checks that store has exactly content under key.
func CheckContent(t *testing.T, store blob.Store, key blob.Key, content []byte) {
	t.Helper()
	object, err := store.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(object)
	if err := errors.Join(err, object.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content) || object.Size() != int64(len(content)) {
		t.Errorf("blob %v: %d bytes, Size %d, are not the %d that were put", key, len(got), object.Size(), len(content))
	}
}

// CheckAbsent checks that store has nothing under key, and no leftover of it.
func CheckAbsent(t *testing.T, store blob.Store, key blob.Key) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if _, err := store.Stat(ctx, key); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("Stat(%v) = %v, want ErrNotExist", key, err)
	}
	for _, entry := range All(t, store, 100) {
		if entry.Key == key {
			t.Errorf("List gives %v, which should not exist", key)
		}
	}
	checkNoLeftovers(t, store)
}

// checkNoLeftovers checks that there is nothing to sweep: no Put is under way.
func checkNoLeftovers(t *testing.T, store blob.Store) {
	t.Helper()
	sweeper, ok := store.(blob.TempSweeper)
	if !ok {
		return
	}
	if n, err := sweeper.SweepTemp(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("SweepTemp = %d, %v, want no leftovers", n, err)
	}
}

// All lists a store, page by page.
func All(t *testing.T, store blob.Store, limit int) []blob.Entry {
	t.Helper()
	var all []blob.Entry
	var after blob.Key
	for {
		page, err := store.List(t.Context(), after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > limit {
			t.Fatalf("List gave %d entries, more than the limit of %d", len(page), limit)
		}
		all = append(all, page...)
		if len(page) < limit {
			return all
		}
		after = page[limit-1].Key
	}
}

// onlyReader hides what else a reader can do.
type onlyReader struct{ io.Reader }
