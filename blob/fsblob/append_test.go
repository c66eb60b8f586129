package fsblob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/blobtest"
	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/blob/fsblob/faultfs"
)

// slow gives so many bytes a Read at most, each after a pause.
type slow struct {
	content io.Reader
	size    int
	pause   time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	<-time.After(s.pause)
	return s.content.Read(p[:min(len(p), s.size)])
}

// TestP1AppendIsDurable cuts the power at each step of some Appends and a Seal in turn. What they told
// of, whether by a return or meanwhile, is there after it, and can be gone on from.
func TestP1AppendIsDurable(t *testing.T) {
	t.Parallel()
	content := blobtest.Content(1, 300<<10)
	for name, keep := range losses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // the pauses take no time
				for _, applied := range []bool{false, true} {
					step := 1
					for crashAppends(t, content, step, applied, keep) {
						step++
					}
					if step < 25 {
						t.Errorf("Appends and a Seal took %d steps: the fault was never met", step-1)
					}
				}
			})
		})
	}
}

func crashAppends(t *testing.T, content []byte, step int, applied bool, keep func() bool) bool {
	t.Helper()
	disk := faultfs.New()
	store := openFaulty(t, disk)
	key := blobtest.KeyAt(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), 1)
	base := disk.Steps()
	disk.Inject(faultfs.At(base+step, faultfs.Fault{PowerOff: true, Applied: applied}))

	var at blob.Progress
	told := func(p blob.Progress) error {
		if p.Size < at.Size {
			t.Errorf("power cut at step %d: %d bytes were told after %d", step, p.Size, at.Size)
		}
		at = p
		return nil
	}
	appended := func(piece io.Reader) error {
		got, err := store.Append(t.Context(), key, at, piece, told)
		return errors.Join(told(got), err)
	}
	err := appended(bytes.NewReader(content[:10_000]))
	if err == nil {
		err = appended(&slow{bytes.NewReader(content[10_000:250_000]), 40_000, fsblob.SaveEvery})
	}
	if err == nil {
		err = appended(bytes.NewReader(content[250_000:]))
	}
	if err == nil { // of which no one was told
		_, err = store.Append(t.Context(), key, at, bytes.NewReader(content), nil)
	}
	if err == nil {
		_, err = store.Seal(t.Context(), key, at)
	}
	crashed := disk.Steps() >= base+step
	disk.Inject(nil)
	disk.Crash(keep)
	if crashed != (err != nil) && err != nil {
		t.Fatal(err)
	}

	store = openFaulty(t, disk)
	if err == nil {
		blobtest.CheckContent(t, store, key, content)
	}
	if at.Size > 0 {
		object, err := store.Open(t.Context(), key)
		if err != nil {
			t.Fatalf("power cut at step %d: %d bytes had been told, but %v", step, at.Size, err)
		}
		got, err := io.ReadAll(io.LimitReader(object, at.Size))
		if err := errors.Join(err, object.Close()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, content[:at.Size]) {
			t.Errorf("power cut at step %d: the %d bytes that had been told are not there", step, at.Size)
		}
	}
	// Life goes on, from there.
	at = blobtest.Append(t, store, key, at, content[at.Size:])
	blobtest.Seal(t, store, key, at, content)
	disk.Crash(keep)
	blobtest.CheckContent(t, openFaulty(t, disk), key, content)
	return crashed
}

// TestAppendsAgainstAModel does anything in any order: pieces that come in whole, break off or meet a
// power cut, each from any of the places that are known, and seals.
func TestAppendsAgainstAModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, appendLikeAModel) // which would ask a *testing.T for its deadline
	})
}

func appendLikeAModel(r *rapid.T) {
	disk := faultfs.New()
	var store *fsblob.Store
	restart := func() {
		var err error
		if store, err = fsblob.New(disk); err != nil {
			r.Fatal(err)
		}
	}
	restart()
	key := blob.NewKey()
	known := []blob.Progress{{}} // what was told, and no later call has written over
	var content []byte           // of the last of them
	seed := uint64(0)
	losses := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "losses"), 0))
	random := func() bool { return losses.IntN(2) == 0 }
	r.Repeat(map[string]func(*rapid.T){
		"append": func(r *rapid.T) {
			from := rapid.IntRange(0, len(known)-1).Draw(r, "from")
			known = known[:from+1]
			at := known[from]
			size := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(60<<10, 200<<10)).Draw(r, "size")
			seed++
			piece := blobtest.Content(seed, size)
			content = append(content[:at.Size:at.Size], piece...)
			reader := &slow{
				bytes.NewReader(piece), rapid.IntRange(50_000, 100_000).Draw(r, "read"),
				time.Duration(rapid.IntRange(0, 6).Draw(r, "pause")) * time.Second,
			}
			own := errors.New("broken off")
			breaks := rapid.Bool().Draw(r, "breaks")
			var all io.Reader = reader
			if breaks {
				all = io.MultiReader(reader, iotest.ErrReader(own))
			}
			cut := rapid.IntRange(0, 20).Draw(r, "cut")
			if cut > 0 {
				disk.Inject(faultfs.At(disk.Steps()+cut, faultfs.Fault{PowerOff: true, Applied: random()}))
			}
			told := func(p blob.Progress) error {
				if p.Size > known[len(known)-1].Size {
					known = append(known, p)
				}
				return nil
			}
			got, err := store.Append(r.Context(), key, at, all, told)
			off := errors.Is(err, faultfs.ErrPowerOff)
			switch {
			case off:
			case breaks != errors.Is(err, own), !breaks && err != nil:
				r.Fatalf("Append, broken off: %v = %v", breaks, err)
			case got.Size != at.Size+int64(size):
				r.Fatalf("Append of %d bytes at %d = %d", size, at.Size, got.Size)
			}
			if err := told(got); err != nil {
				r.Fatal(err)
			}
			disk.Inject(nil)
			if off || cut > 0 {
				disk.Crash(random)
				restart()
			}
		},
		"crash": func(*rapid.T) {
			disk.Crash(random)
			restart()
		},
		"seal": func(r *rapid.T) {
			from := rapid.IntRange(0, len(known)-1).Draw(r, "from")
			known = known[:from+1]
			content = content[:known[from].Size]
			info, err := store.Seal(r.Context(), key, known[from])
			if want := (blob.Info{Size: int64(len(content)), SHA256: sha256.Sum256(content)}); err != nil || info != want {
				r.Fatalf("Seal = %v, %v, want %v", info, err, want)
			}
			object, err := store.Open(r.Context(), key)
			if err != nil {
				r.Fatal(err)
			}
			got, err := io.ReadAll(object)
			if err := errors.Join(err, object.Close()); err != nil || !bytes.Equal(got, content) {
				r.Fatalf("the sealed object is not the %d bytes that were told: %v", len(content), err)
			}
		},
	})
}

// TestASlowSenderLosesSecondsOnly: what has come is told of once SaveEvery has passed.
func TestASlowSenderLosesSecondsOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		store := openFaulty(t, disk)
		key, content := blob.NewKey(), blobtest.Content(1, 100_000)
		var saved blob.Progress
		reader := &slow{bytes.NewReader(content), 1000, time.Second}
		given := int64(0)
		watch := reader.size * int(fsblob.SaveEvery/time.Second)
		read := readFunc(func(p []byte) (int, error) {
			synctest.Wait() // what was begun is done
			if lost := given - saved.Size; lost > int64(watch) {
				t.Errorf("%d bytes have come and %d are kept: %d seconds would be lost", given, saved.Size, lost/1000)
			}
			if given == 90_000 {
				disk.Crash(nil)
				return 0, io.EOF
			}
			n, err := reader.Read(p)
			given += int64(n)
			return n, err
		})
		_, err := store.Append(t.Context(), key, blob.Progress{}, read, func(p blob.Progress) error {
			saved = p
			return nil
		})
		if !errors.Is(err, faultfs.ErrPowerOff) {
			t.Errorf("Append = %v, want ErrPowerOff", err)
		}
		store = openFaulty(t, disk)
		blobtest.Seal(t, store, key, blobtest.Append(t, store, key, saved, content[saved.Size:]), content)
	})
}

// readFunc is a reader that is a function.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestSavingIsOneAtATime has a saved that takes longer than the time between two.
func TestSavingIsOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := openFaulty(t, faultfs.New())
		key, content := blob.NewKey(), blobtest.Content(1, 200_000)
		var running, returned atomic.Bool
		var sizes []int64
		saved := func(p blob.Progress) error {
			if running.Swap(true) || returned.Load() {
				t.Error("saved is called beside itself, or after the return")
			}
			<-time.After(3 * fsblob.SaveEvery)
			sizes = append(sizes, p.Size)
			running.Store(false)
			return nil
		}
		at, err := store.Append(t.Context(), key, blob.Progress{}, &slow{bytes.NewReader(content), 1000, time.Second}, saved)
		if returned.Store(true); err != nil || running.Load() {
			t.Errorf("Append = %v, while saved goes on: %v", err, running.Load())
		}
		if len(sizes) < 10 {
			t.Errorf("200 seconds were saved %d times, want at least 10", len(sizes))
		}
		for i := 1; i < len(sizes); i++ {
			if by := sizes[i] - sizes[i-1]; by <= 0 || by > 16_000 { // it is due again when it ends
				t.Errorf("saved %d after %d", sizes[i], sizes[i-1])
			}
		}
		blobtest.Seal(t, store, key, at, content)
		synctest.Wait()
	})
}

// lagging is a disk whose writes take longer than the time between two savings.
type lagging struct{ *faultfs.FS }

func (d lagging) Edit(name string, fresh bool) (fsblob.File, error) {
	file, err := d.FS.Edit(name, fresh)
	return laggingFile{file}, err
}

type laggingFile struct{ fsblob.File }

func (f laggingFile) WriteAt(p []byte, off int64) (int, error) {
	<-time.After(3 * fsblob.SaveEvery)
	return f.File.WriteAt(p, off)
}

// TestSavingIsOneAtATimeOnALaggingDisk, where the next one is asked for before the first has begun.
func TestSavingIsOneAtATimeOnALaggingDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, err := fsblob.New(lagging{faultfs.New()})
		if err != nil {
			t.Fatal(err)
		}
		key, content := blob.NewKey(), blobtest.Content(1, 200_000)
		var running atomic.Bool
		last := int64(0)
		saved := func(p blob.Progress) error {
			if running.Swap(true) || p.Size <= last {
				t.Errorf("saved %d after %d, beside itself: %v", p.Size, last, running.Load())
			}
			<-time.After(5 * fsblob.SaveEvery)
			last = p.Size
			running.Store(false)
			return nil
		}
		at, err := store.Append(t.Context(), key, blob.Progress{}, &slow{bytes.NewReader(content), 1000, time.Second}, saved)
		if err != nil || last == 0 {
			t.Errorf("Append = %v, and %d bytes were saved meanwhile", err, last)
		}
		blobtest.Seal(t, store, key, at, content)
	})
}

// TestAnErrorOfSavedEndsTheAppend, which tells of what is durable none the less.
func TestAnErrorOfSavedEndsTheAppend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		store := openFaulty(t, disk)
		content := blobtest.Content(1, 1000)
		own, broken := errors.New("an error of saved"), errors.New("an error of the content")
		failing := func(blob.Progress) error {
			<-time.After(time.Second) // the content has ended before
			return own
		}
		for _, test := range []struct {
			end  io.Reader
			want error
		}{
			{iotest.ErrReader(broken), broken},
			{&slow{endless{}, 1000, time.Second}, own},
		} {
			key := blob.NewKey()
			at, err := store.Append(t.Context(), key, blob.Progress{},
				io.MultiReader(&slow{iotest.DataErrReader(bytes.NewReader(content)), 1000, fsblob.SaveEvery}, test.end), failing)
			if !errors.Is(err, own) || !errors.Is(err, test.want) || at.Size != int64(len(content)) {
				t.Errorf("Append = %d bytes, %v, want %d, %v and %v", at.Size, err, len(content), own, test.want)
			}
			disk.Crash(nil)
			blobtest.Seal(t, openFaulty(t, disk), key, at, content)
		}
	})
}

// TestAPanicWaitsForTheSaving that is under way.
func TestAPanicWaitsForTheSaving(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := openFaulty(t, faultfs.New())
		begun, ended := false, false
		saved := func(blob.Progress) error {
			begun = true
			<-time.After(time.Second)
			ended = true
			return nil
		}
		defer func() {
			if got := recover(); got != "reader" || !begun || !ended {
				t.Errorf("recovered %v; saved has begun: %v, and ended: %v", got, begun, ended)
			}
		}()
		content := &slow{iotest.DataErrReader(bytes.NewReader(blobtest.Content(1, 1000))), 1000, fsblob.SaveEvery}
		panicking := &onRead{do: func() { panic("reader") }}
		got, err := store.Append(t.Context(), blob.NewKey(), blob.Progress{}, io.MultiReader(content, panicking), saved)
		t.Errorf("Append = %v, %v, want the reader's panic", got, err)
	})
}

// endless is a reader without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// bottomless is a disk that takes any number of bytes and keeps none.
type bottomless struct{ *faultfs.FS }

func (d bottomless) Edit(name string, fresh bool) (fsblob.File, error) {
	file, err := d.FS.Edit(name, fresh)
	return bottomlessFile{file}, err
}

type bottomlessFile struct{ fsblob.File }

func (bottomlessFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// TestALargeAppendIsSaved as often as its size says.
func TestALargeAppendIsSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // where no time passes
		store, err := fsblob.New(bottomless{faultfs.New()})
		if err != nil {
			t.Fatal(err)
		}
		var sizes []int64
		const size = 3*fsblob.SaveBytes + 1
		content := &repeated{block: blobtest.Content(1, 1<<20), size: size}
		end := &onRead{do: synctest.Wait}
		at, err := store.Append(t.Context(), blob.NewKey(), blob.Progress{}, io.MultiReader(content, end), func(p blob.Progress) error {
			sizes = append(sizes, p.Size)
			return nil
		})
		if err != nil || at.Size != size {
			t.Errorf("Append = %d, %v, want %d", at.Size, err, size)
		}
		last := int64(0)
		for _, s := range sizes {
			if s-last < fsblob.SaveBytes || s-last > fsblob.SaveBytes+fsblob.LargeBuffer {
				t.Errorf("saved %d after %d, want %d between", s, last, fsblob.SaveBytes)
			}
			last = s
		}
		if len(sizes) < 2 {
			t.Errorf("%d bytes were saved at %v", size, sizes)
		}
	})
}

// TestFailedAppendTellsWhatIsKept has each step of some Appends fail in turn, once.
func TestFailedAppendTellsWhatIsKept(t *testing.T) {
	t.Parallel()
	content := blobtest.Content(1, 200<<10)
	for _, test := range []struct {
		err  syscall.Errno
		want error
	}{{syscall.ENOSPC, blob.ErrNoSpace}, {syscall.EIO, syscall.EIO}} {
		t.Run(test.err.Error(), func(t *testing.T) {
			t.Parallel()
			for step := 1; ; step++ {
				disk := faultfs.New()
				store := openFaulty(t, disk)
				key := blob.NewKey()
				base := disk.Steps()
				want := test.want
				disk.Inject(func(op faultfs.Op) faultfs.Fault {
					if op.Step != base+step {
						return faultfs.Fault{}
					}
					if op.Kind == faultfs.Stat { // which needs no space
						want = test.err
					}
					return faultfs.Fault{Err: test.err}
				})
				at, err := store.Append(t.Context(), key, blob.Progress{}, bytes.NewReader(content[:100]), nil)
				if err == nil {
					at, err = store.Append(t.Context(), key, at, bytes.NewReader(content[100:]), nil)
				}
				if err == nil {
					_, err = store.Seal(t.Context(), key, at)
				}
				if disk.Steps() < base+step {
					if err != nil || step < 10 {
						t.Errorf("%d steps without a fault = %v", step, err)
					}
					return
				}
				if !errors.Is(err, want) || !errors.Is(err, test.err) || errors.Is(err, blob.ErrNotExist) {
					t.Errorf("step %d: %v, want %v and %v", step, err, want, test.err)
				}
				disk.Crash(nil) // only what is durable is there
				store = openFaulty(t, disk)
				blobtest.Seal(t, store, key, blobtest.Append(t, store, key, at, content[at.Size:]), content)
			}
		})
	}
}

// TestANameWhoseSyncFailedIsMadeAnew: to sync the folder again would prove nothing.
func TestANameWhoseSyncFailedIsMadeAnew(t *testing.T) {
	t.Parallel()
	disk := faultfs.New()
	store := openFaulty(t, disk)
	disk.Inject(faultfs.On(faultfs.Fault{Err: syscall.EIO}, faultfs.SyncDir))
	key := blob.NewKey()
	if at, err := store.Append(t.Context(), key, blob.Progress{}, bytes.NewReader(nil), nil); !errors.Is(err, syscall.EIO) {
		t.Errorf("Append = %v, %v, want EIO", at, err)
	}
	disk.Inject(nil)
	blobtest.CheckAbsent(t, store, key)
	blobtest.Append(t, store, key, blob.Progress{}, []byte("content"))
}

// A folder that was tidied up while it was empty is made again for an Append, too.
func TestAppendMakesAFolderAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := open(t, dir)
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	first, second := blobtest.KeyAt(at, 1), blobtest.KeyAt(at, 2)
	blobtest.Append(t, store, first, blob.Progress{}, []byte("first"))
	if err := store.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	text := first.String()
	if err := os.Remove(filepath.Join(dir, "objects", text[:4], text[4:7])); err != nil {
		t.Fatal(err)
	}
	blobtest.Append(t, store, second, blob.Progress{}, []byte("second"))
	blobtest.CheckContent(t, store, second, []byte("second"))
}

// TestStoresOfOneFolderExcludeEachOther as Appends of one Store do.
func TestStoresOfOneFolderExcludeEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, other := open(t, dir), open(t, dir)
	key := blob.NewKey()
	beside := &onRead{do: func() { checkBusy(t, other, key) }}
	at, err := one.Append(t.Context(), key, blob.Progress{}, beside, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobtest.Seal(t, other, key, blobtest.Append(t, other, key, at, []byte("content")), []byte("content"))
}

func checkBusy(t *testing.T, store *fsblob.Store, key blob.Key) {
	t.Helper()
	_, appendErr := store.Append(t.Context(), key, blob.Progress{}, bytes.NewReader(nil), nil)
	_, sealErr := store.Seal(t.Context(), key, blob.Progress{})
	if !errors.Is(appendErr, blob.ErrBusy) || !errors.Is(sealErr, blob.ErrBusy) {
		t.Errorf("beside an Append: Append = %v, Seal = %v, want ErrBusy", appendErr, sealErr)
	}
}

// appendIn and appendTo name the variables that make this program append its input to an object.
const (
	appendIn = "LEAT_TEST_APPEND_IN" // the folder
	appendTo = "LEAT_TEST_APPEND_TO" // the key
)

func appendStdin(dir string) {
	store, err := fsblob.Open(dir)
	if err == nil {
		var key blob.Key
		if key, err = blob.ParseKey(os.Getenv(appendTo)); err == nil {
			_, err = store.Append(context.Background(), key, blob.Progress{}, os.Stdin, nil)
		}
	}
	fmt.Fprintln(os.Stderr, "the Append ended:", err)
	os.Exit(1)
}

// TestAKilledProcessLetsGo: kill -9 in the midst of an Append, which the next one need not wait for.
func TestAKilledProcessLetsGo(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), blob.NewKey()
	store := open(t, dir)
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), appendIn+"="+dir, appendTo+"="+key.String())
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	// All but what it holds in its buffer it has written, and it waits for more.
	if _, err := stdin.Write(blobtest.Content(1, 2*fsblob.LargeBuffer)); err != nil {
		t.Error(err)
	}
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		entry, err := store.Stat(t.Context(), key)
		if err == nil && entry.Size > 0 {
			break
		}
		if err != nil && !errors.Is(err, blob.ErrNotExist) {
			t.Fatal(err)
		}
		<-again.C
	}
	checkBusy(t, store, key)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); child.ProcessState.ExitCode() != -1 {
		t.Errorf("the child ended by itself: %v", err)
	}
	blobtest.Seal(t, store, key, blobtest.Append(t, store, key, blob.Progress{}, []byte("content")), []byte("content"))
}

// TestALockIsNotHandedDown: a program that is being started beside an Append holds its file for a
// moment, but not its lock.
func TestALockIsNotHandedDown(t *testing.T) {
	t.Parallel()
	store := open(t, t.TempDir())
	key := blob.NewKey()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := exec.CommandContext(ctx, "true").Run(); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	}()
	var at blob.Progress
	for range 200 {
		var err error
		if at, err = store.Append(t.Context(), key, at, bytes.NewReader(nil), nil); err != nil {
			t.Errorf("an Append after another one = %v", err)
			break
		}
	}
	stop()
	<-ended
}
