package store_test

import (
	"math"
	"testing"

	"github.com/leat-dev/leat/store"
)

func TestCheckTenantSettings(t *testing.T) {
	t.Parallel()
	set := func(change func(*store.TenantSettings)) store.TenantSettings {
		s := store.DefaultTenantSettings("acme")
		change(&s)
		return s
	}
	for name, tc := range map[string]struct {
		settings store.TenantSettings
		ok       bool
	}{
		"defaults":              {store.DefaultTenantSettings("acme"), true},
		"all":                   {store.TenantSettings{Tenant: "a", Weight: store.MaxWeight, RequestsPerSecond: 0.5, Burst: 1, BytesPerDay: math.MaxInt64, JobsWaiting: math.MaxInt32, FileBytes: 1}, true},
		"no name":               {store.DefaultTenantSettings(""), false},
		"a name that is none":   {store.DefaultTenantSettings("A b"), false},
		"no weight":             {set(func(s *store.TenantSettings) { s.Weight = 0 }), false},
		"too much weight":       {set(func(s *store.TenantSettings) { s.Weight = store.MaxWeight + 1 }), false},
		"a rate below zero":     {set(func(s *store.TenantSettings) { s.RequestsPerSecond = -1 }), false},
		"no number":             {set(func(s *store.TenantSettings) { s.RequestsPerSecond = math.NaN() }), false},
		"a rate without end":    {set(func(s *store.TenantSettings) { s.RequestsPerSecond = math.Inf(1) }), false},
		"a burst below zero":    {set(func(s *store.TenantSettings) { s.Burst = -1 }), false},
		"a burst of too many":   {set(func(s *store.TenantSettings) { s.Burst = math.MaxInt32 + 1 }), false},
		"bytes below zero":      {set(func(s *store.TenantSettings) { s.BytesPerDay = -1 }), false},
		"jobs below zero":       {set(func(s *store.TenantSettings) { s.JobsWaiting = -1 }), false},
		"file bytes below zero": {set(func(s *store.TenantSettings) { s.FileBytes = -1 }), false},
	} {
		if err := tc.settings.Check(); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
