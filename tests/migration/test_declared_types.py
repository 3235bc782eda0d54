"""However an older table declared its columns, its records answer as the same records in our own table do."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from llm_metrics_proxy.analytics import ErrorsQuery, RequestFilter, ask, read_errors, summarise
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.migration.databases import execute, options

# By column: as our table declares it, and what older programs and odd files write there instead.
OURS: Final = {
    "timestamp": "TEXT", "success": "INTEGER", "status_code": "INTEGER", "response_time_ms": "REAL", "model": "TEXT",
    "origin": "TEXT", "is_streaming": "INTEGER", "max_tokens": "INTEGER", "temperature": "REAL",
    "prompt_tokens": "INTEGER", "completion_tokens": "INTEGER", "total_tokens": "INTEGER", "finish_reason": "TEXT",
    "time_to_first_token_ms": "REAL", "time_to_last_token_ms": "REAL", "tokens_per_second": "REAL",
    "app_version": "TEXT", "error_type": "TEXT", "error_message": "TEXT",
}  # fmt: skip
OTHERS: Final = {
    "of 1.x": {**OURS, "timestamp": "DATETIME", "success": "BOOLEAN", "is_streaming": "BOOLEAN", "model": "VARCHAR(9)"},
    "none": dict.fromkeys(OURS, ""),
    "numeric": dict.fromkeys(OURS, "NUMERIC"),
    "text": dict.fromkeys(OURS, "TEXT"),
    "real": {name: "REAL" if type_ != "TEXT" else "TEXT" for name, type_ in OURS.items()},
}
RECORDS: Final = 60
DAY: Final = datetime(2026, 3, 1, tzinfo=UTC)


def _rows() -> Iterator[tuple[Any, ...]]:
    for n in range(1, RECORDS + 1):
        failed, streamed = n % 7 == 0, n % 3 != 0
        time = f"2026-03-01{' ' if n % 2 else 'T'}{n % 24:02}:{n % 60:02}:00{'.5' if n % 4 else ''}"
        duration = 100.25 * n
        yield (
            time, int(not failed), 429 if failed else 200, duration, f"model-{n % 4}", None if n % 5 else "someone",
            int(streamed), n * 10, n / 8, n, 10 * n, None if failed else 11 * n, "stop",
            duration / 4 if streamed else duration, duration, 12.5 * n, ("1.0.0", "2.0.0", None)[n % 3],
            "rate_limit_error" if failed else None, "slow down" if failed else None,
        )  # fmt: skip


def make(path: Path, types: dict[str, str]) -> Path:
    declared = ", ".join(f"{name} {type_}" for name, type_ in types.items())
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, {declared})")
        marks = ", ".join("?" * len(types))
        connection.executemany(f"INSERT INTO completion_requests ({', '.join(types)}) VALUES ({marks})", _rows())
    return path


def carried_over(path: Path) -> list[Any]:
    """Every value of every record, with its storage class."""
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert (result.ended, result.faults) == (Ended.DONE, ())
    assert result.run is not None
    assert result.run.unfit == {}
    values = ", ".join(f"typeof({name}), {name}" for name in ALL_COLUMNS)
    return execute(path, f"SELECT {values} FROM completion_requests ORDER BY arrival")


@contextmanager
def reading(path: Path) -> Iterator[Records]:
    with closing(SqliteReader(path)) as reader:
        yield open_records(reader)


def answers(path: Path) -> list[Any]:
    metrics = ("requests", "success_rate", "response_time_ms.p95", "total_tokens", "time_to_first_token_ms.mean")
    asked = [("model",), ("hour_of_day",), ("weekday",), ("streaming", "outcome"), ("time",)]
    with reading(path) as records:
        found: list[Any] = [summarise(records, RequestFilter()), read_errors(records, ErrorsQuery())]
        for by in asked:
            query = Query(metrics=metrics, group_by=by, bucket="hour" if by == ("time",) else None)
            found.append(ask(records.sources(), query, DAY).rows)
        return found


@pytest.mark.parametrize("types", OTHERS.values(), ids=list(OTHERS))
def test_declared_types_change_no_value_and_no_answer(tmp_path: Path, types: dict[str, str]) -> None:
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
    ours, theirs = make(tmp_path / "ours" / "m.db", OURS), make(tmp_path / "theirs" / "m.db", types)
    expected, found = carried_over(ours), carried_over(theirs)
    assert len(expected) == RECORDS
    kept_with_their_class = {"timestamp_original", "time_to_first_token_ms_original", "time_to_last_token_ms_original"}
    for one, other in zip(expected, found, strict=True):
        for place, name in enumerate(ALL_COLUMNS):
            is_, should = other[2 * place : 2 * place + 2], one[2 * place : 2 * place + 2]
            if name in kept_with_their_class:
                is_, should = is_[1:], should[1:]
            assert is_ == should, name
    assert answers(theirs) == answers(ours)
