package fsblob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/leat-dev/leat/blob"
)

// Put keeps content under key. Until the object has its place it is a temporary file, which an
// error removes; when its process is killed, SweepTemp does.
func (s *Store) Put(ctx context.Context, key blob.Key, content io.Reader) (blob.Info, error) {
	info, err := s.put(ctx, key, content)
	if err != nil {
		return blob.Info{}, fmt.Errorf("put blob %v: %w", key, err)
	}
	return info, nil
}

func (s *Store) put(ctx context.Context, key blob.Key, content io.Reader) (info blob.Info, err error) {
	if err := key.Check(); err != nil {
		return blob.Info{}, err
	}
	temp, err := s.createTemp(key.String())
	if err != nil {
		return blob.Info{}, err
	}
	defer func() { err = errors.Join(err, temp.discard()) }()
	sum, err := s.stream(ctx, temp, content)
	if err != nil {
		return blob.Info{}, err
	}
	if err := temp.finish(); err != nil {
		return blob.Info{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return blob.Info{}, err
	}
	// From here on ctx is not asked: the object is about to be there, and would stay if it ended.
	dirs, err := s.folders.place(key, func(path string) error { return s.fs.Move(temp.name, path) })
	if err != nil {
		return blob.Info{}, writeError(err)
	}
	temp.moved = true
	if err := s.folders.sync(dirs); err != nil {
		return blob.Info{}, errors.Join(writeError(err), s.fs.Remove(pathOf(key)))
	}
	s.folders.remember(dirs)
	return blob.Info{Size: temp.size, SHA256: sum}, nil
}

// stream copies content to temp until io.EOF, and gives its SHA-256.
func (s *Store) stream(ctx context.Context, temp *tempFile, content io.Reader) ([32]byte, error) {
	sum := sha256.New()
	to := newSink(s.buffers, sum, temp)
	defer to.close()
	for {
		buf, err := to.buffer()
		if err != nil {
			return [32]byte{}, err
		}
		n, end, err := fill(ctx, content, buf, nil)
		if err != nil {
			return [32]byte{}, fmt.Errorf("read the content: %w", err)
		}
		if err := to.write(buf[:n], false); err != nil {
			return [32]byte{}, err
		}
		if end {
			err := to.wait()
			return [32]byte(sum.Sum(nil)), err
		}
	}
}

// fill reads into buf until it is full or r is at its end. Only a bare io.EOF is the end, and
// io.ErrUnexpectedEOF, which io.ReadFull would mix up with it, says that a body broke off. It gives what
// came so far when enough says so; nil never does.
func fill(ctx context.Context, r io.Reader, buf []byte, enough func() bool) (n int, end bool, err error) {
	const maxEmpty = 100 // reads in a row that give nothing, as in package bufio
	for empty := 0; n < len(buf); {
		if err := context.Cause(ctx); err != nil {
			return n, false, err
		}
		m, err := r.Read(buf[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
		if m > 0 {
			if empty = 0; enough != nil && enough() {
				return n, false, nil
			}
		} else if empty++; empty == maxEmpty {
			return n, false, io.ErrNoProgress
		}
	}
	return n, false, nil
}

// tempFile is a file in the making. Writes go to an offset that the file keeps itself, so that one
// that was begun earlier can be gone on with.
type tempFile struct {
	fs    FS
	file  File
	name  string
	size  int64 // bytes written
	begun int64 // bytes whose way to the disk was begun
	every int64 // how many of these at a time

	closed bool
	moved  bool // has its place, under another name
}

// writebackEvery is how many bytes are written between two calls of StartWriteback. The disk works
// while the content still comes, so the sync at the end has little to wait for, and an upload
// leaves no more unwritten memory behind it than this.
const writebackEvery = 16 << 20

func (s *Store) createTemp(prefix string) (*tempFile, error) {
	name := tempDir + "/" + prefix + "." + rand.Text()
	file, err := s.fs.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create a temporary file: %w", writeError(err))
	}
	return &tempFile{fs: s.fs, file: file, name: name, every: writebackEvery}, nil
}

func (t *tempFile) write(p []byte) error {
	n, err := t.file.WriteAt(p, t.size)
	t.size += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("write: %w", writeError(err))
	}
	if t.size-t.begun >= t.every {
		t.file.StartWriteback(t.begun, t.size-t.begun)
		t.begun = t.size
	}
	return nil
}

// finish makes the content durable and closes the file.
func (t *tempFile) finish() error {
	if err := t.file.Sync(); err != nil {
		return fmt.Errorf("sync: %w", writeError(err))
	}
	t.closed = true
	if err := t.file.Close(); err != nil {
		return fmt.Errorf("close: %w", writeError(err))
	}
	return nil
}

// discard closes the file and removes it, if that has not been done and it has not been moved.
func (t *tempFile) discard() error {
	var closeErr, removeErr error
	if !t.closed {
		t.closed = true
		closeErr = t.file.Close()
	}
	if !t.moved {
		removeErr = t.fs.Remove(t.name)
	}
	if errors.Is(removeErr, fs.ErrNotExist) {
		removeErr = nil // swept meanwhile
	}
	return errors.Join(closeErr, removeErr)
}
