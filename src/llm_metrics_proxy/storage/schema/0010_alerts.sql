-- Where each alert is, so that a restart neither forgets an incident nor tells of it twice. Addresses are not kept here.
CREATE TABLE alert_states (
    name TEXT PRIMARY KEY,
    phase TEXT NOT NULL,
    since REAL,
    well_since REAL,
    updated_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- What is still to be told; a row goes when its receiver has taken it, or when nobody waits for it any more.
CREATE TABLE alert_deliveries (
    id INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at REAL NOT NULL,
    attempts INTEGER NOT NULL,
    last_error TEXT
) STRICT;
