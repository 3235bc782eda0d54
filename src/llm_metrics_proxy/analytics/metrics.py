"""The metrics that can be asked for, each defined once: name, unit, meaning and the SQL of one record's value.

They are taken from the list of columns in ``record``: every duration, every rate that a formula derives, and every
token count that a server reports. A new column of that kind is a new metric without a line here.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from llm_metrics_proxy.record import DERIVED, PRICED, raw_facts


class Metric(NamedTuple):
    """``sql`` is the value of one record, or NULL where it is missing or is no finite number."""

    name: str
    unit: str
    meaning: str
    sql: str


MAX_TOKENS: Final = 2**40  # as the proxy refuses larger ones; a sum over millions of records stays exact


def _finite(column: str) -> str:
    """The column's value if it is a finite number.

    Text and bytes sort after every number in SQLite, so the comparison also leaves out what an older program wrote into
    a number's column; ``percentile_cont`` would refuse the whole query for one of them, as for an infinity. The plus
    takes the column's type away: beside a column of text, SQLite would turn the limits into text too.
    """
    return f"iif(+{column} BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308, {column}, NULL)"


def _count(column: str) -> str:
    """The column's value if it counts something: a whole number, kept as 1500 or 1500.0, that is not absurd."""
    whole = f"CAST({column} AS INTEGER)"
    return f"iif(+{column} BETWEEN 0 AND {MAX_TOKENS} AND {whole} = +{column}, {whole}, NULL)"


def _raw(unit: str, sql: Callable[[str], str], *, without: frozenset[str] = frozenset()) -> tuple[Metric, ...]:
    return tuple(
        Metric(name, unit, fact.meaning, sql(name))
        for name, fact in raw_facts().items()
        if fact.unit == unit and name not in without
    )


DISTRIBUTIONS: Final = (
    *_raw("ms", _finite),
    *(
        Metric(column.name, column.fact.unit, column.fact.meaning, _finite(column.name))
        for column in DERIVED
        if column.sql_type == "REAL"
    ),
)
# max_tokens is what a client asked for, not what anything used: adding it up means nothing.
TOKEN_SUMS: Final = _raw("tokens", _count, without=frozenset({"max_tokens"}))
BYTES: Final = _raw("bytes", _count)
COSTS: Final = tuple(
    Metric(name, "USD", fact.meaning, _finite(name))
    for name, fact in (*raw_facts().items(), *((column.name, column.fact) for column in (*DERIVED, *PRICED)))
    if fact.unit == "USD"
)
COST: Final = next(metric for metric in COSTS if metric.name == "cost_usd")
PERCENTILES: Final = (0.5, 0.95, 0.99)
