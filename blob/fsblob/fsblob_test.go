package fsblob_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/blobtest"
	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/blob/fsblob/faultfs"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(appendIn); dir != "" {
		appendStdin(dir)
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dir string) *fsblob.Store {
	t.Helper()
	store, err := fsblob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestConformance(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) })
}

func TestConformanceWithALinkInPlaceOfARename(t *testing.T) {
	if testing.Short() {
		t.Skip("left to make test-all: the same as TestConformance, where files cannot be renamed")
	}
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store {
		disk, err := fsblob.OpenLinkingDisk(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		store, err := fsblob.New(disk)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		return store
	})
}

// The suite on the faulty disk proves that what the crash tests stand on works as a disk does.
func TestConformanceOfTheFaultyDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("left to make test-all: the same as TestConformance, on the disk of the crash tests")
	}
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return openFaulty(t, faultfs.New()) })
}

func TestOpenMakesThePrivateFolderAndFindsItAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	key, content := blob.NewKey(), blobtest.Content(1, 100<<10)
	blobtest.Put(t, open(t, dir), key, content)

	again := open(t, dir)
	blobtest.CheckContent(t, again, key, content)
	err := filepath.WalkDir(filepath.Dir(dir), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v, want %v", path, info.Mode(), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if store, err := fsblob.Open(dir); err == nil {
			t.Errorf("Open(%s) = %v, want an error", dir, store)
		}
	}
}

func TestLayout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := open(t, dir)
	key, err := blob.ParseKey("0198a3f2-7c1e-7abc-8def-0123456789ab")
	if err != nil {
		t.Fatal(err)
	}
	blobtest.Put(t, store, key, []byte("content"))
	got, err := os.ReadFile(filepath.Join(dir, "objects", "0198", "a3f", key.String()))
	if string(got) != "content" || err != nil {
		t.Errorf("the object's file holds %q, %v", got, err)
	}
}

// What else may lie in the folder, such as lost+found or a person's notes, is not listed, and does
// no harm.
func TestListPassesOverForeignNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := open(t, dir)
	key := blobtest.KeyAt(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), 1)
	blobtest.Put(t, store, key, []byte("content"))
	text := key.String()
	leaf := filepath.Join(dir, "objects", text[:4], text[4:7])
	elsewhere := blobtest.KeyAt(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), 1).String()
	for _, name := range []string{
		filepath.Join(dir, "lost+found", "x"),
		filepath.Join(dir, "objects", "lost+found", "x"),
		filepath.Join(dir, "objects", text[:4], "notes", "x"),
		filepath.Join(dir, "objects", strings.ToUpper("019a"), "x"),
		filepath.Join(leaf, "notes.txt"),
		filepath.Join(leaf, elsewhere),
		filepath.Join(leaf, strings.ToUpper(text)),
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := blobtest.All(t, store, 10)
	if len(got) != 1 || got[0].Key != key {
		t.Errorf("List gives %v, want only %v", got, key)
	}
}

func TestLinksOutOfTheFolderAreNotFollowed(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	dir := t.TempDir()
	store := open(t, dir)
	key := blob.NewKey()
	if err := os.Symlink(outside, filepath.Join(dir, "objects", key.String()[:4])); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), key, strings.NewReader("content")); err == nil {
		t.Error("Put went through a link that leads out of the folder")
	}
	if left, err := os.ReadDir(outside); len(left) != 0 || err != nil {
		t.Errorf("outside of the folder there is %v, %v", left, err)
	}
}

// A person, or a cron job, may remove folders that are empty, at any time.
func TestFoldersThatWereTidiedUpAreMadeAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := open(t, dir)
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	first, second := blobtest.KeyAt(at, 1), blobtest.KeyAt(at, 2)
	blobtest.Put(t, store, first, []byte("first"))
	if err := store.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	text := first.String()
	top := filepath.Join(dir, "objects", text[:4])
	for _, empty := range []string{filepath.Join(top, text[4:7]), top} {
		if err := os.Remove(empty); err != nil {
			t.Fatal(err)
		}
	}
	blobtest.CheckAbsent(t, store, first)
	if got := blobtest.All(t, store, 10); len(got) != 0 {
		t.Errorf("List gives %v", got)
	}
	blobtest.Put(t, store, second, []byte("second"))
	blobtest.CheckContent(t, store, second, []byte("second"))
}

func TestAVanishedDiskIsAnErrorNotAnEmptyStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := open(t, dir)
	for _, sub := range []string{"objects", "tmp"} {
		if err := os.Remove(filepath.Join(dir, sub)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := store.List(t.Context(), blob.Key{}, 10); err == nil {
		t.Errorf("List = %v, want an error", got)
	}
	if n, err := store.SweepTemp(t.Context(), time.Now()); err == nil {
		t.Errorf("SweepTemp = %d, want an error", n)
	}
	_, err := store.Put(t.Context(), blob.NewKey(), strings.NewReader("content"))
	if err == nil || errors.Is(err, blob.ErrNotExist) {
		t.Errorf("Put = %v, want an error that does not speak of an object", err)
	}
}

func TestADamagedIdentityIsNoIdentity(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "not an id", strings.Repeat("0", 1<<20)} {
		dir := t.TempDir()
		store := open(t, dir)
		if err := os.WriteFile(filepath.Join(dir, "identity"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if id, err := store.Identity(t.Context()); err == nil || errors.Is(err, blob.ErrNotExist) {
			t.Errorf("Identity from %.20q = %v, %v, want an error of its own", text, id, err)
		}
		if err := store.EnsureIdentity(t.Context(), [16]byte{1}); err == nil {
			t.Errorf("EnsureIdentity over %.20q gives no error", text)
		}
	}
}

// More large Puts at once than there are rings: some have to do with their small buffer.
func TestMorePutsThanRings(t *testing.T) {
	t.Parallel()
	store := openFaulty(t, faultfs.New())
	const puts = fsblob.MaxRings + 4
	var all sync.WaitGroup
	all.Add(puts)
	content := blobtest.Content(1, 5*fsblob.LargeBuffer)
	want, err := store.Put(t.Context(), blob.NewKey(), bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range puts {
		group.Go(func() {
			half := len(content) / 2
			meet := &onRead{do: func() {
				all.Done()
				all.Wait() // every Put is in its middle
			}}
			reader := io.MultiReader(bytes.NewReader(content[:half]), meet, bytes.NewReader(content[half:]))
			got, err := store.Put(t.Context(), blob.NewKey(), reader)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("Put: %v (-want +got):\n%s", err, diff)
			}
		})
	}
	group.Wait()
}

// onRead calls do when it is read, and is at its end.
type onRead struct{ do func() }

func (r *onRead) Read([]byte) (int, error) {
	r.do()
	return 0, io.EOF
}
