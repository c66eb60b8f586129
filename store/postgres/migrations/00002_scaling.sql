-- +goose Up

-- One row for each target that the scaler or an operator has used. memory is what the next decision
-- needs to know; the last decision is known even when it was pruned.
CREATE TABLE scalings (
    target        text PRIMARY KEY,
    memory        json,
    paused_at     timestamptz,
    pinned        integer CHECK (pinned >= 0),
    pinned_until  timestamptz,
    last_decision uuid,
    last_at       timestamptz, -- when it was recorded, or said again last
    last_current  integer CHECK (last_current >= 0),
    CHECK ((pinned IS NULL) = (pinned_until IS NULL)),
    CHECK ((last_decision IS NULL) = (last_at IS NULL)),
    CHECK ((last_decision IS NULL) = (last_current IS NULL))
) WITH (fillfactor = 50);

-- IDs are UUIDs of version 7 by this database's clock, and rise within a target: their order is that
-- of time, and by them the old ones are found.
CREATE TABLE scaling_decisions (
    id       uuid PRIMARY KEY,
    target   text NOT NULL REFERENCES scalings (target),
    at       timestamptz NOT NULL,
    until    timestamptz NOT NULL,
    current  integer NOT NULL CHECK (current >= 0),
    replicas integer NOT NULL CHECK (replicas >= 0),
    bound    text NOT NULL,
    outcome  text NOT NULL CHECK (outcome IN ('unchanged', 'applied', 'pending', 'failed', 'refused')),
    same     text NOT NULL,
    detail   json,
    CHECK (until >= at)
);
CREATE INDEX scaling_decisions_target ON scaling_decisions (target, id);

-- What each target's replicas add up to, by hours in UTC.
CREATE TABLE replica_hours (
    target text NOT NULL REFERENCES scalings (target),
    hour   timestamptz NOT NULL CHECK (date_trunc('hour', hour, 'UTC') = hour),
    hours  double precision NOT NULL CHECK (hours >= 0),
    PRIMARY KEY (target, hour)
) WITH (fillfactor = 50);
