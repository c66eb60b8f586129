-- +goose Up

-- Uploads that come in several requests, whose latest has the epoch. One that is not finished owns the
-- object in the making by the row of its blob, unless it is made of parts, which are other transfers.
-- length is NULL while nobody knows it; state says how far the object has come, and is opaque.
CREATE TABLE transfers (
    id         uuid PRIMARY KEY,
    tenant     text NOT NULL,
    blob_key   uuid REFERENCES blobs (key),
    metadata   text NOT NULL,
    digests    text NOT NULL,
    partial    boolean NOT NULL,
    parts      uuid[],
    length     bigint CHECK (length >= 0),
    "offset"   bigint NOT NULL CHECK ("offset" >= 0),
    state      bytea,
    job_id     uuid,
    epoch      bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    touched_at timestamptz NOT NULL DEFAULT now(),
    CHECK ("offset" <= length),
    CHECK ((blob_key IS NULL) = (parts IS NOT NULL OR job_id IS NOT NULL)),
    CHECK (job_id IS NULL OR length IS NOT NULL AND "offset" = length AND state IS NULL),
    CHECK (NOT partial OR job_id IS NULL AND parts IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX transfers_blob ON transfers (blob_key) WHERE blob_key IS NOT NULL;
CREATE INDEX transfers_age ON transfers (touched_at);
