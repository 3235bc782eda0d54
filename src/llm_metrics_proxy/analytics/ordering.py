"""In which order records are listed: by any column, either way. Pure.

Records without a value come last, both ways; of one value the newest comes first. What a record sorts by is what it
counts as in sums: nothing, where another record counts its tokens (``usage_source`` repeated).
"""

from typing import Final

import msgspec

from llm_metrics_proxy.analytics.conditions import CONDITIONED
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import REGISTRY

# Every column but those that hold values of any kind; a filter's name is taken for its column's.
ORDERED: Final[dict[str, Column]] = {column.name: column for column in CONDITIONED.values()}


class Order(msgspec.Struct, frozen=True):
    """By one column. Raises ``QueryError`` if records have no such column."""

    column: str
    descending: bool = False

    def __post_init__(self) -> None:
        if self.column not in ORDERED:
            message = unknown("column to sort by", self.column, sorted(ORDERED)).partition("; there are: ")[0]
            hint = "" if "did you mean" in message else "; docs/metrics.md lists them"
            raise QueryError("order", f"{message}{hint}")

    def __str__(self) -> str:
        return f"{'-' if self.descending else ''}{self.column}"

    @property
    def row(self) -> Column:
        """Of the registry."""
        return REGISTRY[self.column]


NEWEST: Final = Order("timestamp", descending=True)


def parse_order(text: str) -> Order:
    """Such as ``-response_time_ms``: descending. Raises ``QueryError``."""
    name = text.removeprefix("-")
    column = CONDITIONED.get(name)
    return Order(column.name if column is not None else name, text.startswith("-"))
