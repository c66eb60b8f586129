-- +goose Up

-- The first answers to requests that carry a key. One without a status is being worked on.
CREATE TABLE onces (
    tenant     TEXT NOT NULL,
    key        TEXT NOT NULL,
    request    BLOB NOT NULL CHECK (length(request) = 32),
    holder     BLOB NOT NULL CHECK (length(holder) = 16),
    held_until INTEGER,
    status     INTEGER,
    location   TEXT,
    body       BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, key),
    CHECK ((status IS NULL) = (held_until IS NOT NULL)),
    CHECK ((status IS NULL) = (body IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX onces_age ON onces (created_at);
