package postgres

// bucket is the roll-up that is being filled: ten seconds by the database's clock.
const bucket = `date_bin('10 seconds', now(), 'epoch'::timestamptz)`
