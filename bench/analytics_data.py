"""Records for the benchmark of analytics: a realistic mixture, the same for the same seed, in SQLite and in Parquet.

Models, servers and clients are as unequal as they are in practice (a few make most of the traffic), days have a night
and weeks have a weekend, durations are log-normal and depend on the model, 4 % fail, and what only some servers tell is
only there for some. Generated with numpy in pieces of 50,000, so that memory stays small.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import apsw
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import ROW_COLUMNS
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.storage.arrivals import begin_above
from llm_metrics_proxy.storage.rollup_state import read_state, write_state
from llm_metrics_proxy.storage.rollup_store import add, gather
from llm_metrics_proxy.storage.sqlite import SqliteStore

DAYS: Final = 90
END: Final = datetime(2026, 11, 1, 9, 37, tzinfo=UTC)
PIECE: Final = 50_000
MODELS: Final = tuple(
    f"{name}:{size}"
    for name in ("llama3", "qwen3", "mistral", "gemma3", "gpt-oss")
    for size in ("3b", "8b", "32b", "70b")
)
BACKENDS: Final = ("gpu-1", "gpu-2", "gpu-3", "openai", "spare")
ENDPOINTS: Final = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/api/chat")
ORIGINS: Final = tuple(f"https://app-{index}.example" for index in range(40))
KEYS: Final = tuple(f"{index * 7919 % 16**12:012x}" for index in range(1, 121))
USERS: Final = tuple(f"user-{index}" for index in range(2_000))
_FAILURES: Final = (  # outcome, category, type, phase, status
    ("rate_limited", "limit", "rate_limit", "before_first_token", 429),
    ("upstream_error", "upstream", "overloaded", "before_first_token", 503),
    ("upstream_error", "upstream", "internal", "before_first_token", 500),
    ("client_disconnected", "client", "disconnect_mid_stream", "mid_stream", 200),
    ("upstream_timeout", "network", "first_byte_timeout", "before_first_token", 504),
    ("rejected", "request", "context_length", "request", 400),
)
_FINISH: Final = ("stop", "length", "tool_calls")
_TEXT: Final = pa.string()


class Traffic:
    """A source of pieces of traffic."""

    def __init__(self, records: int, seed: int = 7, end: datetime = END, days: int = DAYS) -> None:
        self._random = np.random.default_rng(seed)
        self._model_speed = self._random.uniform(20, 120, len(MODELS))  # tokens/s
        self._weights = _hours(records, end, days)

    def hours(self) -> list[tuple[float, int]]:
        """(seconds since 1970, records) of every hour."""
        return self._weights

    def piece(self, seconds: np.ndarray[Any, Any], first: int) -> dict[str, Any]:
        """Columns by name of the records that began at ``seconds`` (ascending), numbered from ``first``."""
        random, size = self._random, len(seconds)
        micros = (seconds * 1e6).astype("datetime64[us]")
        model = _zipf(random, len(MODELS), size)
        streaming = random.random(size) < 0.6
        failed = random.random(size) < 0.04
        failure = _zipf(random, len(_FAILURES), size)
        reported = ~failed & (random.random(size) < 0.93)
        prompt = np.minimum(random.lognormal(6.2, 1.2, size), 120_000).astype(np.int64) + 1
        completion = np.minimum(random.lognormal(5.0, 1.0, size), 8_000).astype(np.int64) + 1
        speed = self._model_speed[model] * random.lognormal(0, 0.25, size)
        ttft = 30 + prompt / 8 * random.lognormal(0, 0.4, size) + random.lognormal(3, 1, size)
        last = ttft + (completion - 1) / speed * 1000
        duration = np.where(failed, random.lognormal(4, 1.5, size), last + random.exponential(2, size))
        streamed = streaming & ~failed
        many = streamed & reported & (completion > 1)
        acquired = random.exponential(0.4, size) + 0.05
        columns: dict[str, Any] = {
            "request_id": [f"{first + index:032x}" for index in range(size)],
            "timestamp": [f"{text}Z" for text in np.datetime_as_string(micros, unit="us").tolist()],
            "method": ["POST"] * size,
            "endpoint": _pick(ENDPOINTS, _zipf(random, len(ENDPOINTS), size)),
            "dialect": ["openai_chat"] * size,
            "backend": ["10.0.0.1:8000"] * size,
            "model": _pick(MODELS, model),
            "response_model": _pick(MODELS, model),
            "origin": _pick((*ORIGINS, None), _zipf(random, len(ORIGINS) + 1, size)),
            "user": _pick((*USERS, None), _zipf(random, len(USERS) + 1, size)),
            "user_agent": ["OpenAI/Python 2.1"] * size,
            "api_key_id": _pick(KEYS, _zipf(random, len(KEYS), size)),
            "is_streaming": streaming.astype(int).tolist(),
            "max_tokens": [1024] * size,
            "temperature": [0.7] * size,
            "message_count": random.integers(1, 20, size).tolist(),
            "request_bytes": (prompt * 4 + 300).tolist(),
            "response_bytes": (completion * np.where(streaming, 180, 5) + 400).tolist(),
            "success": (~failed).astype(int).tolist(),
            "outcome": _either(failed, [_FAILURES[k][0] for k in failure], "completed"),
            "status_code": _either(failed, [_FAILURES[k][4] for k in failure], 200),
            "upstream_status_code": _either(failed, [_FAILURES[k][4] for k in failure], 200),
            "finish_reason": _either(~failed, _pick(_FINISH, _zipf(random, 3, size)), None),
            "error_type": _either(failed, [_FAILURES[k][2] for k in failure], None),
            "error_category": _either(failed, [_FAILURES[k][1] for k in failure], None),
            "error_phase": _either(failed, [_FAILURES[k][3] for k in failure], None),
            "prompt_tokens": _where(reported, prompt),
            "completion_tokens": _where(reported, completion),
            "total_tokens": _where(reported, prompt + completion),
            "cached_tokens": _where(reported & (random.random(size) < 0.4), prompt // 2),
            "usage_source": _either(reported, ["reported"] * size, "none"),
            "usage_rejected": [0] * size,
            "retries": [0] * size,
            "upstream_reused": [1] * size,
            "body_complete_ms": random.exponential(0.2, size).tolist(),
            "connect_ms": _where(random.random(size) < 0.05, random.lognormal(1, 0.5, size)),
            "upstream_acquired_ms": acquired.tolist(),
            "request_sent_ms": (acquired + 0.05).tolist(),
            "response_headers_ms": (ttft * 0.9).tolist(),
            "time_to_first_byte_ms": (ttft * 0.95).tolist(),
            "time_to_first_token_ms": _where(streamed, ttft),
            "time_to_first_output_ms": _where(streamed, ttft * 1.02),
            "time_to_last_token_ms": _where(streamed, last),
            "inter_chunk_max_ms": _where(streamed, random.lognormal(3.5, 0.6, size)),
            "response_time_ms": duration.tolist(),
            "proxy_overhead_ms": random.lognormal(-1.2, 0.5, size).tolist(),
            "backend_name": _pick(BACKENDS, _zipf(random, len(BACKENDS), size)),
            "attempts": [1] * size,
            "tokens_per_second": _where(reported, (prompt + completion) * 1000 / duration),
            "time_per_output_token_ms": _where(many, (last - ttft) / np.maximum(completion - 1, 1)),
            "output_tokens_per_second": _where(
                many, np.maximum(completion - 1, 1) * 1000 / np.maximum(last - ttft, 1e-3)
            ),
            "cost_usd": _where(reported & (model % 5 == 4), prompt * 2e-7 + completion * 8e-7),
            "app_version": [APP_VERSION] * size,
        }
        return columns


def _hours(records: int, end: datetime, days: int) -> list[tuple[float, int]]:
    """How many records every hour has: nights are quiet, weekends half."""
    hours = [end - timedelta(hours=back) for back in range(days * 24, 0, -1)]
    weights = [
        (1 + 0.9 * np.sin((hour.hour - 8) / 24 * 2 * np.pi)) * (0.5 if hour.weekday() >= 5 else 1.0) + 0.1
        for hour in hours
    ]
    ends = np.rint(np.cumsum(weights) / np.sum(weights) * records).astype(int)
    return [(hour.timestamp(), int(count)) for hour, count in zip(hours, np.diff(ends, prepend=0), strict=True)]


def _zipf(random: np.random.Generator, values: int, size: int) -> Any:
    weights = 1 / np.arange(1, values + 1) ** 1.1
    return random.choice(values, size, p=weights / weights.sum())


def _pick(values: Any, places: Any) -> list[Any]:
    return [values[place] for place in places.tolist()]


def _where(mask: Any, values: Any) -> list[Any]:
    return [value if there else None for there, value in zip(mask.tolist(), values.tolist(), strict=True)]


def _either(mask: Any, values: list[Any], other: Any) -> list[Any]:
    return [value if there else other for there, value in zip(mask.tolist(), values, strict=True)]


def rows_of(columns: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows in the order of ``ROW_COLUMNS``."""
    size = len(columns["timestamp"])
    nothing = [None] * size
    return list(zip(*(columns.get(name, nothing) for name in ROW_COLUMNS), strict=True))


def make(folder: Path, records: int) -> None:
    """Write ``metrics.db``, with its roll-ups, and ``records.parquet``; nothing if they are there, made for as many."""
    done = folder / f"made-{records}"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "metrics.db"
    for name in ("metrics.db", "metrics.db-wal", "metrics.db-shm"):
        (folder / name).unlink(missing_ok=True)
    SqliteStore(path).close()
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -400000")
    insert = (
        f"INSERT INTO completion_requests ({', '.join(ROW_COLUMNS)}) VALUES ({', '.join('?' * (len(ROW_COLUMNS)))})"
    )
    traffic, random, first = Traffic(records), np.random.default_rng(3), 1
    writer = None
    waiting: list[Any] = []
    hours = traffic.hours()
    for index, (begin, count) in enumerate(hours):
        waiting.append(np.sort(begin + random.random(count) * 3600))
        if sum(map(len, waiting)) < PIECE and index + 1 < len(hours):
            continue
        columns = traffic.piece(np.concatenate(waiting), first)
        waiting.clear()
        connection.execute("BEGIN")
        connection.executemany(insert, rows_of(columns))
        connection.execute("COMMIT")
        first += len(columns["timestamp"])
        table = _table(columns)
        writer = writer or pq.ParquetWriter(folder / "records.parquet", table.schema, compression="zstd")
        writer.write_table(table, row_group_size=PIECE * 4)
    assert writer is not None
    writer.close()
    begin_above(connection, first - 1)
    connection.execute("ANALYZE")
    write_state(connection, RollupState(tables=FINGERPRINT))
    while roll_up_some(connection, 50_000):
        pass
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    done.touch()


def roll_up_some(connection: apsw.Connection, records: int) -> bool:
    """One step of the builder, as large as asked for; false when nothing is left."""
    with connection:
        gathered = gather(connection, read_state(connection), records)
        return add(connection, gathered) and gathered.records > 0
    return False


_INTEGERS: Final = frozenset(
    {"is_streaming", "success", "status_code", "upstream_status_code", "max_tokens", "message_count", "request_bytes",
     "response_bytes", "retries", "attempts", "usage_rejected", "upstream_reused"}
)  # fmt: skip


def _table(columns: dict[str, Any]) -> pa.Table:
    arrays = {}
    for name, values in columns.items():
        if name.endswith("_tokens") or name in _INTEGERS:
            kind = pa.int64()
        elif name.endswith(("_ms", "_per_second", "_usd")) or name == "temperature":
            kind = pa.float64()
        else:
            kind = _TEXT
        arrays[name] = pa.array(values, kind)
    return pa.table(arrays)
