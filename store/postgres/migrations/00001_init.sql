-- +goose Up

-- What this database is, once and for all: the blob store's marker must name it.
CREATE TABLE identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id       uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO identity DEFAULT VALUES;

-- One row owns each object in the blob store. A run that is about to write one holds it by its
-- claim; a file or an artifact that refers to it clears the hold.
CREATE TABLE blobs (
    key        uuid PRIMARY KEY,
    held_job   uuid,
    held_claim uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((held_job IS NULL) = (held_claim IS NULL))
);
CREATE INDEX blobs_held ON blobs (created_at) WHERE held_claim IS NOT NULL;

CREATE TABLE files (
    id           uuid PRIMARY KEY,
    tenant       text NOT NULL,
    name         text NOT NULL,
    size         bigint NOT NULL CHECK (size >= 0),
    sha256       bytea NOT NULL CHECK (length(sha256) = 32),
    media_type   text NOT NULL,
    claimed_type text NOT NULL,
    content      bytea,
    blob_key     uuid REFERENCES blobs (key),
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((content IS NULL) <> (blob_key IS NULL)),
    CHECK (content IS NULL OR length(content) = size)
);
CREATE INDEX files_blob ON files (blob_key) WHERE blob_key IS NOT NULL;
-- Uploads are compressed already, mostly. With 4 KiB of content a file takes 5.7 KB; kept in the row
-- instead of beside it, it would take 8.2 KB and be no quicker to write or to claim.
ALTER TABLE files ALTER COLUMN content SET STORAGE EXTERNAL;

-- room is what an upload may hand over directly, as the leader of room_epoch said.
CREATE TABLE queues (
    name       text PRIMARY KEY,
    paused_at  timestamptz,
    room       integer NOT NULL DEFAULT 0,
    room_epoch bigint NOT NULL DEFAULT 0
);

-- params, result and the data of events are json, not jsonb: they are handed on byte by byte (the
-- hash of the parameters is over these bytes), and nothing here looks inside.
CREATE TABLE jobs (
    id                 uuid PRIMARY KEY,
    tenant             text NOT NULL,
    file_id            uuid NOT NULL REFERENCES files (id),
    parent_id          uuid,
    kind               text NOT NULL,
    kind_version       integer NOT NULL,
    queue              text NOT NULL,
    params             json,
    params_hash        bytea NOT NULL,
    fail_with_children boolean NOT NULL DEFAULT false,

    state              text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'running', 'retrying', 'waiting', 'succeeded', 'failed', 'cancelled')),
    generation         integer NOT NULL DEFAULT 1 CHECK (generation > 0),
    cancel_requested   boolean NOT NULL DEFAULT false,
    failures           integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    losses             integer NOT NULL DEFAULT 0 CHECK (losses >= 0),
    drains             integer NOT NULL DEFAULT 0 CHECK (drains >= 0),
    runs               integer NOT NULL DEFAULT 0 CHECK (runs >= 0),
    max_attempts       integer NOT NULL CHECK (max_attempts > 0),
    events             integer NOT NULL DEFAULT 1,
    progress           real,

    run_at             timestamptz NOT NULL DEFAULT now(),
    created_at         timestamptz NOT NULL DEFAULT now(),
    started_at         timestamptz,
    finished_at        timestamptz,

    worker_id          uuid,
    worker_label       text,
    claim              uuid,
    alone              boolean NOT NULL DEFAULT false,

    error_code         text,
    error_message      text,
    result             json,

    CHECK ((state = 'running') = (claim IS NOT NULL)),
    CHECK ((claim IS NULL) = (worker_id IS NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK (state <> 'retrying' OR failures > 0),
    CHECK (state <> 'failed' OR error_code IS NOT NULL)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);

-- A job is written three times (accepted, claimed, ended), in about 30 µs each when 32 are written
-- together. Of that, an index that has every job costs about 1 µs each time, as much as the foreign key
-- costs when it is accepted; the CHECKs cost 20 µs for a statement of whatever size. IDs rise with
-- time, so that entries go where the latest ones are.

-- The head of each queue; dispatch reads it ten times a second.
CREATE INDEX jobs_ready ON jobs (queue, run_at, id) WHERE state IN ('pending', 'retrying');
-- As many as there are slots: they are read as a whole to find a dead worker's.
CREATE INDEX jobs_running ON jobs (id) WHERE state = 'running';
CREATE INDEX jobs_orders ON jobs (worker_id) WHERE state = 'running' AND cancel_requested;
-- Lists of a tenant, newest first; most jobs are succeeded, so finding the others needs their own.
CREATE INDEX jobs_tenant ON jobs (tenant, id);
CREATE INDEX jobs_open ON jobs (tenant, state, id) WHERE state <> 'succeeded';
CREATE INDEX jobs_file ON jobs (file_id, id);
-- A job's children: all of them, and those that have not ended.
CREATE INDEX jobs_parent ON jobs (parent_id, id) INCLUDE (state) WHERE parent_id IS NOT NULL;
CREATE INDEX jobs_children ON jobs (parent_id, id)
    WHERE parent_id IS NOT NULL AND state IN ('pending', 'running', 'retrying', 'waiting');
CREATE INDEX jobs_waiting ON jobs (id) WHERE state = 'waiting';
CREATE INDEX jobs_ended ON jobs (finished_at, id) WHERE finished_at IS NOT NULL;

-- One row for each run that has ended; the present one stands in its job's row.
CREATE TABLE attempts (
    job_id        uuid NOT NULL,
    run           integer NOT NULL,
    claim         uuid NOT NULL,
    worker_id     uuid NOT NULL,
    worker_label  text NOT NULL,
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz NOT NULL DEFAULT now(),
    outcome       text NOT NULL CHECK (outcome IN ('succeeded', 'retry', 'failed', 'cancelled', 'drained', 'lost')),
    error_code    text,
    error_message text,
    PRIMARY KEY (job_id, run)
);

CREATE TABLE artifacts (
    job_id     uuid NOT NULL REFERENCES jobs (id),
    name       text NOT NULL,
    media_type text NOT NULL,
    size       bigint NOT NULL CHECK (size >= 0),
    sha256     bytea NOT NULL CHECK (length(sha256) = 32),
    content    bytea,
    blob_key   uuid REFERENCES blobs (key),
    PRIMARY KEY (job_id, name),
    CHECK ((content IS NULL) <> (blob_key IS NULL)),
    CHECK (content IS NULL OR length(content) = size)
);
CREATE INDEX artifacts_blob ON artifacts (blob_key) WHERE blob_key IS NOT NULL;

-- xid is the transaction that wrote the event: a reader of all jobs goes no further than the
-- oldest transaction still open (pg_snapshot_xmin), so it never passes one that commits late.
CREATE TABLE events (
    job_id uuid NOT NULL,
    seq    integer NOT NULL,
    tenant text NOT NULL,
    type   text NOT NULL,
    at     timestamptz NOT NULL DEFAULT now(),
    data   json,
    xid    xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (job_id, seq)
);
-- Only the transaction is in the index, so that the entries of those that were written together are
-- kept as one: it costs next to nothing. The rest of the order is sorted within a transaction.
CREATE INDEX events_feed ON events (xid);

CREATE TABLE workers (
    id            uuid PRIMARY KEY,
    label         text NOT NULL,
    version       text NOT NULL,
    slots         integer NOT NULL,
    free          integer NOT NULL,
    free_before   integer NOT NULL DEFAULT 0,
    queues        text[] NOT NULL,
    kinds         text[] NOT NULL,
    runs          uuid[] NOT NULL, -- job, claim, job, claim, …
    cordoned      boolean NOT NULL,
    draining      boolean NOT NULL,
    beats         bigint NOT NULL DEFAULT 1,
    cordon_until  timestamptz,
    registered_at timestamptz NOT NULL DEFAULT now(),
    seen_at       timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE leases (
    name       text PRIMARY KEY,
    holder     uuid NOT NULL,
    epoch      bigint NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Counted by the grouped writers themselves. writer is a number that each of them draws at its
-- start, so that no two wait for each other's row.
CREATE TABLE rollups (
    queue     text NOT NULL,
    bucket    timestamptz NOT NULL,
    writer    integer NOT NULL,
    arrived   bigint NOT NULL DEFAULT 0,
    succeeded bigint NOT NULL DEFAULT 0,
    failed    bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    retried   bigint NOT NULL DEFAULT 0,
    lost      bigint NOT NULL DEFAULT 0,
    busy_ms   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, queue, writer)
);
