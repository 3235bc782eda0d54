-- One row per request. Columns are those of record.COLUMNS, in that order; docs/metrics.md gives meanings and units.
-- STRICT: text can never stand where a number belongs. app_version has no default: only the program that calculated
-- a row can say by which formulas.
CREATE TABLE completion_requests (
    id INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    method TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    dialect TEXT,
    backend TEXT,
    model TEXT,
    response_model TEXT,
    origin TEXT,
    user TEXT,
    user_agent TEXT,
    api_key_id TEXT,
    client_address TEXT,
    is_streaming INTEGER NOT NULL,
    max_tokens INTEGER,
    temperature REAL,
    top_p REAL,
    message_count INTEGER,
    tool_count INTEGER,
    choice_count INTEGER,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    success INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    status_code INTEGER,
    upstream_status_code INTEGER,
    finish_reason TEXT,
    error_type TEXT,
    error_message TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    total_tokens INTEGER,
    cached_tokens INTEGER,
    reasoning_tokens INTEGER,
    usage_source TEXT NOT NULL,
    usage_rejected INTEGER NOT NULL,
    content_chunks INTEGER,
    upstream_reused INTEGER,
    retries INTEGER NOT NULL,
    body_complete_ms REAL,
    connect_ms REAL,
    upstream_acquired_ms REAL,
    request_sent_ms REAL,
    response_headers_ms REAL,
    time_to_first_byte_ms REAL,
    time_to_first_token_ms REAL,
    time_to_first_output_ms REAL,
    time_to_last_token_ms REAL,
    inter_chunk_max_ms REAL,
    response_time_ms REAL,
    proxy_overhead_ms REAL,
    tokens_per_second REAL,
    app_version TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX completion_requests_request_id ON completion_requests (request_id);
CREATE INDEX completion_requests_timestamp ON completion_requests (timestamp);

-- How far each worker's journal has been read; changed in the transaction that inserts what was read.
CREATE TABLE journal_positions (
    worker_id TEXT PRIMARY KEY,
    segment INTEGER NOT NULL,
    offset_bytes INTEGER NOT NULL,
    done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Requests that were opened and not closed when the last batch was committed; `frame` is a journal payload.
CREATE TABLE open_requests (
    request_id TEXT PRIMARY KEY,
    worker_id TEXT NOT NULL,
    frame BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Counters shown to Prometheus, by series, so that they never go back when the process restarts.
CREATE TABLE counters (
    series TEXT PRIMARY KEY,
    state BLOB NOT NULL
) STRICT, WITHOUT ROWID;
