package sqlite_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store/sqlite"
)

// TestMigrateAgain: migrating is done once, and harmless afterwards.
func TestMigrateAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leat.db")
	first, err := sqlite.Migrate(t.Context(), path)
	if err != nil || first < 1 {
		t.Fatalf("version %d, %v", first, err)
	}
	s := openAt(t, path, func(o *sqlite.Options) { o.SkipMigrate = true })
	id := accept(t, s, upload("kept"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := sqlite.Migrate(t.Context(), path)
	if err != nil || second != first {
		t.Fatalf("version %d, %v; want %d again", second, err, first)
	}
	if job := load(t, openAt(t, path), id); job.State != jobs.Pending {
		t.Errorf("the job is %s", job.State)
	}
}

// TestSkipMigrate: without leave to migrate, a database without a schema is refused.
func TestSkipMigrate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leat.db")
	_, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, SkipMigrate: true})
	var schema *sqlite.SchemaError
	if !errors.As(err, &schema) || schema.Have != 0 || schema.Need < 1 {
		t.Fatalf("%v, want a *SchemaError from version 0", err)
	}
}

// TestNewerSchema: what a newer program left is refused, and not touched.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leat.db")
	s := openAt(t, path)
	const record = `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`
	if _, err := s.Writer().ExecContext(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, skip := range []bool{false, true} {
		_, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, SkipMigrate: skip})
		var schema *sqlite.SchemaError
		if !errors.As(err, &schema) || schema.Have != 99999 || schema.Error() == "" {
			t.Errorf("%v, want a *SchemaError from version 99999", err)
		}
	}
}

// TestConstraints: the schema itself refuses jobs whose columns contradict each other.
func TestConstraints(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := accept(t, s, upload("a"))
	for _, set := range []string{
		`state = 'asleep'`,
		`state = 'running'`,
		`claim = x'00'`,
		`state = 'succeeded'`,
		`finished_at = 1`,
		`state = 'retrying'`,
		`state = 'failed', finished_at = 1`,
		`generation = 0`,
		`progress = 1.5`,
		`result = 'no JSON'`,
		`queue = NULL`,
		`losses = 'many'`,
		`file_id = randomblob(16)`,
	} {
		if _, err := s.Writer().ExecContext(t.Context(), `UPDATE jobs SET `+set); err == nil {
			t.Errorf("a job with %s was taken", set)
		}
	}
	if _, err := s.Writer().ExecContext(t.Context(), `DELETE FROM files`); err == nil {
		t.Error("a file was deleted under its job")
	}
	if job := load(t, s, id); job.State != jobs.Pending {
		t.Errorf("the job is %s", job.State)
	}
	var mode sql.NullString
	if err := s.Writer().QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&mode); err != nil || mode.String != "ok" {
		t.Errorf("integrity: %v, %v", mode.String, err)
	}
}
