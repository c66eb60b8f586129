-- +goose Up

-- What operators have set for tenants; a limit that is NULL is the server's default.
CREATE TABLE tenants (
    tenant              text PRIMARY KEY,
    weight              integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100),
    requests_per_second double precision CHECK (requests_per_second > 0),
    burst               integer CHECK (burst > 0),
    bytes_per_day       bigint CHECK (bytes_per_day > 0),
    jobs_waiting        integer CHECK (jobs_waiting > 0),
    file_bytes          bigint CHECK (file_bytes > 0),
    updated_at          timestamptz NOT NULL DEFAULT now()
);
