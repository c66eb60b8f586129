package testserver

import "golang.org/x/sys/unix"

// memoryRoot is the folder whose files are in memory.
const memoryRoot = "/dev/shm"

// hasRoom reports whether a folder is there, with at least 2 GiB free.
func hasRoom(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && fs.Bavail*uint64(fs.Bsize) >= 2<<30
}
