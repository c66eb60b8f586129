package storetest

import (
	"encoding/json"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func tenantTests() []test {
	return []test{
		{"Set", testTenantSet},
		{"Defaults", testTenantDefaults},
		{"Refused", testTenantRefused},
		{"Listed", testTenantsListed},
	}
}

func (f *fixture) setTenant(settings store.TenantSettings) store.TenantSettings {
	f.Helper()
	kept, err := f.s.SetTenant(f.ctx(), settings, operator)
	f.ok(err)
	return kept
}

func (f *fixture) settings(tenant jobs.Tenant) store.TenantSettings {
	f.Helper()
	settings, err := f.s.TenantSettings(f.ctx(), tenant)
	f.ok(err)
	return settings
}

func testTenantSet(f *fixture) {
	all := store.TenantSettings{
		Tenant: "acme", Weight: 3, RequestsPerSecond: 2.5, Burst: 10, BytesPerDay: 1 << 40, JobsWaiting: 1000, FileBytes: 1 << 33,
	}
	f.setTenant(store.DefaultTenantSettings("other"))
	kept := f.setTenant(all)
	if kept.UpdatedAt.IsZero() {
		f.Error("no time of the setting")
	}
	all.UpdatedAt = kept.UpdatedAt
	f.equal("kept", all, kept)
	f.equal("found", kept, f.settings("acme"))

	fewer := f.setTenant(store.TenantSettings{Tenant: "acme", Weight: 1, Burst: 5})
	if fewer.UpdatedAt.Before(kept.UpdatedAt) {
		f.Errorf("set at %v, and again at %v", kept.UpdatedAt, fewer.UpdatedAt)
	}
	f.equal("set again", store.TenantSettings{Tenant: "acme", Weight: 1, Burst: 5, UpdatedAt: fewer.UpdatedAt}, f.settings("acme"))
	entry := func(tenant jobs.Tenant, data string) store.AuditEntry {
		return store.AuditEntry{Actor: operator, Action: store.AuditTenantSet, Tenant: tenant, Subject: string(tenant), Data: json.RawMessage(data)}
	}
	f.equal("the audit", []store.AuditEntry{
		entry("acme", `{"weight":1,"burst":5}`),
		entry("acme", `{"weight":3,"requests_per_second":2.5,"burst":10,"bytes_per_day":1099511627776,"jobs_waiting":1000,"file_bytes":8589934592}`),
		entry("other", `{"weight":1}`),
	}, f.audit())
}

func testTenantDefaults(f *fixture) {
	f.equal("of one that nobody has set", store.DefaultTenantSettings("acme"), f.settings("acme"))
	list, err := f.s.Tenants(f.ctx(), "", 10)
	f.ok(err)
	f.equal("list", []store.TenantSettings{}, list)
}

func testTenantRefused(f *fixture) {
	before := f.setTenant(store.TenantSettings{Tenant: "acme", Weight: 2})
	for _, wrong := range []store.TenantSettings{
		{Tenant: "acme"},
		{Tenant: "acme", Weight: store.MaxWeight + 1},
		{Tenant: "acme", Weight: 1, RequestsPerSecond: -1},
		{Tenant: "acme", Weight: 1, Burst: -1},
		{Tenant: "acme", Weight: 1, BytesPerDay: -1},
		{Tenant: "acme", Weight: 1, JobsWaiting: -1},
		{Tenant: "acme", Weight: 1, FileBytes: -1},
	} {
		if _, err := f.s.SetTenant(f.ctx(), wrong, operator); err == nil {
			f.Errorf("%+v was kept", wrong)
		}
	}
	f.equal("after what was refused", before, f.settings("acme"))
	if n := len(f.audit()); n != 1 {
		f.Errorf("%d entries of the audit, want none of what did not happen", n)
	}
}

func testTenantsListed(f *fixture) {
	want := []jobs.Tenant{"a", "b", "c", "d", "e"}
	for _, i := range []int{3, 1, 4, 0, 2} {
		f.setTenant(store.DefaultTenantSettings(want[i]))
	}
	var got []jobs.Tenant
	for after := jobs.Tenant(""); ; {
		list, err := f.s.Tenants(f.ctx(), after, 2)
		f.ok(err)
		if len(list) > 2 {
			f.Fatalf("a page of %d, want at most 2", len(list))
		}
		for _, t := range list {
			got = append(got, t.Tenant)
			after = t.Tenant
		}
		if len(list) < 2 {
			break
		}
	}
	f.equal("tenants", want, got)
}
