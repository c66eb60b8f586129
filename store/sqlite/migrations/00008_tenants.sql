-- +goose Up

-- What operators have set for tenants; a limit that is NULL is the server's default.
CREATE TABLE tenants (
    tenant              TEXT PRIMARY KEY,
    weight              INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100),
    requests_per_second REAL CHECK (requests_per_second > 0),
    burst               INTEGER CHECK (burst > 0),
    bytes_per_day       INTEGER CHECK (bytes_per_day > 0),
    jobs_waiting        INTEGER CHECK (jobs_waiting > 0),
    file_bytes          INTEGER CHECK (file_bytes > 0),
    updated_at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
