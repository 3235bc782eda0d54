"""Records of several hosts in one place, as an engine of many hosts shows them: a database for each."""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.records import Row
from llm_metrics_proxy.analytics.source import QueryPlan, ResultGroup, SourceResult
from tests.analytics.database import Database


class ManyHosts:
    """What the live stream asks of ``analytics.records.Records``."""

    def __init__(self, databases: dict[str, Database]) -> None:
        self._databases = dict(sorted(databases.items()))

    def newest(self) -> Arrivals:
        found = {host: one.records.newest().number for host, one in self._databases.items()}
        return Arrivals({host: number for host, number in found.items() if number})

    def arrived(
        self, selection: RequestFilter, names: Sequence[str], within: ArrivalRange, limit: int, *, newest: bool = False
    ) -> list[Row]:
        rows = [
            row
            for host, one in self._databases.items()
            for row in one.records.arrived(selection, names, _of(within, host), limit, newest=newest)
        ]
        if not newest:
            return rows[:limit]
        arrival = list(names).index("arrival")
        last = {id(row) for row in sorted(rows, key=lambda row: row[arrival])[-limit:]}
        return [row for row in rows if id(row) in last]

    def sources(self) -> Sequence["ManyHosts"]:
        return (self,)

    def read(self, plans: Sequence[QueryPlan]) -> Iterable[SourceResult]:
        (plan,) = plans
        assert plan.arrived is not None
        found: list[Any] = []
        for host, one in self._databases.items():
            of_host = QueryPlan(
                filter=plan.filter, needs=plan.needs, arrived=_of(plan.arrived, host), by_version=plan.by_version
            )
            ((((_, group),), *_),) = one.records.sources()[-1].read([of_host])
            found.append(group)
        yield SourceResult([ResultGroup((), reduce(lambda one, other: one.merged(other), found))], [])


def _of(within: ArrivalRange, host: str) -> ArrivalRange:
    return ArrivalRange(*(Arrivals.of_one_host(of_all.by_host.get(host, 0)) for of_all in within))
