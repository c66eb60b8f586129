-- +goose NO TRANSACTION
-- +goose Up

-- The head of what each tenant has in a queue; dispatch reads it ten times a second. Made while the
-- table is in use; what an attempt that was cut off has left is made anew.
DROP INDEX CONCURRENTLY IF EXISTS jobs_lanes;
CREATE INDEX CONCURRENTLY jobs_lanes ON jobs (queue, tenant, run_at, id) WHERE state IN ('pending', 'retrying');
