"""What a record holds, as SQLite's SQL: for those who store records and for those who read them.

The table of records is STRICT and our own, so a column is its value.
"""

from collections.abc import Iterable
from typing import Final

from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.record import READABLE, UsageSource
from llm_metrics_proxy.rollups.values import FIELDS, KEYS

TYPES: Final = {  # by what a column holds
    "integer": "INTEGER", "number": "REAL", "flag": "INTEGER", "text": "TEXT", "time": "TEXT", "any": "ANY",
}  # fmt: skip
MINUTE: Final = "substr(timestamp, 1, 16)"  # in which the request began, as ``YYYY-MM-DDTHH:MM``
_COUNTED_HERE: Final = f"usage_source IS NOT '{UsageSource.REPEATED}'"


def expression(column: Column) -> str:
    """The value of one record; NULL where it is missing or beyond all that it can be, or another record counts it."""
    if column.over is not None:
        value, known = READABLE[column.over.value], READABLE[column.over.known]
        counted = f"coalesce({expression(value)}, 0)" if column.over.counts_missing else expression(value)
        said = f"{known.name} = '{column.over.word}'" if column.over.word else is_there(known)
        most = f" AND {known.name} <= coalesce({column.over.at_most}, 0)" if column.over.at_most else ""
        return f"iif({said}{most}, {counted}, NULL)"
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
    parts += [_for_rollups(READABLE[_NAMES[number]]) for number in fields]
    return ", ".join(parts)


def _for_rollups(column: Column) -> str:
    if column.over is not None:
        return expression(column)
    return f"iif({_COUNTED_HERE}, {column.name}, NULL)" if column.counts_once else column.name


_NAMES: Final = {field.number: field.name for field in FIELDS}
