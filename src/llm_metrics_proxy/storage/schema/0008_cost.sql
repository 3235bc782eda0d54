-- What a request cost, as priced when it was stored, and who said so. NULL: unknown, or a record from before this step.
ALTER TABLE completion_requests ADD COLUMN cost_usd REAL;
ALTER TABLE completion_requests ADD COLUMN cost_source TEXT;

-- One row per run of `reprice` that changed records. `bound_id` is the last record it was about.
CREATE TABLE repricings (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    app_version TEXT NOT NULL,
    selection TEXT NOT NULL,
    price_lists TEXT NOT NULL,
    bound_id INTEGER NOT NULL,
    records_looked_at INTEGER NOT NULL,
    records_changed INTEGER NOT NULL
) STRICT;

-- What each of them changed, to the bit: the old and the new value of both columns.
CREATE TABLE repricing_changes (
    repricing_id INTEGER NOT NULL,
    record_id INTEGER NOT NULL,
    old_cost_usd ANY,
    old_cost_source ANY,
    new_cost_usd REAL,
    new_cost_source TEXT,
    PRIMARY KEY (repricing_id, record_id)
) STRICT, WITHOUT ROWID;
