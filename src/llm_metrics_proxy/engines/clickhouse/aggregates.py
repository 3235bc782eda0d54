"""What is aggregated of a group: of the records themselves, or of sums that the server keeps by the hour."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from llm_metrics_proxy.analytics.measures import FIELDS
from llm_metrics_proxy.analytics.source import QueryPlan
from llm_metrics_proxy.engines.clickhouse.conditions import where
from llm_metrics_proxy.engines.clickhouse.expressions import HAS_TIME, expression, is_good
from llm_metrics_proxy.engines.clickhouse.table import TABLE

COUNTS: Final[dict[str, str]] = {
    "requests": "count()",
    "succeeded": "countIf(success = 1)",
    "failed": "countIf(success = 0)",
    "errors": "count(error_category)",
}
_DISTINCT: Final[dict[str, str]] = {  # read of records alone
    "priced_sessions": "uniqExact(if(cost_usd IS NULL, NULL, session_id))",
}
TIMES: Final[Mapping[str, str]] = {
    "oldest": f"minIf(toNullable(timestamp), {HAS_TIME})",
    "newest": f"maxIf(toNullable(timestamp), {HAS_TIME})",
    "newest_error": f"maxIf(toNullable(timestamp), {HAS_TIME} AND error_category IS NOT NULL)",
}
# The server rounds logarithms towards zero, so that its sketches are right above 1 and off by three times their error
# below (measured, 26.9). Times a power of two, which changes no digit, all that is measured is above 1.
SCALE: Final = 2**40
# It refuses a whole question or insertion for one value near the largest number, and for two that are 65,536 of a
# sketch's steps apart, 569 decades: nearer to zero is zero.
_MOST: Final = 1e280
_LEAST: Final = 1e-270

Percentiles = Callable[[Sequence[float], str], str]  # fractions, and SQL of a value -> an aggregate, an array


class Reading(Protocol):
    """How one plan is read."""

    def aggregate(self, sql: str) -> str:
        """What an aggregate of records is here."""

    def percentiles(self, fractions: Sequence[float], value: str) -> str:
        """An array of them."""

    def source(self, plan: QueryPlan) -> str:
        """What stands behind FROM, once all aggregates are known."""


class OfRecords:
    """Every record that is selected."""

    def __init__(self, percentiles: Percentiles) -> None:
        self.percentiles = percentiles

    def aggregate(self, sql: str) -> str:
        """As it is."""
        return sql

    def source(self, plan: QueryPlan) -> str:
        """The table."""
        return f"{TABLE}{where(plan.filter, arrived=plan.arrived)}"


def exactly(fractions: Sequence[float], value: str) -> str:
    """Linear between the two nearest values: every value of a group is held in memory, 8 bytes each."""
    return f"quantilesExactInclusive({', '.join(map(repr, fractions))})({value})"


def sketched(relative_error: float) -> Percentiles:
    """Within so much of the value, from a sketch of a few KB."""

    def sql(fractions: Sequence[float], value: str) -> str:
        sketch = f"quantilesDD({relative_error!r}, {', '.join(map(repr, fractions))})({above_one(value)})"
        return f"arrayMap(each -> each / {SCALE}, {sketch})"

    return sql


def above_one(value: str) -> str:
    """A value as sketches take it."""
    most = f"abs({value}) > {_MOST}, sign({value}) * {_MOST}"
    return f"multiIf({most}, abs({value}) < {_LEAST}, 0, toFloat64({value})) * {SCALE}"


def counted(plan: QueryPlan) -> tuple[str, ...]:
    """The counts of a plan."""
    return ("requests", *sorted(plan.needs.counts))


def times_of(plan: QueryPlan) -> list[str]:
    """Stored times that a plan needs; seconds follow from them."""
    of = {"first_s": "oldest", "last_s": "newest"}
    return sorted({of.get(name, name) for name in plan.needs.times})


def fractions_of(plan: QueryPlan) -> dict[str, list[float]]:
    """The columns whose values a plan needs, in order, with the percentiles asked for."""
    found: dict[str, list[float]] = {column: [] for column in sorted(plan.needs.moments)}
    for column, fraction in sorted(plan.needs.quantiles):
        found[column].append(fraction)
    return found


def moments_of(column: str, *, extremes: bool) -> list[str]:
    """Of one column: how many values, their sum, and perhaps the smallest and the largest."""
    value = expression(FIELDS[column])
    functions = ("count", "sum", "min", "max") if extremes else ("count", "sum")
    return [f"{function}({value})" for function in functions]


def values_of(plan: QueryPlan, reading: Reading) -> list[str]:
    """What is aggregated of a group, in the order in which ``statement.results`` reads it."""
    good = f"countIf({is_good(plan.slos)})"
    values = [(COUNTS | _DISTINCT).get(name, good) for name in counted(plan)] + [TIMES[name] for name in times_of(plan)]
    found = [reading.aggregate(sql) for sql in values]
    for column, fractions in fractions_of(plan).items():
        found += map(reading.aggregate, moments_of(column, extremes=column in plan.needs.extremes))
        found += [reading.percentiles(fractions, expression(FIELDS[column]))] if fractions else []
    return found
