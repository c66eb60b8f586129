-- +goose Up

-- Of a key, its hash alone is kept. The names of keys are few, and found by their beginnings.
CREATE TABLE keys (
    id         uuid PRIMARY KEY,
    name       text NOT NULL COLLATE "C" UNIQUE,
    hash       bytea NOT NULL CHECK (length(hash) = 32),
    tenant     text NOT NULL,
    label      text NOT NULL,
    scopes     text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    used_at    timestamptz
) WITH (fillfactor = 50);
CREATE INDEX keys_tenant ON keys (tenant, id);

-- IDs are UUIDs of version 7: their order is that of time, and by them the old ones are found.
CREATE TABLE audit (
    id         uuid PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    actor      text NOT NULL,
    client     text NOT NULL,
    request_id text NOT NULL,
    action     text NOT NULL,
    tenant     text NOT NULL,
    subject    text NOT NULL,
    data       json
);
