-- +goose NO TRANSACTION
-- +goose Up

-- Made while the table is in use; what an attempt that was cut off has left is made anew.
DROP INDEX CONCURRENTLY IF EXISTS jobs_reuse;
CREATE INDEX CONCURRENTLY jobs_reuse ON jobs (reuse_key, id) WHERE state = 'succeeded' AND reuse_key IS NOT NULL;
