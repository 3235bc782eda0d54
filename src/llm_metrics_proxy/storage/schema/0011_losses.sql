-- Requests that were served and could not be recorded, one row for each worker that lost any; written with the position
-- that marks its journal as read to the end, so that each is counted once.
CREATE TABLE journal_losses (
    worker_id TEXT PRIMARY KEY,
    records INTEGER NOT NULL,
    first_unix_ms INTEGER NOT NULL,
    last_unix_ms INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
