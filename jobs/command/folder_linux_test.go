package command_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/command"
)

// A run's folder is removed also where the program has locked it, and by a worker that is not root.
func TestLockedFoldersAreRemoved(t *testing.T) {
	t.Parallel()
	scratch := t.TempDir()
	for dir, mode := range map[string]os.FileMode{scratch: 0o777, filepath.Dir(scratch): 0o755} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	// Root may do anything in locked folders. Of this thread, the file system sees another user.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nobody = 65534
	if before, err := unix.SetfsuidRetUid(nobody); err != nil {
		t.Fatal(err)
	} else {
		defer func() { _ = unix.Setfsuid(before) }()
	}
	output, remove, err := command.Folder(scratch)
	if err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(output, "a", "b", "c")
	if err := os.MkdirAll(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(inner, "x"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	run := filepath.Dir(output)
	for _, dir := range []string{inner, filepath.Dir(inner), output, run} {
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// Whatever files are called, artifacts have names that they may have, each its own.
func TestArtifactNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 200)
	names := command.Unique("a.txt", "a.txt", "a.txt", ".x", ".x", "..", " ", "\x00\n", "file", long, long, long+".txt", "."+long, "."+long, "\xff\xff", "\u202egpj.exe", "a\tb", "-rf", "CON")
	seen := map[string]bool{}
	for _, name := range names {
		if err := jobs.CheckArtifactName(name); err != nil || seen[name] {
			t.Errorf("%q, %v; seen: %t", name, err, seen[name])
		}
		seen[name] = true
	}
	if names[1] != "a-2.txt" || names[2] != "a-3.txt" {
		t.Errorf("names %q", names[:3])
	}
}
