"""What arrived since the last look: the records themselves, as many as a person can follow, and sums over all of them.

A record is stored when its request ends, and gets its host's next arrival, so a look begins where the last one ended.
What a look costs is bounded: of many records the newest ``limit`` are read in full and the others only added up, inside
the engine. Twenty thousand a second would otherwise be turned into text for nobody.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.metrics import COST, TOKEN_SUMS
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.rows import item
from llm_metrics_proxy.analytics.source import ColumnStats, Needs, QueryPlan
from llm_metrics_proxy.record import ALL_COLUMNS

LOOK_BACK: Final = 50_000  # records of a host: how far a search for earlier ones goes; some 25 ms
_Number = TypeVar("_Number", int, float)
_NAMES: Final = tuple(metric.name for metric in TOKEN_SUMS)
_SUMS: Final = Needs(counts=frozenset({"succeeded", "failed"}), moments=frozenset((*_NAMES, COST.name)))


class Sums(NamedTuple):
    """Over some records. ``tokens``: by name, over how many records that report them, and the sum (``None``: of none);
    ``cost_usd`` likewise, over those whose cost is known.

    Neither need ``succeeded`` and ``failed`` add up to ``requests``: older programs did not always say.
    """

    requests: int = 0
    succeeded: int = 0
    failed: int = 0
    tokens: Mapping[str, tuple[int, int | None]] = dict.fromkeys(_NAMES, (0, None))
    cost_usd: tuple[int, float | None] = (0, None)

    def plus(self, other: "Sums") -> "Sums":
        """Over the records of both."""
        tokens = {
            name: (n + other.tokens[name][0], _added(total, other.tokens[name][1]))
            for name, (n, total) in self.tokens.items()
        }
        cost_usd = (self.cost_usd[0] + other.cost_usd[0], _added(self.cost_usd[1], other.cost_usd[1]))
        return Sums(
            self.requests + other.requests,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            tokens,
            cost_usd,
        )


def _added(one: _Number | None, other: _Number | None) -> _Number | None:
    return other if one is None else one if other is None else one + other


class Arrived(NamedTuple):
    """The selected records of the range ``within``; of more than the limit, ``records`` are the newest.

    ``records``: as ``rows.item`` shows them, in the order of arrival. ``sums`` are over all of them.
    """

    within: ArrivalRange
    records: list[dict[str, Any]]
    sums: Sums


def arrived(records: Records, selection: RequestFilter, within: ArrivalRange, limit: int) -> Arrived:
    """Raises ``StoreError``."""
    plan = QueryPlan(filter=selection, needs=_SUMS, arrived=within, by_version=False)
    ((((_, found),), *_),) = records.sources()[-1].read([plan])
    requests, succeeded, failed = (found.count(name) for name in ("requests", "succeeded", "failed"))
    tokens = {name: _sum(found.moments(name)) for name in _NAMES}
    sums = Sums(requests, succeeded, failed, tokens, _sum(found.moments(COST.name)))
    return Arrived(within, _newest(records, selection, within, limit) if requests and limit else [], sums)


def _sum(stats: ColumnStats) -> tuple[int, Any]:
    return stats.n, stats.sum


def earlier(records: Records, selection: RequestFilter, through: Arrivals, limit: int) -> list[dict[str, Any]]:
    """The newest ``limit`` selected records up to ``through``, in the order of arrival; sought among the last
    ``LOOK_BACK`` of each host only, so that a rare model does not cost a walk over all records. Raises ``StoreError``.
    """
    return _newest(records, selection, ArrivalRange(through.less(LOOK_BACK), through), limit)


def _newest(records: Records, selection: RequestFilter, within: ArrivalRange, limit: int) -> list[dict[str, Any]]:
    return [item(row) for row in records.arrived(selection, ALL_COLUMNS, within, limit, newest=True)]
