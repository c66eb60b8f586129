-- +goose Up

-- Jobs with the same key have the same result; NULL where it is not to be given to others. result_of is
-- the job whose result one was given; a fresh one is given none.
ALTER TABLE jobs ADD COLUMN reuse_key BLOB CHECK (length(reuse_key) = 32);
ALTER TABLE jobs ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN result_of BLOB;
CREATE INDEX jobs_reuse ON jobs (reuse_key, id) WHERE state = 'succeeded' AND reuse_key IS NOT NULL;
