-- +goose Up

-- Jobs with the same key have the same result; NULL where it is not to be given to others. result_of is
-- the job whose result one was given; a fresh one is given none.
ALTER TABLE jobs ADD COLUMN reuse_key bytea CHECK (length(reuse_key) = 32);
ALTER TABLE jobs ADD COLUMN fresh boolean NOT NULL DEFAULT false;
ALTER TABLE jobs ADD COLUMN result_of uuid;
