"""What a record holds, as SQLite's SQL: for those who store records and for those who read them.

The table of records is STRICT and our own, so a column is its value.
"""

from collections.abc import Iterable
from typing import Final

from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.record import REGISTRY, UsageSource
from llm_metrics_proxy.rollups.values import FIELDS, KEYS

TYPES: Final = {  # by what a column holds
    "integer": "INTEGER", "number": "REAL", "flag": "INTEGER", "text": "TEXT", "time": "TEXT", "any": "ANY",
}  # fmt: skip
MINUTE: Final = "substr(timestamp, 1, 16)"  # in which the request began, as ``YYYY-MM-DDTHH:MM``
_COUNTED_HERE: Final = f"usage_source IS NOT '{UsageSource.REPEATED}'"


def expression(column: Column) -> str:
    """The value of one record; NULL where it is missing or beyond all that it can be, or another record counts it."""
    conditions = _conditions(column)
    return f"iif({' AND '.join(conditions)}, {column.name}, NULL)" if conditions else column.name


def is_there(column: Column) -> str:
    """Whether a record has such a value."""
    return " AND ".join((*_conditions(column), f"{column.name} NOT NULL"))


def _conditions(column: Column) -> list[str]:
    """Of having a value besides not being NULL. Older programs stored counts beyond all that the proxy lets pass."""
    kind = column.kind
    within = [] if kind.least is None else [f"{column.name} BETWEEN {kind.least} AND {kind.most}"]
    return [*([_COUNTED_HERE] if column.counts_once else []), *within]


def rolled_up(keys: Iterable[str], fields: Iterable[int]) -> str:
    """The SELECT list in the order in which ``rollups.columns.of_rows`` reads it, which finds what is beyond limits."""
    parts = [MINUTE, "coalesce(success, -1)"]
    parts += [KEYS[name] for name in keys]
    columns = (REGISTRY[_NAMES[number]] for number in fields)
    parts += [f"iif({_COUNTED_HERE}, {one.name}, NULL)" if one.counts_once else one.name for one in columns]
    return ", ".join(parts)


_NAMES: Final = {field.number: field.name for field in FIELDS}
