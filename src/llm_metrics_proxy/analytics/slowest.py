"""The requests that took longest."""

from typing import Any

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.rows import item
from llm_metrics_proxy.record import ALL_COLUMNS


def slowest(records: Records, selection: RequestFilter, limit: int) -> list[dict[str, Any]]:
    """At most ``limit`` selected records by response_time_ms, the longest first, as ``rows.item`` shows them.

    Looks at every record selected. Raises ``StoreError``.
    """
    return [item(row) for row in records.slowest(selection, ALL_COLUMNS, limit)]
