package postgres_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
)

// TestMigrationsRunOnce: however many start at once, on a database that has nothing.
func TestMigrationsRunOnce(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	have, need, err := postgres.Version(t.Context(), url)
	if err != nil || have != 0 || need < 1 {
		t.Fatalf("before: at %d of %d, %v", have, need, err)
	}
	const n = 8
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if i%2 == 0 {
				errs[i] = postgres.Migrate(t.Context(), url)
				return
			}
			s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
			if err == nil {
				err = s.Close()
			}
			errs[i] = err
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if have, need, err = postgres.Version(t.Context(), url); err != nil || have != need {
		t.Errorf("after: at %d of %d, %v", have, need, err)
	}
	var applied, versions, identities int
	err = direct(t, url).QueryRow(t.Context(), `SELECT count(*), count(DISTINCT version_id), (SELECT count(*) FROM identity)
		FROM leat_schema`).Scan(&applied, &versions, &identities)
	if err != nil || applied != versions || identities != 1 {
		t.Errorf("%d migrations of %d versions were applied, %d identities, %v", applied, versions, identities, err)
	}
}

func TestSchemaIsLeftAloneWhenToldSo(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	_, err := postgres.Open(t.Context(), postgres.Options{URL: url, SkipMigrate: true})
	var old *postgres.SchemaError
	if !errors.As(err, &old) || old.Have != 0 || old.Need < 1 {
		t.Fatalf("got %v", err)
	}
	if got := refused(t, postgres.Options{URL: url, Pooler: true}); got != "MigrateURL" {
		t.Errorf("through a pooler: option %s is named", got)
	}
	if have, _, err := postgres.Version(t.Context(), url); err != nil || have != 0 {
		t.Errorf("the schema is at %d, %v", have, err)
	}
	opened(t, postgres.Options{URL: url, Pooler: true, MigrateURL: url + "&application_name=direct"})
	opened(t, postgres.Options{URL: url, SkipMigrate: true})
}

// TestOlderProgramGoesOn: during a rolling update, the schema is ahead of it.
func TestOlderProgramGoesOn(t *testing.T) {
	t.Parallel()
	url := fresh(t)
	execute(t, url, "INSERT INTO leat_schema (version_id, is_applied) VALUES (999999, true)")
	var s store.Store = opened(t, postgres.Options{URL: url})
	accept(t, s, 1)
	if err := postgres.Migrate(t.Context(), url); err != nil {
		t.Errorf("migrate: %v", err)
	}
}
