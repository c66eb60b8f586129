package storetest

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func keyTests() []test {
	return []test{
		{"KeptAndFound", testKeyKeptAndFound},
		{"Expiry", testKeyExpiry},
		{"RevokedOnce", testKeyRevokedOnce},
		{"Touched", testKeyTouched},
		{"Listed", testKeysListed},
		{"NameIsUnique", testKeyNameIsUnique},
		{"AuditPages", testAuditPages},
		{"AuditPruned", testAuditPruned},
	}
}

var operator = store.Actor{Name: store.ActorOperator, Client: "192.0.2.1", RequestID: "r-1"}

func newKey() store.NewKey {
	_, name, hash := access.NewKey()
	return store.NewKey{Name: name, Hash: hash, Tenant: "acme", Label: "the website", Scopes: access.Scopes{access.Read, access.Upload}}
}

func (f *fixture) addKey(key store.NewKey) store.Key {
	f.Helper()
	added, err := f.s.AddKey(f.ctx(), key, operator)
	f.ok(err)
	return added
}

// audit is everything that is accounted for, latest first, without IDs and times.
func (f *fixture) audit() []store.AuditEntry {
	f.Helper()
	list, _, err := f.s.Audit(f.ctx(), store.Page{Limit: store.MaxLimit})
	f.ok(err)
	for i := range list {
		if list[i].At.IsZero() {
			f.Errorf("entry %+v has no time", list[i])
		}
		list[i].ID, list[i].At = [16]byte{}, time.Time{}
	}
	return list
}

func testKeyKeptAndFound(f *fixture) {
	key := newKey()
	added := f.addKey(key)
	f.equal("what was added", store.Key{
		ID: added.ID, Name: key.Name, Hash: key.Hash, Tenant: "acme", Label: "the website",
		Scopes: key.Scopes, CreatedAt: added.CreatedAt,
	}, added)
	if added.CreatedAt.IsZero() || !added.Valid(added.CreatedAt) {
		f.Errorf("a fresh key is not valid: %+v", added)
	}
	found, err := f.s.Key(f.ctx(), key.Name)
	f.ok(err)
	f.equal("what was found", added, found)
	if _, err := f.s.Key(f.ctx(), newKey().Name); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("a key that is not there: %v", err)
	}
	f.equal("the audit", []store.AuditEntry{{
		Actor: operator, Action: store.AuditKeyCreated, Tenant: "acme", Subject: key.Name,
		Data: json.RawMessage(`{"label":"the website","scopes":["read","upload"]}`),
	}}, f.audit())
}

func testKeyExpiry(f *fixture) {
	key := newKey()
	key.Expires = time.Hour
	added := f.addKey(key)
	if got := added.ExpiresAt.Sub(added.CreatedAt); got != time.Hour {
		f.Errorf("expires after %v, want an hour", got)
	}
	if !added.Valid(added.ExpiresAt.Add(-time.Second)) || added.Valid(added.ExpiresAt) {
		f.Error("a key is valid until it expires, and no longer")
	}
}

func testKeyRevokedOnce(f *fixture) {
	key := f.addKey(newKey())
	first, err := f.s.RevokeKey(f.ctx(), key.Name, operator)
	f.ok(err)
	if first.RevokedAt.IsZero() || first.Valid(key.CreatedAt) {
		f.Errorf("revoked, yet %+v", first)
	}
	again, err := f.s.RevokeKey(f.ctx(), key.Name, store.Actor{Name: "other"})
	f.ok(err)
	f.equal("revoked again", first, again)
	found, err := f.s.Key(f.ctx(), key.Name)
	f.ok(err)
	f.equal("found", first, found)
	f.equal("latest of the audit", store.AuditEntry{Actor: operator, Action: store.AuditKeyRevoked, Tenant: "acme", Subject: key.Name}, f.audit()[0])
	if n := len(f.audit()); n != 2 {
		f.Errorf("%d entries of the audit, want one of the making and one of the end", n)
	}
	if _, err := f.s.RevokeKey(f.ctx(), newKey().Name, operator); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("a key that is not there: %v", err)
	}
}

func testKeyTouched(f *fixture) {
	key := f.addKey(newKey())
	f.ok(f.s.TouchKey(f.ctx(), key.Name))
	f.ok(f.s.TouchKey(f.ctx(), newKey().Name))
	found, err := f.s.Key(f.ctx(), key.Name)
	f.ok(err)
	if found.UsedAt.Before(key.CreatedAt) {
		f.Errorf("used at %v, made at %v", found.UsedAt, key.CreatedAt)
	}
}

func testKeysListed(f *fixture) {
	var names []string
	for i := range 5 {
		key := newKey()
		key.Tenant = []jobs.Tenant{"acme", "other"}[i%2]
		names = append(names, f.addKey(key).Name)
	}
	slices.Reverse(names)
	list := func(filter store.KeyFilter, limit int) []string {
		var got []string
		for page := (store.Page{Limit: limit}); ; {
			keys, next, err := f.s.ListKeys(f.ctx(), filter, page)
			f.ok(err)
			if len(keys) > limit {
				f.Errorf("a page of %d, want at most %d", len(keys), limit)
			}
			for _, k := range keys {
				got = append(got, k.Name)
			}
			if next.IsZero() {
				return got
			}
			page.After = next
		}
	}
	f.equal("all", names, list(store.KeyFilter{}, 2))
	f.equal("of one tenant", []string{names[0], names[2], names[4]}, list(store.KeyFilter{Tenant: "acme"}, 10))
	f.equal("of a whole name", []string{names[1]}, list(store.KeyFilter{Prefix: names[1]}, 10))
	f.equal("of another tenant", []string{}, list(store.KeyFilter{Prefix: names[1], Tenant: "acme"}, 10))
	f.equal("of all names", names, list(store.KeyFilter{Prefix: "leat_"}, 10))
}

func testKeyNameIsUnique(f *fixture) {
	key := newKey()
	f.addKey(key)
	if _, err := f.s.AddKey(f.ctx(), key, operator); err == nil {
		f.Error("a second key of the same name was kept")
	}
	if n := len(f.audit()); n != 1 {
		f.Errorf("%d entries of the audit, want none of what did not happen", n)
	}
}

func testAuditPages(f *fixture) {
	var names []string
	for range 5 {
		names = append(names, f.addKey(newKey()).Name)
	}
	slices.Reverse(names)
	var got []string
	for page := (store.Page{Limit: 2}); ; {
		list, next, err := f.s.Audit(f.ctx(), page)
		f.ok(err)
		for _, e := range list {
			got = append(got, e.Subject)
		}
		if next.IsZero() {
			break
		}
		page.After = next
	}
	f.equal("subjects", names, got)
}

func testAuditPruned(f *fixture) {
	for range 5 {
		f.addKey(newKey())
	}
	if n, err := f.s.PruneAudit(f.ctx(), time.Hour, 100); n != 0 || err != nil {
		f.Errorf("pruned %d that are not an hour old, %v", n, err)
	}
	total := 0
	f.eventually("all are old", func() bool {
		n, err := f.s.PruneAudit(f.ctx(), 0, 2)
		f.ok(err)
		if n > 2 {
			f.Errorf("pruned %d, want at most 2", n)
		}
		total += n
		return total == 5
	})
	f.equal("what is left", []store.AuditEntry{}, f.audit())
}
