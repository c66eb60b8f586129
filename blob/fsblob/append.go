package fsblob

import (
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/leat-dev/leat/blob"
)

// An object in the making lies at its place from the start, under a key that only its maker knows.
// While one appends to it, the file is locked, by the system: a process that dies lets go of it.

// How often an Append that goes on makes durable what has come: after so many bytes, and once so long
// has passed since the last time. When its process dies, so much has to be sent again, and what came
// while that was being made durable.
const (
	saveBytes = 64 << 20
	saveEvery = 5 * time.Second
)

// appendWriteback is writebackEvery for Appends, which often end after a few megabytes.
const appendWriteback = 2 << 20

// Append keeps content under key, behind what is there.
func (s *Store) Append(
	ctx context.Context, key blob.Key, at blob.Progress, content io.Reader, saved func(blob.Progress) error,
) (blob.Progress, error) {
	got, err := s.append(ctx, key, at, content, saved)
	if err != nil {
		return got, fmt.Errorf("append to blob %v: %w", key, err)
	}
	return got, nil
}

func (s *Store) append(
	ctx context.Context, key blob.Key, at blob.Progress, content io.Reader, saved func(blob.Progress) error,
) (_ blob.Progress, err error) {
	sum, err := resumeHash(at)
	if err != nil {
		return at, err
	}
	file, err := s.edit(ctx, key, at)
	if err != nil {
		return at, err
	}
	temp := &tempFile{fs: s.fs, file: file, name: pathOf(key), size: at.Size, begun: at.Size, every: appendWriteback, moved: true}
	defer func() { err = errors.Join(err, writeError(temp.discard())) }()
	w := &saver{file: file, saved: saved, last: at, next: at.Size + saveBytes, due: time.Now().Add(saveEvery)}
	defer w.running.Wait() // also when content panics
	state, cause := s.streamOn(ctx, temp, sum, content, w)
	if err := w.wait(); err != nil {
		return w.last, errors.Join(err, cause)
	}
	if state == nil { // not even what came was written
		return w.last, cause
	}
	if temp.size > w.last.Size || at.State == nil {
		if err := file.Sync(); err != nil {
			return w.last, fmt.Errorf("sync: %w", errors.Join(writeError(err), cause))
		}
	}
	return blob.Progress{Size: temp.size, State: state}, cause
}

// streamOn copies content to temp until io.EOF, and gives the state of its hash. Beside an error of
// content it does so for what came before it, and beside one of the writing the state is nil.
func (s *Store) streamOn(ctx context.Context, temp *tempFile, sum hash.Hash, content io.Reader, w *saver) (state []byte, cause error) {
	to := newSink(s.buffers, sum, temp)
	to.saver = w
	defer to.close()
	read := temp.size
	for {
		buf, err := to.buffer()
		if err != nil || w.failure() != nil { // of which wait tells
			return nil, err
		}
		n, end, err := fill(ctx, content, buf, w.overdue)
		if err != nil {
			cause = fmt.Errorf("read the content: %w", err)
		}
		read += int64(n)
		if err := to.write(buf[:n], w.wants(read)); err != nil {
			return nil, err
		}
		if end || cause != nil {
			if err := to.wait(); err != nil {
				return nil, err
			}
			return stateOf(sum), cause
		}
	}
}

// edit opens the file of an object for writing on, locked, or makes it.
func (s *Store) edit(ctx context.Context, key blob.Key, at blob.Progress) (File, error) {
	path, err := objectPath(ctx, key)
	if err != nil {
		return nil, err
	}
	if at.Size == 0 {
		return s.begin(key)
	}
	file, err := s.fs.Edit(path, false)
	if err != nil {
		return nil, readError(writeError(err))
	}
	if err := s.reaches(path, at.Size); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// begin opens the file of an object of which nothing is kept yet, and makes its name durable.
func (s *Store) begin(key blob.Key) (file File, err error) {
	dirs, err := s.folders.place(key, func(path string) (err error) {
		file, err = s.fs.Edit(path, true)
		return err
	})
	if err != nil {
		return nil, writeError(err)
	}
	if err := s.folders.sync(dirs); err != nil {
		// The next call makes the name anew: to sync this one again would prove nothing.
		return nil, errors.Join(writeError(err), s.fs.Remove(pathOf(key)), file.Close())
	}
	s.folders.remember(dirs)
	return file, nil
}

// reaches makes sure that a file is at least size bytes long.
func (s *Store) reaches(path string, size int64) error {
	info, err := s.fs.Stat(path)
	if err != nil {
		return readError(err)
	}
	if info.Size() < size {
		return fmt.Errorf("%w: it has %d bytes of %d", blob.ErrNotExist, info.Size(), size)
	}
	return nil
}

// Seal ends the making of an object.
func (s *Store) Seal(ctx context.Context, key blob.Key, at blob.Progress) (blob.Info, error) {
	info, err := s.seal(ctx, key, at)
	if err != nil {
		return blob.Info{}, fmt.Errorf("seal blob %v: %w", key, err)
	}
	return info, nil
}

func (s *Store) seal(ctx context.Context, key blob.Key, at blob.Progress) (info blob.Info, err error) {
	sum, err := resumeHash(at)
	if err != nil {
		return blob.Info{}, err
	}
	file, err := s.edit(ctx, key, at)
	if err != nil {
		return blob.Info{}, err
	}
	defer func() { err = errors.Join(err, writeError(file.Close())) }()
	is, err := s.fs.Stat(pathOf(key))
	if err != nil {
		return blob.Info{}, readError(err)
	}
	if is.Size() > at.Size || at.Size == 0 {
		if err := errors.Join(file.Truncate(at.Size), file.Sync()); err != nil {
			return blob.Info{}, writeError(err)
		}
	}
	return blob.Info{Size: at.Size, SHA256: [32]byte(sum.Sum(nil))}, nil
}

// resumeHash gives the hash as it was left.
func resumeHash(at blob.Progress) (hash.Hash, error) {
	sum := sha256.New()
	if at.Size == 0 {
		return sum, nil
	}
	if err := sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(at.State); err != nil { //nolint:errcheck,forcetypeassert // crypto/sha256 promises it
		return nil, fmt.Errorf("the state is not one of this store: %w", err)
	}
	return sum, nil
}

// stateOf is what resumeHash takes.
func stateOf(sum hash.Hash) []byte {
	state, err := sum.(encoding.BinaryMarshaler).MarshalBinary() //nolint:errcheck,forcetypeassert // as above
	if err != nil {
		panic("fsblob: the state of a hash: " + err.Error()) // it is bytes of its memory
	}
	return state
}

// saver makes durable from time to time what an Append has written, beside the writing. The goroutine
// that reads asks when, and the one that writes has it done.
type saver struct {
	file  File
	saved func(blob.Progress) error

	next int64     // size from which on it is time
	due  time.Time // or when

	running sync.WaitGroup
	last    blob.Progress // that is durable; after wait

	mu   sync.Mutex
	busy bool
	err  error
}

// overdue reports whether what has been read should not wait for more.
func (w *saver) overdue() bool { return w.timely(0) }

// timely reports whether it is time to save what was read until now. It is not while that is being done
// with what was read before.
func (w *saver) timely(read int64) bool {
	if w.saved == nil || read < w.next && time.Now().Before(w.due) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.busy
}

// wants reports whether what was read until now is to be saved, and puts off the next time.
func (w *saver) wants(read int64) bool {
	if !w.timely(read) {
		return false
	}
	w.next, w.due = read+saveBytes, time.Now().Add(saveEvery)
	return true
}

// save begins to save what was written, unless that goes on or has failed.
func (w *saver) save(p blob.Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy || w.err != nil {
		return
	}
	w.busy = true
	w.running.Go(func() {
		err := w.keep(p)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.busy, w.err = false, err
	})
}

// keep makes p durable and tells of it.
func (w *saver) keep(p blob.Progress) error {
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync: %w", writeError(err))
	}
	w.last = p
	if err := w.saved(p); err != nil {
		return fmt.Errorf("save the progress: %w", err)
	}
	return nil
}

// failure is why a saving failed.
func (w *saver) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// wait waits for what is under way.
func (w *saver) wait() error {
	w.running.Wait()
	return w.failure()
}
