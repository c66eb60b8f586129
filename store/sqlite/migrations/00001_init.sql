-- +goose Up

-- IDs, claims and blob keys are the sixteen bytes of a UUID, so that their order is the order of
-- bytes; times are microseconds since 1970 in UTC; flags are 0 or 1; JSON is text.

-- What this database is, once and for all: the blob store's marker must name it.
CREATE TABLE identity (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    id       BLOB NOT NULL CHECK (length(id) = 16)
) STRICT;
-- A random UUID, version 4: thirteenth digit 4, seventeenth one of 8, 9, a, b.
INSERT INTO identity (id)
SELECT unhex(substr(digits, 1, 12) || '4' || substr(digits, 14, 3)
          || substr('89ab', 1 + (random() & 3), 1) || substr(digits, 18))
FROM (SELECT hex(randomblob(16)) AS digits);

-- One row owns each object in the blob store. A run that is about to write one holds it by its
-- claim; a file or an artifact that refers to it clears the hold.
CREATE TABLE blobs (
    key        BLOB PRIMARY KEY CHECK (length(key) = 16),
    held_job   BLOB,
    held_claim BLOB,
    created_at INTEGER NOT NULL,
    CHECK ((held_job IS NULL) = (held_claim IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_held ON blobs (created_at) WHERE held_claim IS NOT NULL;

CREATE TABLE files (
    id           BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    tenant       TEXT NOT NULL,
    name         TEXT NOT NULL,
    size         INTEGER NOT NULL CHECK (size >= 0),
    sha256       BLOB NOT NULL CHECK (length(sha256) = 32),
    media_type   TEXT NOT NULL,
    claimed_type TEXT NOT NULL,
    blob_key     BLOB REFERENCES blobs (key),
    created_at   INTEGER NOT NULL,
    content      BLOB, -- last, so that reading the rest does not walk through it
    CHECK ((content IS NULL) <> (blob_key IS NULL)),
    CHECK (content IS NULL OR length(content) = size)
) STRICT;
CREATE INDEX files_blob ON files (blob_key) WHERE blob_key IS NOT NULL;

-- room is what an upload may hand over directly, as the leader of room_epoch said.
CREATE TABLE queues (
    name       TEXT PRIMARY KEY,
    paused_at  INTEGER,
    room       INTEGER NOT NULL DEFAULT 0,
    room_epoch INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id                 BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    tenant             TEXT NOT NULL,
    file_id            BLOB NOT NULL REFERENCES files (id),
    parent_id          BLOB CHECK (length(parent_id) = 16),
    kind               TEXT NOT NULL,
    kind_version       INTEGER NOT NULL,
    queue              TEXT NOT NULL,
    params_hash        BLOB NOT NULL CHECK (length(params_hash) = 32),
    fail_with_children INTEGER NOT NULL DEFAULT 0 CHECK (fail_with_children IN (0, 1)),

    state              TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'running', 'retrying', 'waiting', 'succeeded', 'failed', 'cancelled')),
    generation         INTEGER NOT NULL DEFAULT 1 CHECK (generation > 0),
    cancel_requested   INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    failures           INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    losses             INTEGER NOT NULL DEFAULT 0 CHECK (losses >= 0),
    drains             INTEGER NOT NULL DEFAULT 0 CHECK (drains >= 0),
    runs               INTEGER NOT NULL DEFAULT 0 CHECK (runs >= 0),
    max_attempts       INTEGER NOT NULL CHECK (max_attempts > 0),
    events             INTEGER NOT NULL DEFAULT 0,
    progress           REAL CHECK (progress BETWEEN 0 AND 1),

    run_at             INTEGER NOT NULL,
    created_at         INTEGER NOT NULL,
    started_at         INTEGER,
    finished_at        INTEGER,

    worker_id          BLOB,
    worker_label       TEXT,
    claim              BLOB,
    alone              INTEGER NOT NULL DEFAULT 0 CHECK (alone IN (0, 1)),

    error_code         TEXT,
    error_message      TEXT,
    params             TEXT CHECK (params IS NULL OR json_valid(params)),
    result             TEXT CHECK (result IS NULL OR json_valid(result)),

    CHECK ((state = 'running') = (claim IS NOT NULL)),
    CHECK ((claim IS NULL) = (worker_id IS NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK (state <> 'retrying' OR failures > 0),
    CHECK (state <> 'failed' OR error_code IS NOT NULL)
) STRICT;

-- The head of each queue; dispatch reads it ten times a second and needs no more than the index.
CREATE INDEX jobs_ready ON jobs (queue, run_at, id, generation, tenant, state)
    WHERE state IN ('pending', 'retrying');
-- As small as the slots that there are, so it is read as a whole where need be.
CREATE INDEX jobs_running ON jobs (id, worker_id, queue, tenant) WHERE state = 'running';
-- Lists of a tenant, newest first; most jobs are succeeded, so finding the others needs their own.
CREATE INDEX jobs_tenant ON jobs (tenant, id);
CREATE INDEX jobs_open ON jobs (tenant, state, id) WHERE state <> 'succeeded';
CREATE INDEX jobs_file ON jobs (file_id, id);
CREATE INDEX jobs_parent ON jobs (parent_id, state, id) WHERE parent_id IS NOT NULL;
-- Children that have not ended.
CREATE INDEX jobs_children ON jobs (parent_id, id)
    WHERE parent_id IS NOT NULL AND state IN ('pending', 'running', 'retrying', 'waiting');
CREATE INDEX jobs_waiting ON jobs (queue, id, tenant) WHERE state = 'waiting';
CREATE INDEX jobs_ended ON jobs (finished_at, id) WHERE finished_at IS NOT NULL;

-- One row for each run that has ended; the present one stands in its job's row.
CREATE TABLE attempts (
    job_id        BLOB NOT NULL,
    run           INTEGER NOT NULL,
    claim         BLOB NOT NULL CHECK (length(claim) = 16),
    worker_id     BLOB NOT NULL CHECK (length(worker_id) = 16),
    worker_label  TEXT NOT NULL,
    started_at    INTEGER NOT NULL,
    finished_at   INTEGER NOT NULL,
    outcome       TEXT NOT NULL CHECK (outcome IN ('succeeded', 'retry', 'failed', 'cancelled', 'drained', 'lost')),
    error_code    TEXT,
    error_message TEXT,
    PRIMARY KEY (job_id, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
    job_id     BLOB NOT NULL REFERENCES jobs (id),
    name       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size       INTEGER NOT NULL CHECK (size >= 0),
    sha256     BLOB NOT NULL CHECK (length(sha256) = 32),
    blob_key   BLOB REFERENCES blobs (key),
    content    BLOB,
    PRIMARY KEY (job_id, name),
    CHECK ((content IS NULL) <> (blob_key IS NULL)),
    CHECK (content IS NULL OR length(content) = size)
) STRICT;
CREATE INDEX artifacts_blob ON artifacts (blob_key) WHERE blob_key IS NOT NULL;

-- There is one writer, so positions are given out in the order of commits; AUTOINCREMENT, because
-- a position must not come again when the newest events were pruned.
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id   BLOB NOT NULL,
    seq      INTEGER NOT NULL,
    tenant   TEXT NOT NULL,
    type     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    data     TEXT CHECK (data IS NULL OR json_valid(data)),
    UNIQUE (job_id, seq)
) STRICT;

CREATE TABLE workers (
    id            BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    label         TEXT NOT NULL,
    version       TEXT NOT NULL,
    slots         INTEGER NOT NULL,
    free          INTEGER NOT NULL,
    free_before   INTEGER NOT NULL DEFAULT 0,
    queues        TEXT NOT NULL CHECK (json_valid(queues)),
    kinds         TEXT NOT NULL CHECK (json_valid(kinds)),
    runs          TEXT NOT NULL CHECK (json_valid(runs)),
    cordoned      INTEGER NOT NULL CHECK (cordoned IN (0, 1)),
    draining      INTEGER NOT NULL CHECK (draining IN (0, 1)),
    beats         INTEGER NOT NULL DEFAULT 1,
    cordon_until  INTEGER,
    registered_at INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     BLOB NOT NULL CHECK (length(holder) = 16),
    epoch      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Counted by the writer itself as it goes, so that nobody counts jobs to know a rate.
CREATE TABLE rollups (
    bucket    INTEGER NOT NULL, -- start of ten seconds
    queue     TEXT NOT NULL,
    arrived   INTEGER NOT NULL DEFAULT 0,
    succeeded INTEGER NOT NULL DEFAULT 0,
    failed    INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    retried   INTEGER NOT NULL DEFAULT 0,
    lost      INTEGER NOT NULL DEFAULT 0,
    busy_ms   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, queue)
) STRICT, WITHOUT ROWID;
