-- Everything beside the records, whose own table is made of the rows of record.py: see sqlite_schema.records_table.
-- A file of 4.x has some of these tables already, and keeps them.

-- One row: the number that the next record gets; changed in the transaction that stores the record.
CREATE TABLE IF NOT EXISTS arrivals (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    next INTEGER NOT NULL
) STRICT;

-- How far each worker's journal has been read; changed in the transaction that inserts what was read.
CREATE TABLE IF NOT EXISTS journal_positions (
    worker_id TEXT PRIMARY KEY,
    segment INTEGER NOT NULL,
    offset_bytes INTEGER NOT NULL,
    done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Requests that were opened and not closed when the last batch was committed; `frame` is a journal payload.
CREATE TABLE IF NOT EXISTS open_requests (
    request_id TEXT PRIMARY KEY,
    worker_id TEXT NOT NULL,
    frame BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Counters shown to Prometheus, by series, so that they never go back when the process restarts.
CREATE TABLE IF NOT EXISTS counters (
    series TEXT PRIMARY KEY,
    state BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per migration of 2.0.0 to 4.5.0, which changed records in place. Undo entries are in tables named migration_undo_<id>_<version>.
CREATE TABLE IF NOT EXISTS migrations (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    from_versions TEXT NOT NULL,
    to_version TEXT NOT NULL,
    checksums TEXT NOT NULL,
    app_version TEXT NOT NULL,
    distrusts_stamps INTEGER NOT NULL,
    added_columns TEXT NOT NULL,
    bound_id INTEGER NOT NULL,
    records_total INTEGER NOT NULL,
    records_changed INTEGER NOT NULL,
    gaps TEXT NOT NULL,
    cursor_id INTEGER NOT NULL,
    backup TEXT,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    busy_ms REAL NOT NULL,
    largest_lock_ms REAL NOT NULL,
    error TEXT,
    dismissed_at TEXT
) STRICT;

-- One row per migration by copy, from 5.0.0 on. `old_table` has the records from before, untouched; they are carried over
-- from `bound_id` downwards, and those with a number above `cursor_id` have been. NULL: it has its own name again, or went.
CREATE TABLE IF NOT EXISTS migration_runs (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    from_versions TEXT NOT NULL,
    to_version TEXT NOT NULL,
    checksums TEXT NOT NULL,
    app_version TEXT NOT NULL,
    distrusts_stamps INTEGER NOT NULL,
    old_table TEXT,
    bound_id INTEGER NOT NULL,
    records_total INTEGER NOT NULL,
    records_changed INTEGER NOT NULL,
    gaps TEXT NOT NULL,
    unfit TEXT NOT NULL,
    cursor_id INTEGER NOT NULL,
    backup TEXT,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    busy_ms REAL NOT NULL,
    largest_lock_ms REAL NOT NULL,
    error TEXT,
    dismissed_at TEXT
) STRICT;

-- What `sqlite_schema` said when a table was set aside, so that an undo leaves exactly that.
CREATE TABLE IF NOT EXISTS migration_before (
    old_table TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    sql TEXT,
    PRIMARY KEY (old_table, kind, name)
) STRICT, WITHOUT ROWID;

-- Small facts of the engine: see migration/runs.py.
CREATE TABLE IF NOT EXISTS migration_facts (
    key TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- One row at most: how much of the history from before the table was made is in it. `complete_from`: no record that is
-- not has a time at or after it (as timestamps are stored); NULL: not known yet. No row: all of history is there.
CREATE TABLE IF NOT EXISTS carried (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    records INTEGER NOT NULL,
    of_records INTEGER NOT NULL,
    complete_from TEXT
) STRICT;

-- Small facts of the engine of 2.0.0 to 4.5.0: `fence` (who may write), `clean_through_id` and `clean_for` (no older record up to here).
CREATE TABLE IF NOT EXISTS migration_state (
    key TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Files of another program or of 1.x that this program made its own; `found` says what they held (JSON).
CREATE TABLE IF NOT EXISTS adoptions (
    id INTEGER PRIMARY KEY,
    adopted_at TEXT NOT NULL,
    app_version TEXT NOT NULL,
    found TEXT NOT NULL,
    added_columns TEXT NOT NULL,
    backup TEXT
) STRICT;

-- Roll-ups: what is known of all records of one bucket of time with one key; docs/topics/rollups.md. The numbers of
-- grains, levels and fields, and what the bytes hold, are said in rollups/grains.py, values.py and groups.py.
CREATE TABLE IF NOT EXISTS rollups (
    grain INTEGER NOT NULL,
    level INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    requests INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    ones BLOB NOT NULL,
    many BLOB NOT NULL,
    PRIMARY KEY (grain, level, bucket, key)
) STRICT, WITHOUT ROWID;

-- Their sketches, apart, so that counts and sums are read without them.
CREATE TABLE IF NOT EXISTS rollup_sketches (
    grain INTEGER NOT NULL,
    level INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    small BLOB NOT NULL,
    large BLOB NOT NULL,
    PRIMARY KEY (grain, level, bucket, key)
) STRICT, WITHOUT ROWID;

-- One row at most. Rolled up are the records with ids up to `cursor_id`; see storage/rollup_state.py.
CREATE TABLE IF NOT EXISTS rollup_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    tables TEXT NOT NULL,
    cursor_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    clearing INTEGER NOT NULL,
    kept_before INTEGER NOT NULL,
    kept_through_id INTEGER NOT NULL
) STRICT;

-- Whether the hours of a day (its first second, UTC) are kept for clients and pairs too; decided with its first record.
CREATE TABLE IF NOT EXISTS rollup_days (
    day INTEGER PRIMARY KEY,
    dense INTEGER NOT NULL
) STRICT;

-- One row per run of `reprice` that changed records. `bound_id` is the last record it was about.
CREATE TABLE IF NOT EXISTS repricings (
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
CREATE TABLE IF NOT EXISTS repricing_changes (
    repricing_id INTEGER NOT NULL,
    record_id INTEGER NOT NULL,
    old_cost_usd ANY,
    old_cost_source ANY,
    new_cost_usd REAL,
    new_cost_source TEXT,
    PRIMARY KEY (repricing_id, record_id)
) STRICT, WITHOUT ROWID;

-- Where each alert is, so that a restart neither forgets an incident nor tells of it twice. Addresses are not kept here.
CREATE TABLE IF NOT EXISTS alert_states (
    name TEXT PRIMARY KEY,
    phase TEXT NOT NULL,
    since REAL,
    well_since REAL,
    updated_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- What is still to be told; a row goes when its receiver has taken it, or when nobody waits for it any more.
CREATE TABLE IF NOT EXISTS alert_deliveries (
    id INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at REAL NOT NULL,
    attempts INTEGER NOT NULL,
    last_error TEXT
) STRICT;

-- Requests that were served and could not be recorded, one row for each worker that lost any; written with the position
-- that marks its journal as read to the end, so that each is counted once.
CREATE TABLE IF NOT EXISTS journal_losses (
    worker_id TEXT PRIMARY KEY,
    records INTEGER NOT NULL,
    first_unix_ms INTEGER NOT NULL,
    last_unix_ms INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Whose tokens were counted: an answer that is fetched again, in whichever record, is counted once.
CREATE TABLE IF NOT EXISTS counted_answers (
    day INTEGER NOT NULL,
    answer INTEGER NOT NULL,
    fetched_at TEXT,
    PRIMARY KEY (day, answer)
) STRICT, WITHOUT ROWID;

-- JSON of what servers report of their usage, without its numbers: records hold the number of a shape, and the numbers
-- that stood in it. Rows are added, in the order of their numbers, and never changed or removed.
CREATE TABLE IF NOT EXISTS usage_shapes (
    id INTEGER PRIMARY KEY,
    shape TEXT NOT NULL UNIQUE
) STRICT;

-- Records on their way to a store on the network (engines/clickhouse/outbox.py): a row goes when they are there. `payload`
-- has lines of JSON, compressed; `bytes` is its size.
CREATE TABLE IF NOT EXISTS outbox (
    first_arrival INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    records INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;

-- One row: a name for this file, by which a store on the network tells it from another one of the same host.
CREATE TABLE IF NOT EXISTS control_identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL
) STRICT;

-- How far records of a host have been moved from or to another store (storage/moved_records.py): up to which number they
-- are there, and up to which they were found to be equal. `other` says which store, and which way.
CREATE TABLE IF NOT EXISTS store_copies (
    other TEXT NOT NULL,
    host TEXT NOT NULL,
    copied INTEGER NOT NULL,
    verified INTEGER NOT NULL,
    PRIMARY KEY (other, host)
) STRICT, WITHOUT ROWID;
