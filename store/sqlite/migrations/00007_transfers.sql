-- +goose Up

-- Uploads that come in several requests, whose latest has the epoch. One that is not finished owns the
-- object in the making by the row of its blob, unless it is made of parts, which are other transfers.
-- length is NULL while nobody knows it; state says how far the object has come, and is opaque.
CREATE TABLE transfers (
    id         BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    tenant     TEXT NOT NULL,
    blob_key   BLOB REFERENCES blobs (key),
    metadata   TEXT NOT NULL,
    digests    TEXT NOT NULL,
    partial    INTEGER NOT NULL CHECK (partial IN (0, 1)),
    parts      TEXT CHECK (parts IS NULL OR json_valid(parts)),
    length     INTEGER CHECK (length >= 0),
    "offset"   INTEGER NOT NULL CHECK ("offset" >= 0),
    state      BLOB,
    job_id     BLOB CHECK (length(job_id) = 16),
    epoch      INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    touched_at INTEGER NOT NULL,
    CHECK ("offset" <= length),
    CHECK ((blob_key IS NULL) = (parts IS NOT NULL OR job_id IS NOT NULL)),
    CHECK (job_id IS NULL OR length IS NOT NULL AND "offset" = length AND state IS NULL),
    CHECK (NOT partial OR job_id IS NULL AND parts IS NULL)
) STRICT;
CREATE INDEX transfers_blob ON transfers (blob_key) WHERE blob_key IS NOT NULL;
CREATE INDEX transfers_age ON transfers (touched_at);
