"""A database as a 1.x program left it, as large as asked for, made by SQLite alone at its full speed."""

import shutil
from pathlib import Path
from typing import Final

import apsw

FAILED_PER_THOUSAND: Final = 50
DAY_RECORDS: Final = 24 * 3600  # of its last 24 hours
_TABLE: Final = """
CREATE TABLE schema_version (id INTEGER PRIMARY KEY, version INTEGER, applied_at TEXT, description TEXT);
INSERT INTO schema_version VALUES (1, 2, '2025-06-01T00:00:00', 'app_version');
CREATE TABLE completion_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT NOT NULL, success INTEGER, status_code INTEGER,
    response_time_ms REAL, model TEXT, origin TEXT, is_streaming INTEGER, max_tokens INTEGER, temperature REAL,
    top_p REAL, message_count INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER, total_tokens INTEGER,
    finish_reason TEXT, time_to_first_token_ms REAL, time_to_last_token_ms REAL, tokens_per_second REAL,
    error_type TEXT, error_message TEXT, app_version TEXT
);
"""
# Arithmetic instead of random(): the same file every time. A record a second, naive local time with six digits.
_FILL: Final = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1),
facts(i, failed, duration, prompt, completion) AS (
    SELECT i, (i * 7919) % 1000 < ?2, 200.0 + (i * 104729) % 60000 + (i % 1000) / 1000.0, 20 + (i * 31) % 4000,
           5 + (i * 17) % 1500 FROM n
)
INSERT INTO completion_requests (timestamp, success, status_code, response_time_ms, model, origin, is_streaming,
    max_tokens, temperature, top_p, message_count, prompt_tokens, completion_tokens, total_tokens, finish_reason,
    time_to_first_token_ms, time_to_last_token_ms, tokens_per_second, error_type, error_message, app_version)
SELECT strftime('%Y-%m-%dT%H:%M:%S', 1735689600 + i, 'unixepoch') || printf('.%06d', (i * 7) % 1000000),
    NOT failed, iif(failed, 503, 200), duration, 'llama-' || (i % 5), iif(i % 3, 'http://chat.example', NULL), i % 2,
    iif(i % 4, 1024, NULL), 0.7, 1.0, 1 + i % 20, iif(failed, NULL, prompt), iif(failed, NULL, completion),
    iif(failed, NULL, prompt + completion), iif(failed, NULL, 'stop'), iif(failed, NULL, duration * 0.1),
    iif(failed, NULL, duration * 0.9), iif(failed, NULL, (prompt + completion) / (duration * 0.0008)),
    iif(failed, 'server_error', NULL), iif(failed, 'the server is overloaded, try again later', NULL), '1.0.0'
FROM facts
"""


def make(path: Path, records: int) -> None:
    """Write the file anew; one per thousand of ``FAILED_PER_THOUSAND`` records has failed and has no tokens."""
    connection = apsw.Connection(str(path))
    try:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(_TABLE)
        connection.execute("BEGIN")
        connection.execute(_FILL, (records, FAILED_PER_THOUSAND))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()


def copy(source: Path, target: Path) -> Path:
    """A fresh copy of a closed file, its pages in the system's cache, as those of a file in use are."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target
