"""The metrics of a query, one row each: name, unit, meaning, what it needs to know of a group, and how it follows.

Two kinds of names: those of ``NAMED``, and ``<column>.<statistic>`` for every column of ``FIELDS``, such as
``response_time_ms.p95``. A metric never reads records itself: a source gives counts and moments (see ``source``), so
that records and roll-ups answer by the same formulas.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from llm_metrics_proxy.analytics.metrics import BUSY_TIMES, BYTES, COSTS, DISTRIBUTIONS, TOKEN_SUMS
from llm_metrics_proxy.analytics.source import Aggregates, Needs
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.errors import QueryError

# Their bare name means the sum.
SUMS: Final = {metric.name: metric for metric in (*TOKEN_SUMS, *COSTS, *BYTES, *BUSY_TIMES)}
FIELDS: Final[dict[str, Column]] = {metric.name: metric for metric in DISTRIBUTIONS} | SUMS

Value = tuple[float | None, int]  # the number, and of how many records it is


class Measure(NamedTuple):
    """One metric. ``value`` takes a group and the seconds of the range that the group is about; ``out_of`` counts the
    records that could have it, of which coverage is a share. ``holds``: integer or number, whatever the records are."""

    name: str
    unit: str
    meaning: str
    needs: Needs
    value: Callable[[Aggregates, float], Value]
    out_of: Callable[[Aggregates], int] = lambda group: group.count("requests")
    holds: str = "number"


def _requests(group: Aggregates, _: float) -> Value:
    requests = group.count("requests")
    return requests, requests


def _share_of_ended(name: str) -> Callable[[Aggregates, float], Value]:
    def share(group: Aggregates, _: float) -> Value:
        ended = group.count("succeeded") + group.count("failed")
        return (group.count(name) / ended if ended else None), ended

    return share


def _requests_per_second(group: Aggregates, seconds: float) -> Value:
    requests = group.count("requests")
    return (requests / seconds if seconds > 0 else None), requests


def _concurrency_mean(group: Aggregates, seconds: float) -> Value:
    open_ms = group.moments("response_time_ms")
    return (open_ms.sum / 1000 / seconds if open_ms.sum is not None and seconds > 0 else None), open_ms.n


def _concurrency_max(group: Aggregates, _: float) -> Value:
    return group.peak(), group.moments("response_time_ms").n


def _goodput(group: Aggregates, _: float) -> Value:
    requests = group.count("requests")
    return (group.count("good") / requests if requests else None), requests


def _over(column: str, per: str, times: float = 1) -> Callable[[Aggregates, float], Value]:
    """The sum of one column over that of another, which the same records have. Roll-ups of days whose records are gone
    may lack a column that came later: then the two are about other records, and the ratio is not known."""

    def ratio(group: Aggregates, _: float) -> Value:
        above, below = group.moments(column), group.moments(per)
        is_known = above.sum is not None and below.sum and above.n == below.n
        return (above.sum * times / below.sum if is_known else None), above.n  # type: ignore[operator]

    return ratio


def _per_request(times: int) -> Callable[[Aggregates, float], Value]:
    def cost(group: Aggregates, _: float) -> Value:
        moments = group.moments("cost_usd")
        return (moments.sum * times / moments.n if moments.sum is not None and moments.n else None), moments.n

    return cost


def _per_session(group: Aggregates, _: float) -> Value:
    cost, sessions = group.moments("session_cost_usd"), group.count("priced_sessions")
    return (cost.sum / sessions if cost.sum is not None and sessions else None), cost.n


_COST: Final = Needs(moments=frozenset({"cost_usd"}))
_ENDED: Final = Needs(counts=frozenset({"succeeded", "failed"}))
_OPEN: Final = Needs(moments=frozenset({"response_time_ms"}))

_ROWS: Final = (
    Measure("requests", "requests", "records selected", Needs(), _requests, holds="integer"),
    Measure("success_rate", "", "completed / (completed + failed), 0 to 1", _ENDED, _share_of_ended("succeeded")),
    Measure("error_rate", "", "failed / (completed + failed), 0 to 1", _ENDED, _share_of_ended("failed")),
    Measure(
        "requests_per_second",
        "requests/s",
        "requests that began / seconds of the range, bucket, hours or weekdays that they are grouped by",
        Needs(),
        _requests_per_second,
    ),
    Measure(
        "concurrency_mean",
        "requests",
        "sum of response_time_ms of the requests that began in the range / its length (Little's law)",
        _OPEN,
        _concurrency_mean,
    ),
    Measure(
        "concurrency_max",
        "requests",
        "most requests open at once, of those that began in the range and have one value of every dimension but time; "
        "counted whenever one begins",
        Needs(moments=frozenset({"response_time_ms"}), peak=True),
        _concurrency_max,
        holds="integer",
    ),
    Measure(
        "goodput",
        "",
        "completed requests that meet every SLO given / all requests, 0 to 1; what lacks the value meets none",
        Needs(counts=frozenset({"good"})),
        _goodput,
    ),
    Measure(
        "cache_hit_ratio",
        "",
        "sum of cached_tokens / sum of prompt_tokens, 0 to 1, of records that report cached_tokens (at most "
        "prompt_tokens); coverage: their share of those with prompt tokens",
        Needs(moments=frozenset({"cache_hit_tokens", "cache_prompt_tokens", "prompt_tokens"})),
        _over("cache_hit_tokens", "cache_prompt_tokens"),
        lambda group: max(group.moments("prompt_tokens").n, group.moments("cache_hit_tokens").n),
    ),
    Measure(
        "cost_per_request_usd",
        "USD",
        "sum of cost_usd / requests, of those whose cost is known",
        _COST,
        _per_request(1),
    ),
    Measure(
        "cost_per_1000_requests_usd",
        "USD",
        "1,000 * sum of cost_usd / requests, of those whose cost is known",
        _COST,
        _per_request(1000),
    ),
    Measure(
        "cost_per_mtok_usd",
        "USD",
        "1,000,000 * sum of cost_usd / sum of total_tokens, of requests whose cost is known",
        Needs(moments=frozenset({"cost_usd", "priced_tokens"})),
        _over("cost_usd", "priced_tokens", 1_000_000),
    ),
    Measure(
        "cost_per_session_usd",
        "USD",
        "sum of cost_usd / different sessions, of requests that name a session and whose cost is known",
        Needs(counts=frozenset({"priced_sessions"}), moments=frozenset({"session_cost_usd"})),
        _per_session,
    ),
)


def _moment(column: str, statistic: str) -> Callable[[Aggregates, float], Value]:
    def read(group: Aggregates, _: float) -> Value:
        moments = group.moments(column)
        if statistic == "mean":
            return (moments.sum / moments.n if moments.sum is not None and moments.n else None), moments.n
        value: float | None = moments.n if statistic == "count" else getattr(moments, statistic)
        return value, moments.n

    return read


def _quantile(column: str, fraction: float) -> Callable[[Aggregates, float], Value]:
    def read(group: Aggregates, _: float) -> Value:
        moments = group.moments(column)
        return moments.quantile(fraction), moments.n

    return read


STATISTICS: Final = {
    "mean": "arithmetic mean",
    "min": "smallest",
    "max": "largest",
    "sum": "sum",
    "count": "records that have the value",
}
_PERCENTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?)", re.ASCII)
NAMED: Final[dict[str, Measure]] = {row.name: row for row in _ROWS} | {
    name: Measure(
        name,
        metric.unit,
        f"sum of: {metric.meaning}",
        Needs(moments=frozenset({name})),
        _moment(name, "sum"),
        holds=metric.kind.holds,
    )
    for name, metric in SUMS.items()
}
_PERCENTILES_SHOWN: Final = ("p50", "p95", "p99")


def measure(name: str, parameter: str = "metrics") -> Measure:
    """The metric of this name. Raises ``QueryError`` that names ``parameter`` and what may have been meant."""
    if name in NAMED:
        return NAMED[name]
    column, dot, statistic = name.partition(".")
    if column not in FIELDS:
        raise QueryError(parameter, unknown("metric", column, dict.fromkeys((*NAMED, *FIELDS))))
    if not dot:
        raise QueryError(parameter, f"{column} needs a statistic, such as {column}.mean or {column}.p95")
    metric, unit = FIELDS[column], FIELDS[column].unit
    if statistic in STATISTICS:
        unit = "requests" if statistic == "count" else unit
        extremes = frozenset({column}) if statistic in {"min", "max"} else frozenset()
        meaning, needs = STATISTICS[statistic], Needs(moments=frozenset({column}), extremes=extremes)
        holds = {"count": "integer", "mean": "number"}.get(statistic, metric.kind.holds)
        return Measure(name, unit, f"{meaning} of: {metric.meaning}", needs, _moment(column, statistic), holds=holds)
    percentile = _PERCENTILE.fullmatch(statistic)
    if percentile is None or not 0.1 <= float(percentile[1]) <= 99.9:
        known = (*STATISTICS, *_PERCENTILES_SHOWN)
        raise QueryError(
            parameter, f"{unknown(f'statistic of {column}', statistic, known)} (percentiles run from p0.1 to p99.9)"
        )
    fraction = round(float(percentile[1]) / 100, 6)
    needs = Needs(moments=frozenset({column}), quantiles=frozenset({(column, fraction)}))
    return Measure(name, unit, f"percentile {percentile[1]} of: {metric.meaning}", needs, _quantile(column, fraction))
