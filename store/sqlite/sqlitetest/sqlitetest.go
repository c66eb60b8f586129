// Package sqlitetest gives tests databases that have their schema. To migrate each one takes a tenth of a
// second with the race detector, and there are hundreds.
//
// It is for tests; no program imports it. It imports store/sqlite.
package sqlitetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/leat-dev/leat/store/sqlite"
)

// Path names a new, empty database with the present schema, for sqlite.Options. All of them have one
// identity. It goes with the test.
func Path(tb testing.TB) string {
	tb.Helper()
	content, err := migrated()
	if err != nil {
		tb.Fatalf("sqlitetest: %v", err)
	}
	path := filepath.Join(tb.TempDir(), "leat.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatalf("sqlitetest: %v", err)
	}
	return path
}

// migrated is the content of such a database.
var migrated = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "leat-sqlite-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := os.RemoveAll(dir); err == nil {
			err = e
		}
	}()
	path := filepath.Join(dir, "leat.db")
	if _, err := sqlite.Migrate(context.Background(), path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})
