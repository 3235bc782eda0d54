"""How long the first and the second page of requests take in some orders, with some filters, on SQLite.

    python -m bench.orders --records 1000000

The data is that of ``bench.analytics``, made in ``--folder`` if it is not there. ``--turns``: how often each page is
asked for.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench import analytics_data
from llm_metrics_proxy.analytics import RequestFilter, list_requests
from llm_metrics_proxy.analytics.conditions import parse_conditions
from llm_metrics_proxy.analytics.filters import filter_of
from llm_metrics_proxy.analytics.ordering import Order, parse_order
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.storage.sqlite import SqliteReader

ORDERS: Final = (
    "-timestamp", "timestamp", "-response_time_ms", "-cost_usd", "-completion_tokens", "-time_to_first_token_ms",
    "model", "-status_code", "error_type", "-message_count",
)  # fmt: skip
FILTERS: Final = ((), ("model=llama3:3b",), ("model!=llama3:3b,qwen3:8b",), ("success=false",))


def page_ms(records: Records, selection: RequestFilter, order: Order, turns: int) -> tuple[float, float]:
    """Medians of the first page of 100 and of the second."""
    first, second = [], []
    for _ in range(turns):
        begun = time.perf_counter()
        page = list_requests(records, selection, 100, None, order)
        first.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        list_requests(records, selection, 100, page.next_cursor, order)
        second.append(time.perf_counter() - begun)
    return 1000 * statistics.median(first), 1000 * statistics.median(second)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the data if it is not there, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.orders", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "bench-orders")
    given = parser.parse_args(arguments)
    analytics_data.make(given.folder, given.records)
    table = Table("first and second page, ms", *(", ".join(texts) or "all" for texts in FILTERS))
    with closing(SqliteReader(given.folder / "metrics.db")) as reader, closing(open_records(reader)) as records:
        for order in map(parse_order, ORDERS):
            cells = []
            for texts in FILTERS:
                first, second = page_ms(records, filter_of(parse_conditions(texts)), order, given.turns)
                cells.append(f"{first:,.0f}  {second:,.0f}")
            table.add_row(str(order), *cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
