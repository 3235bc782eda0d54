"""Which records, as SQLite's WHERE clauses. Values only ever travel as parameters."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from llm_metrics_proxy.analytics.arrivals import ONE_HOST, ArrivalRange
from llm_metrics_proxy.analytics.conditions import COMPARISONS, Condition
from llm_metrics_proxy.analytics.filters import FILTERED, RequestFilter, stored_time
from llm_metrics_proxy.analytics.records import Only
from llm_metrics_proxy.storage.base import SqlValue
from llm_metrics_proxy.storage.expressions import expression

TABLE: Final = "completion_requests"
ALONG_ARRIVALS: Final = "NOT INDEXED"  # a hint: all that is left to SQLite is the order of arrival


class Clause(NamedTuple):
    """An expression, or `` WHERE …`` (or nothing), and the values of its placeholders."""

    sql: str
    parameters: tuple[SqlValue, ...] = ()

    def also(self, condition: str, *parameters: SqlValue) -> "Clause":
        """This WHERE clause with one more condition."""
        joined = f"{self.sql} AND {condition}" if self.sql else f" WHERE {condition}"
        return Clause(joined, self.parameters + parameters)


_HAS_TAG: Final = "instr(',' || tags || ',', ',' || ? || ',') > 0"
_ONLY: Final[Mapping[Only, str]] = {
    Only.ERRORS: "error_category NOT NULL",
    Only.LIMITED: "error_category NOT NULL AND "
    "(retry_after_ms NOT NULL OR (error_category = 'limit' AND error_type IS NOT 'quota'))",
}


def where(selection: RequestFilter, only: Only | None = None) -> Clause:
    """Those that a filter selects."""
    clause = Clause("")
    for moment, comparison in ((selection.start, ">="), (selection.end, "<")):
        if moment is not None:
            clause = clause.also(f"timestamp {comparison} ?", stored_time(moment))
    for one in selection.conditions:
        said = _said(one)
        clause = clause.also(said.sql, *said.parameters)
    return clause if only is None else clause.also(_ONLY[only])


def _said(condition: Condition) -> Clause:
    """One condition, with a placeholder for each value."""
    column, values = condition.column, [one for one in condition.values if one is not None]
    parameters = tuple(int(one) if isinstance(one, bool) else one for one in values)
    if condition.name == "tag":
        return _said_of_tags(condition, parameters)
    if condition.op in COMPARISONS:
        return Clause(f"{expression(column)} {condition.op} ?", parameters)
    name = column.name if condition.name in FILTERED else expression(column)
    return _said_of_values(name, condition, parameters)


def _said_of_values(name: str, condition: Condition, parameters: tuple[SqlValue, ...]) -> Clause:
    """NULL compares with nothing: ``!=`` leaves out records without a value by itself."""
    is_any, without = condition.op == "=", len(parameters) < len(condition.values)
    if not parameters:
        return Clause(f"{name} {'IS NULL' if is_any else 'NOT NULL'}")
    among = f"{'IN' if is_any else 'NOT IN'} ({', '.join('?' * len(parameters))})"
    found = f"{name} {condition.op} ?" if len(parameters) == 1 else f"{name} {among}"
    return Clause(f"({found} OR {name} IS NULL)" if is_any and without else found, parameters)


def _said_of_tags(condition: Condition, parameters: tuple[SqlValue, ...]) -> Clause:
    """All must be there; with ``!=``, other tags and none of these."""
    if not parameters:
        return Clause(f"tags {'IS NULL' if condition.op == '=' else 'NOT NULL'}")
    if condition.op == "=":
        return Clause(" AND ".join([_HAS_TAG] * len(parameters)), parameters)
    return Clause(f"tags NOT NULL AND NOT ({' OR '.join([_HAS_TAG] * len(parameters))})", parameters)


def within(clause: Clause, arrived: ArrivalRange) -> Clause:
    """Of these, those of a range. Numbers of records from other programs may be below 0."""
    after = arrived.after.by_host.get(ONE_HOST)
    begun = clause if after is None else clause.also("arrival > ?", after)
    return begun.also("arrival <= ?", arrived.through.number)
