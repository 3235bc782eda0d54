"""``python -m bench.queries``: CPU time that everyday questions take on raw records, by the length of the range.

A database of made records, 1.3 a second, is written once into a folder; questions are asked in this process, one after
the other, after one that warms the system's cache.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import apsw
from rich.console import Console
from rich.table import Table

from llm_metrics_proxy.analytics import RequestFilter, summarise
from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.distribution import DistributionQuery, distribute
from llm_metrics_proxy.analytics.heatmap import HeatmapQuery, map_heat
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.slos import Slo
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore

PER_SECOND: Final = 1.3
END: Final = datetime(2026, 11, 1, 9, 37, tzinfo=UTC)
RANGES: Final = {"1 h": 1.0, "6 h": 6.0, "24 h": 24.0, "all": None}  # hours
# Arithmetic instead of random(): the same file every time.
_FILL: Final = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1),
facts(i, at_us, failed, duration, prompt, completion, streaming) AS (
    SELECT i, ?2 - CAST((?1 - i) * 1000000 / ?3 AS INTEGER) - (i * 7919) % 700000, (i * 7919) % 1000 < 40,
        80.0 + (i * 104729) % 60000 / (1.0 + (i * 31) % 7) + (i % 1000) / 1000.0, 20 + (i * 31) % 4000,
        5 + (i * 17) % 1500, (i * 13) % 10 < 6 FROM n
)
INSERT INTO completion_requests (request_id, timestamp, method, endpoint, dialect, backend, model, response_model,
    origin, user, user_agent, api_key_id, is_streaming, max_tokens, temperature, message_count, request_bytes,
    response_bytes, success, outcome, status_code, upstream_status_code, finish_reason, error_type, error_category,
    error_phase, prompt_tokens, completion_tokens, total_tokens, cached_tokens, usage_source, usage_rejected,
    retries, body_complete_ms, upstream_acquired_ms, request_sent_ms, response_headers_ms, time_to_first_byte_ms,
    time_to_first_token_ms, time_to_first_output_ms, time_to_last_token_ms, inter_chunk_max_ms, response_time_ms,
    proxy_overhead_ms, backend_name, attempts, tags, tokens_per_second, app_version)
SELECT printf('%032x', i), strftime('%Y-%m-%dT%H:%M:%S', at_us / 1000000, 'unixepoch') || printf('.%06dZ', at_us %
    1000000), 'POST', '/v1/chat/completions', 'openai_chat', '10.0.0.' || (i % 4) || ':8000', 'llama-' || ((i * i) %
    20), 'llama-' || ((i * i) % 20), iif(i % 3, 'https://app-' || ((i * 11) % 40) || '.example', NULL), 'user-' ||
    ((i * i) % 2000), 'curl/8.1', printf('%012x', (i * 7919) % 120), streaming, 1024, 0.7, 1 + i % 20, 200 + prompt
    * 4, 400 + completion * 5, NOT failed, iif(failed, 'upstream_error', 'completed'), iif(failed, 503, 200),
    iif(failed, 503, 200), iif(failed, NULL, 'stop'), iif(failed, 'overloaded', NULL), iif(failed, 'upstream',
    NULL), iif(failed, 'before_first_token', NULL), iif(failed, NULL, prompt), iif(failed, NULL, completion),
    iif(failed, NULL, prompt + completion), iif(failed OR i % 3, NULL, prompt / 2), iif(failed, 'none', 'reported'),
    0, 0, 0.2, 0.5, 0.6, duration * 0.09, duration * 0.095, iif(failed OR NOT streaming, NULL, duration * 0.1),
    iif(failed OR NOT streaming, NULL, duration * 0.1), iif(failed OR NOT streaming, NULL, duration * 0.9),
    iif(failed OR NOT streaming, NULL, 35.0 + i % 50), duration, 0.2 + (i % 100) / 200.0, 'gpu-' || (i % 4), 1,
    iif(i % 2, 'team=' || (i % 7), NULL), iif(failed, NULL, (prompt + completion) * 1000 / duration), ?4
FROM facts
"""
_PERCENTILES: Final = ("response_time_ms.p50", "response_time_ms.p95", "time_to_first_token_ms.p95")
_EVERYDAY: Final = ("requests", "success_rate", *_PERCENTILES, "total_tokens")
QUERIES: Final[dict[str, dict[str, Any]]] = {
    "totals with percentiles": {"metrics": _EVERYDAY},
    "over time": {"metrics": ("requests", "success_rate", "total_tokens"), "group_by": ("time",)},
    "over time with percentiles": {"metrics": _EVERYDAY, "group_by": ("time",)},
    "over time by model": {"metrics": _EVERYDAY, "group_by": ("time", "model"), "limit": 10},
    "by model": {"metrics": _EVERYDAY, "group_by": ("model",)},
    "by user (2,000)": {"metrics": ("requests", "total_tokens"), "group_by": ("user",)},
    "by tag": {"metrics": _EVERYDAY, "group_by": ("tag:team",)},
    "by error type": {"metrics": ("requests",), "group_by": ("error_category", "error_type")},
    "one model, compared": {"metrics": _EVERYDAY, "compare": True, "model": "llama-4"},
    "most requests open": {"metrics": ("concurrency_max", "concurrency_mean"), "group_by": ("time",)},
    "goodput": {"metrics": ("goodput",), "slos": (Slo("time_to_first_token_ms", "<", 500.0),), "group_by": ("model",)},
}


def make(path: Path, records: int) -> None:
    """Write the file; its last record is of ``END``."""
    SqliteStore(path).close()
    connection = apsw.Connection(str(path))
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        end_us = round(END.timestamp() * 1_000_000)
        connection.execute(_FILL, (records, end_us, PER_SECOND, APP_VERSION))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def questions(reader: SqliteReader, hours: float | None, records: int) -> dict[str, Callable[[], object]]:
    """By name, what asks them of the last so many hours."""
    sources = open_records(reader).sources()
    start = END - timedelta(hours=hours if hours is not None else records / PER_SECOND / 3600)

    def selection(**more: Any) -> RequestFilter:
        return RequestFilter(start=start, end=END, **more)

    def asking(shape: dict[str, Any]) -> Callable[[], object]:
        words = {name: value for name, value in shape.items() if name != "model"}
        query = Query(filter=selection(model=shape.get("model")), timezone="Europe/Berlin", **words)
        return lambda: ask(sources, query, END)

    return {
        **{name: asking(shape) for name, shape in QUERIES.items()},
        "distribution": lambda: distribute(sources, DistributionQuery(filter=selection()), END),
        "heatmap": lambda: map_heat(sources, HeatmapQuery(filter=selection(), timezone="Europe/Berlin"), END),
        "summary, to compare": lambda: summarise(open_records(reader), selection()),
    }


def measure(path: Path, records: int, turns: int) -> dict[str, list[float]]:
    """Median milliseconds of CPU of every question, by range in the order of ``RANGES``."""
    reader = SqliteReader(path)
    found: dict[str, list[float]] = {}
    for hours in RANGES.values():
        for name, question in questions(reader, hours, records).items():
            question()
            found.setdefault(name, []).append(statistics.median(_ms(question) for _ in range(turns)))
    reader.close()
    return found


def _ms(question: Callable[[], object]) -> float:
    start = time.process_time()
    question()
    return (time.process_time() - start) * 1000


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the file if it is not there, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.queries", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the database here, and take it from here")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        path = (given.folder or Path(scratch)) / f"queries-{given.records}.db"
        if not path.exists():
            make(path, given.records)
        table = Table("question (median ms of CPU)", *RANGES)
        for name, medians in measure(path, given.records, given.turns).items():
            table.add_row(name, *(f"{median:,.1f}" for median in medians))
        Console().print(table)


if __name__ == "__main__":
    main()
