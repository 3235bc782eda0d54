-- Windows of servers' limits, as heard of in answers: one row for each window of each limit of a server and key, the last
-- ones of each. Times are Unix seconds. `samples`: JSON, [[at, left ratio or null, left or null], …], thinned; see
-- quotas/windows.py.
CREATE TABLE IF NOT EXISTS limit_windows (
    backend TEXT NOT NULL,
    api_key_id TEXT NOT NULL,
    limit_name TEXT NOT NULL,
    first_at REAL NOT NULL,
    last_at REAL NOT NULL,
    resets_at REAL,
    window_s REAL,
    samples BLOB NOT NULL,
    PRIMARY KEY (backend, api_key_id, limit_name, first_at)
) STRICT, WITHOUT ROWID;
