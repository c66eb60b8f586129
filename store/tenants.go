package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/leat-dev/leat/jobs"
)

// Tenants keeps what operators have set for tenants, and tells what all of them have waiting. Nothing
// needs to be set for a tenant to be one. System role.
type Tenants interface {
	// SetTenant keeps settings that Check takes in place of the tenant's earlier ones, and notes who
	// set them. Times are the store's.
	SetTenant(ctx context.Context, settings TenantSettings, by Actor) (TenantSettings, error)
	// TenantSettings returns what holds for a tenant: DefaultTenantSettings where nothing was set.
	TenantSettings(ctx context.Context, tenant jobs.Tenant) (TenantSettings, error)
	// Tenants returns at most limit (up to MaxLimit) tenants for which something was set, in the
	// store's order of their names, from the one that follows after. Fewer than limit means: no more
	// are left.
	Tenants(ctx context.Context, after jobs.Tenant, limit int) ([]TenantSettings, error)
	// Pressure tells how much is ready to run, in all queues that are not paused.
	Pressure(ctx context.Context) (Pressure, error)
}

// TenantSettings are a tenant's share and its limits. A limit of zero is the server's default.
type TenantSettings struct {
	Tenant jobs.Tenant
	// Weight is the tenant's share of the workers where several tenants have jobs waiting: with 3 it
	// gets three times of what one with 1 gets.
	Weight int

	RequestsPerSecond float64
	Burst             int   // requests that may come at once
	BytesPerDay       int64 // that may be uploaded
	JobsWaiting       int   // that may wait to be run
	FileBytes         int64 // of one file

	UpdatedAt time.Time // zero: never set
}

// MaxWeight bounds a tenant's weight.
const MaxWeight = 100

// DefaultTenantSettings hold for a tenant for which nothing was set.
func DefaultTenantSettings(tenant jobs.Tenant) TenantSettings {
	return TenantSettings{Tenant: tenant, Weight: 1}
}

// Check tells whether settings can be kept.
func (s *TenantSettings) Check() error {
	if err := jobs.CheckName(string(s.Tenant)); err != nil {
		return fmt.Errorf("tenant: %w", err)
	}
	if s.Weight < 1 || s.Weight > MaxWeight {
		return fmt.Errorf("weight %d is not from 1 to %d", s.Weight, MaxWeight)
	}
	if s.RequestsPerSecond < 0 || math.IsNaN(s.RequestsPerSecond) || math.IsInf(s.RequestsPerSecond, 0) {
		return fmt.Errorf("requests per second: %v is not a rate", s.RequestsPerSecond)
	}
	for _, limit := range []struct {
		name  string
		value int64
		most  int64
	}{
		{"burst", int64(s.Burst), math.MaxInt32},
		{"bytes per day", s.BytesPerDay, math.MaxInt64},
		{"jobs waiting", int64(s.JobsWaiting), math.MaxInt32},
		{"file bytes", s.FileBytes, math.MaxInt64},
	} {
		if limit.value < 0 || limit.value > limit.most {
			return fmt.Errorf("%s: %d is not from 0 to %d", limit.name, limit.value, limit.most)
		}
	}
	return nil
}
