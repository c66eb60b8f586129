package embedded_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/app/embedded"
	"github.com/leat-dev/leat/config"
)

func TestFolderIsLockedAgainstASecondProcess(t *testing.T) {
	t.Parallel()
	opts := config.Default()
	opts.Data = t.TempDir()
	env := app.Env{Stderr: &bytes.Buffer{}}
	first, err := embedded.Open(t.Context(), "up", opts, env)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Open(t.Context(), "up", opts, env); !errors.Is(err, embedded.ErrInUse) {
		t.Errorf("second Open: %v, want ErrInUse", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := embedded.Open(t.Context(), "up", opts, env)
	if err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
