"""A database, records in it at times of the test's, and a clock set by hand."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.analytics.source import Source
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.journal_parts import an_ended_record

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Site:
    """``now`` is the clock, in seconds after ``BEGAN``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteStore(path)
        self.reader = SqliteReader(path)
        self.records = open_records(self.reader)
        self.now = 0.0
        self._count = 0

    @property
    def sources(self) -> Sequence[Source]:
        return self.records.sources()

    def clock(self) -> float:
        return BEGAN.timestamp() + self.now

    def add(self, seconds: float, *, good: bool = True, **facts: Any) -> None:
        """A request that began so many seconds after ``BEGAN``."""
        self._count += 1
        words = {} if good else {"success": False, "outcome": "upstream_error", "status_code": 500}
        record = an_ended_record(self._count, **{**words, **facts})
        record.timestamp = (BEGAN + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.store.append(IngestBatch(rows=[to_row(record)]))

    def close(self) -> None:
        self.reader.close()
        self.store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "m.db")
    yield site
    site.close()
