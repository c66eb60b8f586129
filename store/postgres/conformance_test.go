package postgres_test

import (
	"testing"

	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
	"github.com/leat-dev/leat/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(tb testing.TB) store.Store { return opened(tb, postgres.Options{URL: fresh(tb)}) })
}
