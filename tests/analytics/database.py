"""A real database with chosen records, for the tests of questions and of the API."""

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.metrics_service import APP_VERSION, NOT_PRICED
from llm_metrics_proxy.record import DERIVED, RAW_COLUMNS, RequestRecord
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_numbers = itertools.count(1)


def a_record(seconds: float = 0, **facts: Any) -> RequestRecord:
    """A completed stream that began ``seconds`` after ``NOON``, with a request_id of its own, changed by ``facts``."""
    return RequestRecord(
        **{
            "request_id": f"{next(_numbers):032x}",
            "timestamp": stored_time(NOON + timedelta(seconds=seconds)),
            "method": "POST",
            "endpoint": "/v1/chat/completions",
            "dialect": "openai_chat",
            "backend": "127.0.0.1:8000",
            "model": "llama3.1:8b",
            "is_streaming": True,
            "success": True,
            "outcome": "completed",
            "status_code": 200,
            "finish_reason": "stop",
            "prompt_tokens": 10,
            "completion_tokens": 101,
            "total_tokens": 111,
            "time_to_first_token_ms": 120.0,
            "time_to_last_token_ms": 1120.0,
            "response_time_ms": 1125.0,
            "proxy_overhead_ms": 0.4,
            **facts,
        }
    )


def a_row(
    record: RequestRecord,
    *,
    error_category: str | None = None,
    error_phase: str | None = None,
    app_version: str = APP_VERSION,
    cost_usd: float | None = None,
) -> tuple[Any, ...]:
    """A record as it is stored, with this verdict and cost, for ``Database.append``."""
    told = {"error_category": error_category, "error_phase": error_phase}
    derived = (told.get(column.name) for column in DERIVED)
    priced = (cost_usd, None if cost_usd is None else "price_table", None, None)  # no savings, no busy time
    return (*(getattr(record, name) for name in RAW_COLUMNS), *derived, app_version, *priced)


class Database:
    """A store and a reader on one file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.db"
        self.store = SqliteStore(self.path, host="one")
        self.reader = SqliteReader(self.path)
        self.records = open_records(self.reader)

    def add(self, *records: RequestRecord, app_version: str = "2.0.0", tokens_per_second: float | None = None) -> None:
        """Commit records as one batch."""
        derived = (tokens_per_second, *(None for _column in DERIVED[1:]))
        self.append(
            (*(getattr(record, name) for name in RAW_COLUMNS), *derived, app_version, *NOT_PRICED, None)
            for record in records
        )

    def append(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Commit rows in the order of ``record.ROW_COLUMNS``."""
        self.store.append(IngestBatch(rows=list(rows)))

    def open_as(self, host: str) -> None:
        """Records that come from now on are those of this host."""
        self.store.close()
        self.store = SqliteStore(self.path, host=host)

    def close(self) -> None:
        """Close both sides."""
        self.reader.close()
        self.store.close()
