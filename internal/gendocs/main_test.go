package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGeneratedPagesAreCurrent(t *testing.T) {
	t.Parallel()
	made, err := pages(filepath.Join("..", "..", "docs"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range made {
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("docs/%s is not current, run: go run ./internal/gendocs (-code +page):\n%s", name, diff)
		}
	}
}
