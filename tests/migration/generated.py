"""Tables of other programs with records of every kind, the same each time: what 4.5.0 made of them is kept.

``tests/fixtures/results_of_4_5_0.json.gz`` holds its results, and those for the golden databases, by ``id``.
"""

import random
from pathlib import Path
from typing import Any, Final

import apsw

ROWS: Final = 1200
_NUMBERS: Final = (None, 0, 1, 2, 100, 1500.0, 0.5, -3, 1e308, float("inf"), 2**62, "12", "abc", "", b"\x00\xff")
_ERRORS: Final = (
    None, None, None, "unknown", "timeout", "upstream_error", "rate_limit_error", "insufficient_quota", "no_models",
    "shutdown", "saturated", "no_backend_for_model", "context_length_exceeded", "record_lost", "429", "nonsense",
    "", 7, b"x",
)  # fmt: skip
_MESSAGES: Final = (
    None, None, "connection refused", "Rate limit reached", "You exceeded your current quota, please check your plan",
    "maximum context length is 8192 tokens", "model 'x' not found", "first byte timed out", "日本", "", b"m",
)  # fmt: skip
_OUTCOMES: Final = (
    None, "completed", "completed", "upstream_error", "stream_error", "stream_truncated", "upstream_unreachable",
    "upstream_timeout", "client_disconnected", "client_error", "rejected", "proxy_error", "proxy_crashed",
    "record_lost", "odd",
)  # fmt: skip
_TIMES: Final = (
    "2025-03-01T10:00:00.250000", "2025-03-01 10:00:00", "2025-03-01T10:00:00.25+02:00", "2025-03-01T10:00:00Z",
    "2025-03-01T10:00:00.250000Z", "2025-02-30T10:00:00.000000Z", "2025-03-01", "yesterday", 1740823200, None,
)  # fmt: skip
_STATUS: Final = (None, 200, 200, 200, 400, 404, 408, 413, 429, 500, 502, 503, 529, "500", 12.5)
_CHOICES: Final[dict[str, tuple[Any, ...]]] = {
    "timestamp": _TIMES,
    "success": (1, 1, 0, 0, None, 2, "true"),
    "status_code": _STATUS,
    "upstream_status_code": _STATUS,
    "response_time_ms": (2000.0, 2000.0, 350, *_NUMBERS),
    "model": ("llama", "llama", "007", "", None, 7),
    "user": ("alice", None, 7, b"u"),
    "is_streaming": (0, 1, 0, 1, None, "1", 2),
    "content_chunks": (None, None, 0, 12, "x"),
    "completion_tokens": (80, 80, 1, *_NUMBERS),
    "total_tokens": (100, 100, *_NUMBERS),
    "finish_reason": ("stop", "stop", "length", "content_filter", "tool_calls", "STOP", None, 1),
    "time_to_first_token_ms": (500.0, 500.0, 2000.0, *_NUMBERS),
    "time_to_first_output_ms": (None, 600.0, "x"),
    "time_to_last_token_ms": (1900.0, 1900.0, *_NUMBERS),
    "tokens_per_second": (50.0, None, "fast"),
    "error_type": _ERRORS,
    "error_message": _MESSAGES,
    "upstream_error_code": _ERRORS,
    "upstream_error_type": _ERRORS,
    "outcome": _OUTCOMES,
    "error_category": (None, None, "limit", "upstream", "unknown"),
    "request_bytes": (None, 10),
    "body_complete_ms": (None, 0.5),
    "request_sent_ms": (None, 1.5),
    "response_headers_ms": (None, 2.5),
    "time_to_first_byte_ms": (None, 3.5),
    "time_per_output_token_ms": (None, 17.72151898734177),
    "output_tokens_per_second": (None, 56.42857142857143),
    "app_version": (None, "", "1.0.0", "2.0.0", "2.1.0", "3.0.0", "4.0.0", "4.5.0", "3.0.0-rc.1", "v2.0.0"),
}
_TYPED: Final = {
    "timestamp": "DATETIME",
    "success": "BOOLEAN",
    "is_streaming": "BOOLEAN",
    "model": "TEXT",
    "user": "TEXT",
}
_WORDS: Final = (
    "finish_reason", "error_type", "error_message", "upstream_error_code", "upstream_error_type", "outcome",
    "error_category", "app_version",
)  # fmt: skip


def types(layout: str) -> dict[str, str]:
    """Declared types by column: ``typed`` as most programs have them, ``untyped``, or ``mistyped``."""
    if layout == "untyped":
        return dict.fromkeys(_CHOICES, "")
    numbers = {name: "REAL" if name.endswith(("_ms", "_second")) else "INTEGER" for name in _CHOICES}
    natural = numbers | dict.fromkeys(_WORDS, "TEXT") | _TYPED
    if layout == "typed":
        return natural
    wrong = {"TEXT": "NUMERIC", "REAL": "TEXT", "INTEGER": "REAL"}
    return {name: wrong.get(kind, "TEXT") for name, kind in natural.items()} | {"timestamp": "NUMERIC"}


LAYOUTS: Final = ("typed", "untyped", "mistyped")


def make(path: Path, layout: str) -> Path:
    """The table with ``ROWS`` records; two of three are plain but for one or two values."""
    chance = random.Random(f"records of {layout}")
    connection = apsw.Connection(str(path))
    columns = types(layout)
    declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    connection.execute(f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, {declared})")
    plain = {name: choices[0] for name, choices in _CHOICES.items()} | {"outcome": "completed", "app_version": "1.0.0"}
    with connection:
        for _row in range(ROWS):
            odd = list(_CHOICES) if chance.random() < 1 / 3 else chance.sample(list(_CHOICES), 2)
            record = plain | {name: chance.choice(_CHOICES[name]) for name in odd}
            connection.execute(
                f"INSERT INTO completion_requests ({', '.join(record)}) VALUES ({', '.join('?' * len(record))})",
                tuple(record.values()),
            )
    connection.close()
    return path
