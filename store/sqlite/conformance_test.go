package sqlite_test

import (
	"testing"

	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) store.Store { return open(t) })
}
