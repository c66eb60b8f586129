-- +goose Up

-- The head of what each tenant has in a queue; dispatch reads it ten times a second and needs no more
-- than the index.
CREATE INDEX jobs_lanes ON jobs (queue, tenant, run_at, id, generation, kind, state)
    WHERE state IN ('pending', 'retrying');
