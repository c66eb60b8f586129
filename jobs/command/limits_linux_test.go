package command_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/command"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

// A program gets no more address space than its limit. What it makes of that is its own affair: dd
// ends with exit code 1.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	d := declare.Command{
		Argv:   []string{"dd", "if={input}", "of=/dev/null", "bs=256M", "count=1"},
		Exit:   declare.Exit{Codes: map[int]jobs.Code{1: jobs.CodeLimitMemory}},
		Limits: declare.Limits{Memory: 64 << 20},
	}
	fails(t, newRig(t, d).run(t, "a", "content", ""), jobs.CodeLimitMemory, true)
	d.Limits.Memory = 512 << 20
	if made := newRig(t, d).run(t, "a", "content", ""); made.Err != nil {
		t.Errorf("with memory enough: %v", made.Err)
	}
}

// The launcher itself gets along with whatever limit there may be: the program cannot be loaded, and
// the job is tried again.
func TestLeastMemory(t *testing.T) {
	t.Parallel()
	d := named("true")
	d.Limits.Memory = 1 << 20
	fails(t, newRig(t, d).run(t, "a", "", ""), jobs.CodeHandlerError, false)
}

// A program that takes too much processor time fails, whether it heeds the first signal or not.
func TestProcessorLimit(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`while :; do :; done`, `trap '' XCPU; while :; do :; done`, `sh -c 'while :; do :; done'; exit $?`} {
		d := script(text)
		d.Limits.CPU = time.Second
		fails(t, newRig(t, d).run(t, "a", "", ""), jobs.CodeLimitTime, true)
	}
}

// Output has a limit in bytes, files and depth, met while the program runs: none of these ends of
// itself, but the first two and the last.
func TestOutputLimit(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"one file":         `exec dd if=/dev/zero "of=$2/x" bs=64k`,
		"a hole":           `exec dd if=/dev/zero "of=$2/x" bs=1 count=1 seek=10G`,
		"many small files": `i=0; while :; do : >"$2/$((i=i+1))"; done`,
		"many large files": `i=0; while :; do head -c 500000 /dev/zero >"$2/$((i=i+1))"; sleep 0.1; done`,
		"temporary files":  `i=0; while :; do head -c 500000 /dev/zero >"$3/$((i=i+1))"; sleep 0.1; done`,
		"beside the file":  `i=0; while :; do head -c 500000 /dev/zero >"$1-$((i=i+1))"; sleep 0.1; done`,
		"folders":          `i=0; while :; do mkdir "$2/$((i=i+1))"; done`,
		"deep folders":     `cd "$2"; i=0; while [ $((i=i+1)) -lt 40 ]; do mkdir a; cd a; done`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := script(text)
			d.Limits.OutputBytes, d.Limits.OutputFiles = 1<<20, 50
			fails(t, newRig(t, d).run(t, "a", "content", ""), jobs.CodeLimitOutput, true)
		})
	}
}

// The file itself does not count as output, nor do the limits themselves go over.
func TestOutputWithinLimits(t *testing.T) {
	t.Parallel()
	d := script(`head -c 1000 "$1" >"$2/a"; head -c 1000 "$1" >"$2/b"`)
	d.Limits.OutputBytes, d.Limits.OutputFiles = 2000, 2
	made := newRig(t, d).run(t, "a", strings.Repeat("x", 5000), "")
	if got := jobtest.Decode[command.Result](t, made); got.Artifacts != 2 {
		t.Errorf("result %+v", got)
	}
}

func TestStdoutFlood(t *testing.T) {
	t.Parallel()
	d := declare.Command{Argv: []string{"yes"}, Stdout: declare.Artifact}
	fails(t, newRig(t, d).run(t, "a", "", ""), jobs.CodeLimitOutput, true)
	// What nobody keeps may be as much as it likes.
	made := newRig(t, script(`head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2`)).run(t, "a", "", "")
	if made.Err != nil {
		t.Error(made.Err)
	}
}

// Links, pipes, sockets and devices are no output, wherever they lead.
func TestSpecialFilesAreSkipped(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	made := newRig(t, script(`cd "$2"; ln -s `+secret+` link; ln -s `+filepath.Dir(secret)+` folder; ln -s "$1" inside; ln -s gone gone
		mkfifo pipe; mknod null c 1 3 || ln -s /dev/null null; echo x >x; chmod 0 x`)).run(t, "a", "content", "")
	if got := jobtest.Decode[command.Result](t, made); got != (command.Result{Artifacts: 1, Bytes: 2, Skipped: 6}) {
		t.Errorf("result %+v", got)
	}
}

// A program that puts a link in the place of one of its folders leads nobody outside, neither to
// read there nor to remove.
func TestFoldersAreReplaced(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"the output folder":       `rmdir "$2"; ln -s OUTSIDE "$2"`,
		"the output folder, gone": `rmdir "$2"`,
		"all of it":               `cd ..; mv "$(dirname "$2")" OUTSIDE/moved; ln -s OUTSIDE "$(dirname "$2")"; echo x >OUTSIDE/moved/out/x`,
		"a pipe in its place":     `rmdir "$2"; mkfifo "$2"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outside := t.TempDir()
			kept := filepath.Join(outside, "kept")
			if err := os.WriteFile(kept, []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			made := newRig(t, script(strings.ReplaceAll(text, "OUTSIDE", outside))).run(t, "a", "content", "")
			for name, a := range made.Artifacts {
				if string(a.Content) == "secret" {
					t.Errorf("%s was read from outside", name)
				}
			}
			if _, err := os.Stat(kept); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(filepath.Join(outside, "moved")); err == nil && len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

// The program has the limits from its first instruction on, cannot gain rights, and has nothing open
// but its streams.
func TestProgramIsConfined(t *testing.T) {
	t.Parallel()
	d := script(`grep NoNewPrivs /proc/self/status; ulimit -n; ulimit -v; ulimit -t; ulimit -c; ulimit -f; i=0; while [ $i -lt 77 ]; do if [ -e /proc/$$/fd/$i ]; then printf "$i "; fi; i=$((i+1)); done; echo; pwd`)
	d.Stdout = declare.Artifact
	d.Limits = declare.Limits{OpenFiles: 77, Memory: 256 << 20, CPU: 7 * time.Second, OutputBytes: 1 << 20}
	r := newRig(t, d)
	made := r.run(t, "a", "", "")
	lines := strings.Split(string(made.Artifacts["stdout"].Content), "\n")
	if made.Err != nil || len(lines) != 9 {
		t.Fatalf("output %q, %v", lines, made.Err)
	}
	for i, want := range []string{"NoNewPrivs:\t1", "77", "262144", "7", "0", "2048"} {
		if lines[i] != want {
			t.Errorf("got %q, want %q", lines[i], want)
		}
	}
	if got := strings.Fields(lines[6]); !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("open are %v", got)
	}
	if !strings.HasPrefix(lines[7], r.scratch) {
		t.Errorf("works in %s", lines[7])
	}
}
