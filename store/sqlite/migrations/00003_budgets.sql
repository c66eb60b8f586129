-- +goose Up

-- What a job that another has spawned may spawn itself; NULL for one that nobody has spawned.
ALTER TABLE jobs ADD COLUMN budget TEXT CHECK (budget IS NULL OR json_valid(budget));
