-- +goose Up

-- The first answers to requests that carry a key. One without a status is being worked on.
CREATE TABLE onces (
    tenant     text NOT NULL,
    key        text NOT NULL,
    request    bytea NOT NULL CHECK (length(request) = 32),
    holder     uuid NOT NULL,
    held_until timestamptz,
    status     integer,
    location   text,
    body       bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, key),
    CHECK ((status IS NULL) = (held_until IS NOT NULL)),
    CHECK ((status IS NULL) = (body IS NULL))
);
CREATE INDEX onces_age ON onces (created_at);
