"""The sources that read the records themselves: exact, or with percentiles from sketches where there are millions."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec.structs import replace

from llm_metrics_proxy.analytics.arrivals import ArrivalRange
from llm_metrics_proxy.analytics.exact import MAX_GROUPS
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.source import OfEveryRecord, QueryPlan, SourceResult
from llm_metrics_proxy.engines.clickhouse.aggregates import OfRecords, Percentiles, exactly, sketched
from llm_metrics_proxy.engines.clickhouse.conditions import where
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.expressions import HAS_TIME
from llm_metrics_proxy.engines.clickhouse.statement import ALONE, results, statement
from llm_metrics_proxy.engines.clickhouse.table import TABLE

RELATIVE_ERROR: Final = 0.01
EXACT_UP_TO: Final = 3_000_000  # records: every value of a percentile is held in memory and sorted


def about(connection: Connection, plan: QueryPlan) -> int:
    """How many records a plan's range has, a little too many: the table's index tells it, without reading any."""
    times = RequestFilter(start=plan.filter.start, end=plan.filter.end)  # by these the table is sorted
    if connection.cluster is not None:  # there is no such estimate of several servers
        return int(connection.value(f"SELECT count() FROM {TABLE}{where(times)}{ALONE}"))  # noqa: S608 -- names are ours
    estimate = f"EXPLAIN ESTIMATE SELECT timestamp FROM {TABLE}{where(times)}{ALONE}"  # noqa: S608
    return sum(int(rows) for *_, rows, _ in connection.query(estimate))


class ClickHouseSource(OfEveryRecord):
    """``source.Source`` over ``completion_requests``: exact, of any plan."""

    us_per_record = 0.1  # of one core; it uses all that there are

    def __init__(self, connection: Connection, bound: ArrivalRange | None = None) -> None:
        """``bound``: plans are about records of this range alone, unless they have one of their own."""
        self._connection, self._bound = connection, bound

    def span(self) -> tuple[datetime, datetime] | None:
        """From the second of the oldest record to the one behind that of the newest."""
        second = f"SELECT intDiv(toUnixTimestamp64Micro(timestamp), 1000000) FROM {TABLE} WHERE {HAS_TIME}"  # noqa: S608
        ends = (f"({second} ORDER BY timestamp {order} LIMIT 1)" for order in ("ASC", "DESC"))
        found = [int(end) for end in self._connection.text(f"{' UNION ALL '.join(ends)}{ALONE}").split()]
        if not found:
            return None
        return datetime.fromtimestamp(min(found), UTC), datetime.fromtimestamp(max(found), UTC) + timedelta(seconds=1)

    @property
    def _percentiles(self) -> Percentiles:
        return exactly

    def read(self, plans: Sequence[QueryPlan]) -> list[SourceResult]:
        """One statement for all. Raises ``StoreError``, and ``QueryError`` if a plan has over ``MAX_GROUPS``."""
        bounded = [plan if plan.arrived else replace(plan, arrived=self._bound) for plan in plans]
        return results(
            bounded, self._connection.text(statement(bounded, MAX_GROUPS, lambda: OfRecords(self._percentiles)))
        )


class SketchedSource(ClickHouseSource):
    """The same with percentiles within ``RELATIVE_ERROR``, for more records than exact ones are worth."""

    relative_error = RELATIVE_ERROR

    @property
    def _percentiles(self) -> Percentiles:
        return sketched(RELATIVE_ERROR)

    def span(self) -> None:
        """It has no record that the exact one has not."""

    def is_worth_it(self, plan: QueryPlan) -> bool:
        """Whether percentiles are asked for, of that many records."""
        if not plan.needs.quantiles or plan.arrived is not None:
            return False
        return about(self._connection, plan) > EXACT_UP_TO

    def describe(self, plan: QueryPlan) -> str:  # noqa: ARG002
        """It reads the same of every plan."""
        return f"records: every one of the range; percentiles within {RELATIVE_ERROR:.0%}"
