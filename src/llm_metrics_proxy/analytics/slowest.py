"""The requests that took longest."""

from typing import Any, Final

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.ordering import Order
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.rows import item
from llm_metrics_proxy.record import ALL_COLUMNS

_LONGEST: Final = Order("response_time_ms", descending=True)


def slowest(records: Records, selection: RequestFilter, limit: int) -> list[dict[str, Any]]:
    """At most ``limit`` selected records that have a response_time_ms, the longest first, as ``rows.item`` shows them.

    Raises ``StoreError``.
    """
    rows = records.ordered(selection, ALL_COLUMNS, _LONGEST, None, limit)
    return [item(row[:-1]) for row in rows if row[-1] is not None]
