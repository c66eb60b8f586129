//go:build !linux

package fsblob

// Sync is what the system's strongest sync of one file is.
func (f diskFile) Sync() error { return f.f.Sync() }

// StartWriteback does nothing: there is no such call.
func (f diskFile) StartWriteback(_, _ int64) {}

// Move is by link, since a rename would replace.
func (d *disk) Move(oldname, newname string) error { return d.linkMove(oldname, newname) }
