package faultfs

import (
	"bytes"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// node is a file or a folder: as it is, and as much of it as is safe.
type node struct {
	names, safeNames map[string]*node // of a folder; nil for a file
	data, safeData   []byte           // of a file
	broken           bool             // a sync of the file has failed
	locked           bool             // the file is being edited
	modified         time.Time
}

const pageSize = 4096

func newDir() *node {
	return &node{names: map[string]*node{}, safeNames: map[string]*node{}, modified: time.Now()}
}

func (n *node) isDir() bool { return n.names != nil }

// find gives the node at a path below n.
func (n *node) find(name string) (*node, error) {
	if name == "." {
		return n, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if !n.isDir() {
			return nil, syscall.ENOTDIR
		}
		next, ok := n.names[part]
		if !ok {
			return nil, syscall.ENOENT
		}
		n = next
	}
	return n, nil
}

// folder gives the folder that the last part of a path is in.
func (n *node) folder(name string) (*node, error) {
	dir, err := n.find(path.Dir(name))
	if err == nil && !dir.isDir() {
		err = syscall.ENOTDIR
	}
	return dir, err
}

// add puts a node at a path where there is nothing.
func (n *node) add(name string, child *node) error {
	dir, err := n.folder(name)
	if err != nil {
		return err
	}
	if dir.names[path.Base(name)] != nil {
		return syscall.EEXIST
	}
	dir.names[path.Base(name)] = child
	return nil
}

// writeAt writes p into a file at off.
func (n *node) writeAt(p []byte, off int) {
	if end := off + len(p); end > len(n.data) {
		n.data = append(n.data, make([]byte, end-len(n.data))...)
	}
	copy(n.data[off:], p)
	n.modified = time.Now()
}

// sync makes a file's content safe, or a folder's names.
func (n *node) sync() {
	if n.isDir() {
		n.safeNames = maps.Clone(n.names)
	} else if !n.broken {
		n.safeData = bytes.Clone(n.data)
	}
}

// crash makes n what is left of it: what is safe, and of the rest what is kept.
func (n *node) crash(keep func() bool) {
	if !n.isDir() {
		n.crashFile(keep)
		return
	}
	left := maps.Clone(n.safeNames)
	// In order, so that a keep from a seeded source decides alike each time.
	for _, name := range sortedNames(n.names, n.safeNames) {
		now := n.names[name]
		if now == n.safeNames[name] || !keep() {
			continue
		}
		if now == nil {
			delete(left, name)
		} else {
			left[name] = now
		}
	}
	n.names, n.safeNames = left, maps.Clone(left)
	for _, name := range sortedNames(left) {
		left[name].crash(keep)
	}
}

func (n *node) crashFile(keep func() bool) {
	left := bytes.Clone(n.safeData)
	if len(n.data) != len(left) && keep() {
		left = append(left, make([]byte, max(0, len(n.data)-len(left)))...)[:len(n.data)]
	}
	for off := 0; off < len(left); off += pageSize {
		if end := min(off+pageSize, len(left)); keep() {
			copy(left[off:end], n.data[min(off, len(n.data)):])
		}
	}
	n.data, n.safeData, n.broken, n.locked = left, bytes.Clone(left), false, false
}

func sortedNames(sets ...map[string]*node) []string {
	all := map[string]*node{}
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return slices.Sorted(maps.Keys(all))
}

// info tells of a node, as fs.FileInfo.
type info struct {
	name string
	size int64
	mode fs.FileMode
	time time.Time
}

func (n *node) info(name string) info {
	i := info{name: path.Base(name), size: int64(len(n.data)), mode: 0o600, time: n.modified}
	if n.isDir() {
		i.mode = fs.ModeDir | 0o700
	}
	return i
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.time }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
