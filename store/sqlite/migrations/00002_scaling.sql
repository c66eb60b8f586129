-- +goose Up

-- One row for each target that the scaler or an operator has used. memory is what the next decision
-- needs to know; the last decision is known even when it was pruned.
CREATE TABLE scalings (
    target        TEXT PRIMARY KEY NOT NULL,
    paused_at     INTEGER,
    pinned        INTEGER CHECK (pinned >= 0),
    pinned_until  INTEGER,
    last_decision BLOB CHECK (length(last_decision) = 16),
    last_at       INTEGER, -- when it was recorded, or said again last
    last_current  INTEGER CHECK (last_current >= 0),
    memory        TEXT CHECK (memory IS NULL OR json_valid(memory)),
    CHECK ((pinned IS NULL) = (pinned_until IS NULL)),
    CHECK ((last_decision IS NULL) = (last_at IS NULL)),
    CHECK ((last_decision IS NULL) = (last_current IS NULL))
) STRICT;

-- IDs are UUIDs of version 7, and rise within a target: their order is that of time, and by them the
-- old ones are found.
CREATE TABLE scaling_decisions (
    id       BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    target   TEXT NOT NULL REFERENCES scalings (target),
    at       INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    current  INTEGER NOT NULL CHECK (current >= 0),
    replicas INTEGER NOT NULL CHECK (replicas >= 0),
    bound    TEXT NOT NULL,
    outcome  TEXT NOT NULL CHECK (outcome IN ('unchanged', 'applied', 'pending', 'failed', 'refused')),
    same     TEXT NOT NULL,
    detail   TEXT CHECK (detail IS NULL OR json_valid(detail)),
    CHECK (until >= at)
) STRICT;
CREATE INDEX scaling_decisions_target ON scaling_decisions (target, id);

-- What each target's replicas add up to, by hours in UTC.
CREATE TABLE replica_hours (
    target TEXT NOT NULL REFERENCES scalings (target),
    hour   INTEGER NOT NULL CHECK (hour % 3600000000 = 0),
    hours  REAL NOT NULL CHECK (hours >= 0),
    PRIMARY KEY (target, hour)
) STRICT, WITHOUT ROWID;
