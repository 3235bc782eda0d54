-- What servers and GPUs said of themselves, a row each for a minute, later for a quarter of an hour; upkeep makes the
-- one of the other, and deletes what is older than server_metrics_days. docs/topics/servers.md.
CREATE TABLE IF NOT EXISTS server_samples (
    grain_s INTEGER NOT NULL,  -- 60 or 900
    at INTEGER NOT NULL,       -- its first second, Unix time
    kind TEXT NOT NULL,        -- server or gpu
    name TEXT NOT NULL,        -- of the backend, or of the GPU
    asked INTEGER NOT NULL,    -- how often it was asked
    answered INTEGER NOT NULL, -- how often it answered
    said TEXT NOT NULL,        -- JSON: by measure [n, least, sum, greatest], and the models that were loaded
    PRIMARY KEY (grain_s, at, kind, name)
) STRICT, WITHOUT ROWID;
