"""The requests that took longest."""

from typing import Any

from llm_metrics_proxy.analytics.filters import RequestFilter, where
from llm_metrics_proxy.analytics.metrics import DISTRIBUTIONS
from llm_metrics_proxy.analytics.rows import columns_there, item, read, whole_table
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.base import Reader

_TIME_MS = next(metric.sql for metric in DISTRIBUTIONS if metric.name == "response_time_ms")


def slowest(reader: Reader, selection: RequestFilter, limit: int) -> list[dict[str, Any]]:
    """At most ``limit`` selected records by response_time_ms, the longest first, as ``rows.item`` shows them.

    Looks at every record selected: a million take some 0.4 s. Raises ``StoreError``.
    """
    table, columns = whole_table(columns_there(reader)), ", ".join(ALL_COLUMNS)
    clause = where(selection).also(f"{_TIME_MS} IS NOT NULL")
    # the ids first: sorting whole records would carry ninety columns of each through the sorter
    ids = f"SELECT id FROM {table}{clause.sql} ORDER BY {_TIME_MS} DESC, id LIMIT ?"  # noqa: S608
    sql = (
        f"SELECT {columns} FROM {table} WHERE id IN ({ids}) "  # noqa: S608 -- names are ours
        f"ORDER BY {_TIME_MS} DESC, id LIMIT ?"
    )
    return [item(row) for row in read(reader, sql, (*clause.parameters, limit, limit), columns=len(ALL_COLUMNS))]
