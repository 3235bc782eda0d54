"""Which records, as SQLite's WHERE clauses. Values only ever travel as parameters."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from llm_metrics_proxy.analytics.arrivals import ONE_HOST, ArrivalRange
from llm_metrics_proxy.analytics.filters import FILTERED, NO_VALUE, RequestFilter, stored_time, tags_in
from llm_metrics_proxy.analytics.records import Only
from llm_metrics_proxy.storage.base import SqlValue

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


_CONDITIONS: Final = {  # field of RequestFilter -> condition with one placeholder
    "start": "timestamp >= ?",
    "end": "timestamp < ?",
    **{name: f"{column.name} = ?" for name, column in FILTERED.items() if name != "tag"},
}
_HAS_TAG: Final = "instr(',' || tags || ',', ',' || ? || ',') > 0"
_ONLY: Final[Mapping[Only, str]] = {
    Only.ERRORS: "error_category NOT NULL",
    Only.LIMITED: "error_category NOT NULL AND "
    "(retry_after_ms NOT NULL OR (error_category = 'limit' AND error_type IS NOT 'quota'))",
}


def where(selection: RequestFilter, only: Only | None = None) -> Clause:
    """Those that a filter selects."""
    clause = Clause("")
    for field, condition in _CONDITIONS.items():
        value = getattr(selection, field)
        if field == "app_version" and value == NO_VALUE:
            clause = clause.also("app_version IS NULL")
        elif value is not None:
            clause = clause.also(condition, _stored(value))
    for tag in tags_in(selection.tag) if selection.tag is not None else ():
        clause = clause.also(_HAS_TAG, tag)
    return clause if only is None else clause.also(_ONLY[only])


def _stored(value: datetime | bool | int | str) -> SqlValue:
    """A filter's value as the column holds it."""
    if isinstance(value, datetime):
        return stored_time(value)
    return int(value) if isinstance(value, bool) else value


def within(clause: Clause, arrived: ArrivalRange) -> Clause:
    """Of these, those of a range. Numbers of records from other programs may be below 0."""
    after = arrived.after.by_host.get(ONE_HOST)
    begun = clause if after is None else clause.also("arrival > ?", after)
    return begun.also("arrival <= ?", arrived.through.number)
