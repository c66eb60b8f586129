package faultfs_test

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/leat-dev/leat/blob/fsblob/faultfs"
)

func write(t *testing.T, disk *faultfs.FS, name, content string, sync bool) {
	t.Helper()
	file, err := disk.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	if sync {
		must(t, file.Sync())
	}
	must(t, file.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read gives a file's content, or "none" when there is no such file.
func read(t *testing.T, disk *faultfs.FS, name string) string {
	t.Helper()
	file, err := disk.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "none"
	}
	must(t, err)
	content, err := io.ReadAll(file)
	must(t, err)
	must(t, file.Close())
	return string(content)
}

// cutOff makes a file durably, and cuts it off.
func cutOff(t *testing.T, disk *faultfs.FS, sync bool) {
	t.Helper()
	write(t, disk, "a", "content", true)
	must(t, disk.SyncDir("."))
	file, err := disk.Edit("a", false)
	must(t, err)
	must(t, file.Truncate(3))
	if sync {
		must(t, file.Sync())
	}
	must(t, file.Close())
}

func TestCrashDropsWhatWasNotSynced(t *testing.T) {
	t.Parallel()
	all := func() bool { return true }
	tests := map[string]struct {
		do   func(t *testing.T, disk *faultfs.FS)
		keep func() bool
		want map[string]string
	}{
		"content and name synced": {
			do: func(t *testing.T, disk *faultfs.FS) {
				write(t, disk, "a", "content", true)
				must(t, disk.SyncDir("."))
			},
			want: map[string]string{"a": "content"},
		},
		"name not synced": {
			do:   func(t *testing.T, disk *faultfs.FS) { write(t, disk, "a", "content", true) },
			want: map[string]string{"a": "none"},
		},
		"content not synced": {
			do: func(t *testing.T, disk *faultfs.FS) {
				write(t, disk, "a", "content", false)
				must(t, disk.SyncDir("."))
			},
			want: map[string]string{"a": ""},
		},
		"nothing synced, all kept": {
			do:   func(t *testing.T, disk *faultfs.FS) { write(t, disk, "a", "content", false) },
			keep: all,
			want: map[string]string{"a": "content"},
		},
		"move not synced": {
			do: func(t *testing.T, disk *faultfs.FS) {
				write(t, disk, "a", "content", true)
				must(t, disk.SyncDir("."))
				must(t, disk.Move("a", "b"))
			},
			want: map[string]string{"a": "content", "b": "none"},
		},
		"removal not synced": {
			do: func(t *testing.T, disk *faultfs.FS) {
				write(t, disk, "a", "content", true)
				must(t, disk.SyncDir("."))
				must(t, disk.Remove("a"))
			},
			want: map[string]string{"a": "content"},
		},
		"folder synced, its own name not": {
			do: func(t *testing.T, disk *faultfs.FS) {
				must(t, disk.Mkdir("dir"))
				write(t, disk, "dir/a", "content", true)
				must(t, disk.SyncDir("dir"))
			},
			want: map[string]string{"dir/a": "none"},
		},
		"folder and its own name synced": {
			do: func(t *testing.T, disk *faultfs.FS) {
				must(t, disk.Mkdir("dir"))
				write(t, disk, "dir/a", "content", true)
				must(t, disk.SyncDir("dir"))
				must(t, disk.SyncDir("."))
			},
			want: map[string]string{"dir/a": "content"},
		},
		"cut off not synced": {
			do:   func(t *testing.T, disk *faultfs.FS) { cutOff(t, disk, false) },
			want: map[string]string{"a": "content"},
		},
		"cut off not synced, all kept": {
			do:   func(t *testing.T, disk *faultfs.FS) { cutOff(t, disk, false) },
			keep: all,
			want: map[string]string{"a": "con"},
		},
		"cut off synced": {
			do:   func(t *testing.T, disk *faultfs.FS) { cutOff(t, disk, true) },
			want: map[string]string{"a": "con"},
		},
		"second sync after one that failed": {
			do: func(t *testing.T, disk *faultfs.FS) {
				file, err := disk.Create("a")
				must(t, err)
				_, err = file.WriteAt([]byte("content"), 0)
				must(t, err)
				disk.Inject(faultfs.On(faultfs.Fault{Err: syscall.EIO}, faultfs.Sync))
				if err := file.Sync(); !errors.Is(err, syscall.EIO) {
					t.Fatalf("Sync = %v, want EIO", err)
				}
				disk.Inject(nil)
				must(t, file.Sync())
				must(t, disk.SyncDir("."))
			},
			want: map[string]string{"a": ""},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := faultfs.New()
			test.do(t, disk)
			disk.Crash(test.keep)
			for path, want := range test.want {
				if got := read(t, disk, path); got != want {
					t.Errorf("after the crash %s holds %q, want %q", path, got, want)
				}
			}
		})
	}
}

func TestCrashTearsAFile(t *testing.T) {
	t.Parallel()
	const pages = 64
	disk := faultfs.New()
	write(t, disk, "a", string(slices.Repeat([]byte{'x'}, pages*4096)), false)
	must(t, disk.SyncDir("."))
	random := rand.New(rand.NewPCG(1, 2))
	asked := 0
	disk.Crash(func() bool {
		asked++
		return asked == 1 || random.IntN(4) != 0 // the length is asked for first
	})
	got := read(t, disk, "a")
	kept := 0
	for off := 0; off < len(got); off += 4096 {
		if got[off] == 'x' {
			kept++
		}
	}
	if len(got) != pages*4096 || kept == 0 || kept == pages {
		t.Errorf("%d bytes left, %d pages of %d kept, want all of the length and some of the pages",
			len(got), kept, pages)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	disk := faultfs.New()
	file, err := disk.Create("a") // step 1
	must(t, err)

	disk.Inject(faultfs.At(2, faultfs.Fault{Err: syscall.ENOSPC, Applied: true}))
	if n, err := file.WriteAt([]byte("content!"), 0); n != 4 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("short write = %d, %v, want 4, ENOSPC", n, err)
	}
	if got := read(t, disk, "a"); got != "cont" {
		t.Errorf("after a short write the file holds %q", got)
	}

	disk.Inject(faultfs.On(faultfs.Fault{Err: syscall.EIO}, faultfs.Mkdir, faultfs.Move))
	if err := disk.Move("a", "b"); !errors.Is(err, syscall.EIO) {
		t.Errorf("Move = %v, want EIO", err)
	}
	if got := read(t, disk, "b"); got != "none" {
		t.Errorf("a Move that failed was done: b holds %q", got)
	}

	disk.Inject(faultfs.On(faultfs.Fault{PowerOff: true}, faultfs.Mkdir))
	if err := disk.Mkdir("dir"); !errors.Is(err, faultfs.ErrPowerOff) {
		t.Errorf("Mkdir = %v, want ErrPowerOff", err)
	}
	steps := disk.Steps()
	if err := disk.SyncDir("."); !errors.Is(err, faultfs.ErrPowerOff) {
		t.Errorf("SyncDir without power = %v, want ErrPowerOff", err)
	}
	if got := disk.Steps(); got != steps {
		t.Errorf("an operation without power was counted: %d steps, want %d", got, steps)
	}

	disk.Crash(nil)
	must(t, disk.SyncDir("."))
	if _, err := file.WriteAt([]byte("more"), 0); !errors.Is(err, faultfs.ErrPowerOff) {
		t.Errorf("write to a file that was open at the crash = %v, want ErrPowerOff", err)
	}
}
