package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// Audits tells what was done that must be accounted for. System role.
type Audits interface {
	// Audit returns at most page.Limit entries, latest first, and the cursor of the next page.
	Audit(ctx context.Context, page Page) ([]AuditEntry, Cursor, error)
}

// Actor is who did something that is accounted for.
type Actor struct {
	Name      string // of a key, or one of those below
	Client    string // its address, where there is one
	RequestID string
}

// Actors that have no key.
const (
	ActorOperator  = "operator"  // who works on the database itself
	ActorAnonymous = "anonymous" // where no keys are asked for
)

// AuditEntry is one act. It is written with what it tells of, in one commit.
type AuditEntry struct {
	ID      uuid.UUID // of version 7
	At      time.Time
	Actor   Actor
	Action  AuditAction
	Tenant  jobs.Tenant // whose thing it was
	Subject string      // the thing: a key's name, a file's ID
	Data    json.RawMessage
}

// AuditAction names what was done.
type AuditAction string

// The acts that are accounted for.
const (
	AuditKeyCreated  AuditAction = "key_created" // data: label, scopes, expires_at
	AuditKeyRevoked  AuditAction = "key_revoked"
	AuditFileDeleted AuditAction = "file_deleted" // data: size, sha256; a name could say what was to be forgotten
	AuditTenantSet   AuditAction = "tenant_set"   // data: weight, and the limits that are not the server's
)

// KeyCreated is the entry of a key's making.
func KeyCreated(key *Key, by Actor) AuditEntry {
	data := map[string]any{"label": key.Label, "scopes": key.Scopes}
	if !key.ExpiresAt.IsZero() {
		data["expires_at"] = key.ExpiresAt.UTC()
	}
	return newEntry(AuditKeyCreated, key.Tenant, key.Name, by, data)
}

// KeyRevoked is the entry of a key's end.
func KeyRevoked(key *Key, by Actor) AuditEntry {
	return newEntry(AuditKeyRevoked, key.Tenant, key.Name, by, nil)
}

// FileDeleted is the entry of a file's end.
func FileDeleted(file *jobs.File, by Actor) AuditEntry {
	return newEntry(AuditFileDeleted, file.Tenant, file.ID.String(), by,
		map[string]any{"size": file.Size, "sha256": hex.EncodeToString(file.SHA256[:])})
}

// TenantSet is the entry of a tenant's settings.
func TenantSet(settings *TenantSettings, by Actor) AuditEntry {
	return newEntry(AuditTenantSet, settings.Tenant, string(settings.Tenant), by, struct {
		Weight            int     `json:"weight"`
		RequestsPerSecond float64 `json:"requests_per_second,omitempty"`
		Burst             int     `json:"burst,omitempty"`
		BytesPerDay       int64   `json:"bytes_per_day,omitempty"`
		JobsWaiting       int     `json:"jobs_waiting,omitempty"`
		FileBytes         int64   `json:"file_bytes,omitempty"`
	}{settings.Weight, settings.RequestsPerSecond, settings.Burst, settings.BytesPerDay, settings.JobsWaiting, settings.FileBytes})
}

// newEntry makes an entry; the store's clock says when.
func newEntry(action AuditAction, tenant jobs.Tenant, subject string, by Actor, data any) AuditEntry {
	e := AuditEntry{ID: jobs.NewID(), Actor: by, Action: action, Tenant: tenant, Subject: subject}
	if data != nil {
		text, err := json.Marshal(data)
		if err != nil {
			panic("store: an audit's data that is not JSON: " + err.Error()) // of texts, numbers and times
		}
		e.Data = text
	}
	return e
}
