package workerrole_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/app/workerrole"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

func resources(t *testing.T, scratch string) *app.Resources {
	t.Helper()
	opts := config.Default()
	opts.Scratch = scratch
	opts.Commands = map[string]declare.Command{"copy": {Name: "copy", Argv: []string{"/bin/cp", "{input}", "{output}/copy"}}}
	res, err := app.NewResources("test", opts, app.Env{Stderr: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Every kind that there is has a handler, the declared ones too.
func TestEveryKindHasAHandler(t *testing.T) {
	t.Parallel()
	scratch := t.TempDir()
	res := resources(t, scratch)
	kinds, err := workerrole.Kinds(res)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"inspect", "image", "table", "archive", "document", "copy"} {
		if _, _, ok := kinds.Get(name); !ok {
			t.Errorf("no handler for %s", name)
		}
	}
	if err := res.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(scratch, "worker-"+strconv.Itoa(os.Getpid()))); !os.IsNotExist(err) {
		t.Errorf("the process's folder is left behind: %v", err)
	}
}

// What killed processes have left in the scratch folder is removed; what living ones have is not.
func TestScratchIsSwept(t *testing.T) {
	t.Parallel()
	scratch := t.TempDir()
	const nobody = 1 << 30 // more than any process's number
	gone, alive := filepath.Join(scratch, "worker-"+strconv.Itoa(nobody)), filepath.Join(scratch, "worker-1")
	for _, dir := range []string{gone, alive, filepath.Join(scratch, "worker-x")} {
		if err := os.MkdirAll(filepath.Join(dir, "copy"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	res := resources(t, scratch)
	if _, err := workerrole.Kinds(res); err != nil {
		t.Fatal(err)
	}
	if err := res.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("a killed process's folder is still there: %v", err)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Errorf("a living process's folder: %v", err)
	}
}

// A scratch folder that others may write to is refused: what is compiled there is run.
func TestScratchOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	scratch := t.TempDir()
	if err := os.Chmod(scratch, 0o777); err != nil {
		t.Fatal(err)
	}
	res := resources(t, scratch)
	if _, err := workerrole.Kinds(res); err == nil {
		t.Error("others may write to the scratch folder")
	}
	if err := res.Close(); err != nil {
		t.Error(err)
	}
}
