"""Records of given facts, stored and read by the copy."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llm_metrics_proxy.analytics import Query, ask
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore


def record(**facts: Any) -> RequestRecord:
    """One record; what is not given is as of a request of which nothing is known."""
    head = {"request_id": f"{id(facts):032x}", "timestamp": "2026-01-01T00:00:00.000000Z", "method": "POST"}
    return RequestRecord(**{**head, "endpoint": "/v1/x", **facts})


def stored(*facts: dict[str, Any]) -> Records:
    """A database with a record for each of these."""
    path = Path(tempfile.mkdtemp()) / "metrics.db"
    rows = [to_row(record(request_id=f"{at:032x}", **each)) for at, each in enumerate(facts)]
    SqliteStore(path).append(IngestBatch(rows=rows))
    return open_records(SqliteReader(path))


def value(records: Records, metric: str) -> Any:
    """A metric of all records."""
    (row,) = ask(records.sources(), Query(metrics=(metric,)), datetime(2026, 1, 2, tzinfo=UTC)).rows
    return row.values[metric].value
