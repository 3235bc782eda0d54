-- Where a later version corrects a stored fact, the fact as it was first stored, with its type.
ALTER TABLE completion_requests ADD COLUMN timestamp_original ANY;
-- Why a migration could not recompute this record; NULL: it could, or there was no need to.
ALTER TABLE completion_requests ADD COLUMN recompute_reason TEXT;

-- One row per migration that changed records. Undo entries are in tables named migration_undo_<id>_<version>.
CREATE TABLE migrations (
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

-- Small facts of the engine: `fence` (who may write), `clean_through_id` and `clean_for` (no older record up to here).
CREATE TABLE migration_state (
    key TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Files of another program or of 1.x that this program made its own; `found` says what they held (JSON).
CREATE TABLE adoptions (
    id INTEGER PRIMARY KEY,
    adopted_at TEXT NOT NULL,
    app_version TEXT NOT NULL,
    found TEXT NOT NULL,
    added_columns TEXT NOT NULL,
    backup TEXT
) STRICT;
