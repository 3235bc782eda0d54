-- Roll-ups: what is known of all records of one bucket of time with one key; docs/topics/rollups.md. The numbers of
-- grains, levels and fields, and what the bytes hold, are said in rollups/grains.py, values.py and groups.py.
CREATE TABLE rollups (
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
CREATE TABLE rollup_sketches (
    grain INTEGER NOT NULL,
    level INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    small BLOB NOT NULL,
    large BLOB NOT NULL,
    PRIMARY KEY (grain, level, bucket, key)
) STRICT, WITHOUT ROWID;

-- One row at most. Rolled up are the records with ids up to `cursor_id`; see storage/rollup_state.py.
CREATE TABLE rollup_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    tables TEXT NOT NULL,
    cursor_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    clearing INTEGER NOT NULL,
    kept_before INTEGER NOT NULL,
    kept_through_id INTEGER NOT NULL
) STRICT;

-- Whether the hours of a day (its first second, UTC) are kept for clients and pairs too; decided with its first record.
CREATE TABLE rollup_days (
    day INTEGER PRIMARY KEY,
    dense INTEGER NOT NULL
) STRICT;
