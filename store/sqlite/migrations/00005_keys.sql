-- +goose Up

-- Of a key, its hash alone is kept. The names of keys are few, and found by their beginnings.
CREATE TABLE keys (
    id         BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    name       TEXT NOT NULL UNIQUE,
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    tenant     TEXT NOT NULL,
    label      TEXT NOT NULL,
    scopes     TEXT NOT NULL, -- joined by commas
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    used_at    INTEGER
) STRICT;
CREATE INDEX keys_tenant ON keys (tenant, id);

-- IDs are UUIDs of version 7: their order is that of time, and by them the old ones are found.
CREATE TABLE audit (
    id         BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    at         INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    client     TEXT NOT NULL,
    request_id TEXT NOT NULL,
    action     TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    data       TEXT
) STRICT;
