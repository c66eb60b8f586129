package fsblob

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/leat-dev/leat/blob"
)

// folders makes the folders that objects lie in, and syncs them. Syncs that are asked for while one
// is under way are done together after it, so that many Puts at once cost little more than one.
type folders struct {
	fs FS

	mu      sync.Mutex
	durable map[string]bool // folders whose own name, and those above, are known to be synced
	next    *folderSync     // collects who comes before it starts; nil when no one waits
	last    chan struct{}   // the done of the latest folderSync
}

// folderSync is a sync of some folders for everyone who waits for it.
type folderSync struct {
	dirs   map[string]bool
	before <-chan struct{} // closed when the one before it is done
	done   chan struct{}
	err    error // set before done is closed
}

// maxDurable bounds the memory of folders. Nearly all Puts are in the newest one.
const maxDurable = 64

func newFolders(disk FS) *folders {
	none := make(chan struct{})
	close(none)
	return &folders{fs: disk, durable: make(map[string]bool), last: none}
}

// ensure sees to it that the folder of key is there, and gives the folders that are to be synced
// when the object has got its name. A folder that another process has made may not be synced yet,
// so those above are left out only when this one has synced them.
func (f *folders) ensure(key blob.Key) ([]string, error) {
	top, leaf := topOf(key), folderOf(key)
	f.mu.Lock()
	durable := f.durable[leaf]
	f.mu.Unlock()
	if durable {
		return []string{leaf}, nil
	}
	for _, dir := range []string{top, leaf} {
		if err := f.fs.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return []string{leaf, top, objectsDir}, nil
}

// place has put give the object under key its name, and gives the folders that are to be synced.
func (f *folders) place(key blob.Key, put func(path string) error) ([]string, error) {
	dirs, err := f.ensure(key)
	if err != nil {
		return nil, err
	}
	err = put(pathOf(key))
	if !errors.Is(err, fs.ErrNotExist) {
		return dirs, err
	}
	// Someone has tidied up a folder while it was empty.
	f.forget(folderOf(key))
	if dirs, err = f.ensure(key); err != nil {
		return nil, err
	}
	return dirs, put(pathOf(key))
}

// sync makes the names in dirs durable that are in them now. When it fails, it may have failed for
// another caller's folder; no one can then tell what is durable.
func (f *folders) sync(dirs []string) error {
	f.mu.Lock()
	s := f.next
	first := s == nil
	if first {
		s = &folderSync{dirs: make(map[string]bool), before: f.last, done: make(chan struct{})}
		f.next, f.last = s, s.done
	}
	for _, dir := range dirs {
		s.dirs[dir] = true
	}
	f.mu.Unlock()
	if first {
		f.run(s)
	}
	<-s.done
	return s.err
}

// run does s when the one before it is done. Who comes from then on waits for the next: what they
// changed may be too late for this one.
func (f *folders) run(s *folderSync) {
	<-s.before
	f.mu.Lock()
	f.next = nil
	f.mu.Unlock()
	defer close(s.done)
	for dir := range s.dirs {
		if err := f.fs.SyncDir(dir); err != nil {
			s.err = fmt.Errorf("sync folder %s: %w", dir, err)
			return
		}
	}
}

// remember notes that dirs, as ensure gave them, are synced: so the first needs those above no more.
func (f *folders) remember(dirs []string) {
	if !slices.Contains(dirs, objectsDir) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.durable) >= maxDurable {
		clear(f.durable)
	}
	f.durable[dirs[0]] = true
}

func (f *folders) forget(leaf string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.durable, leaf)
}
