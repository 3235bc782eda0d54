"""A summary from roll-ups: as fast for ten million records as for ten thousand, percentiles within 1 %."""

from math import isfinite
from typing import Final

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.metrics import COST, DISTRIBUTIONS, PERCENTILES, TOKEN_SUMS
from llm_metrics_proxy.analytics.selection import DAY_S, better_than_records, every, extreme, plan_of, range_of
from llm_metrics_proxy.analytics.source import Aggregates, ColumnStats, Needs
from llm_metrics_proxy.analytics.summary_answer import (
    MAX_ERROR_TYPES,
    CostSum,
    Distribution,
    Summary,
    TokenSum,
    errors_of,
    outcomes_of,
)
from llm_metrics_proxy.analytics.versions import by_name, older_among
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.storage.base import Reader

_NAMES: Final = [metric.name for metric in (*TOKEN_SUMS, COST, *DISTRIBUTIONS)]
_ALL: Final = Needs(
    counts=frozenset({"succeeded", "failed"}),
    moments=frozenset(_NAMES),
    quantiles=frozenset((metric.name, fraction) for metric in DISTRIBUTIONS for fraction in PERCENTILES),
)
_FAILED: Final = Needs(counts=frozenset({"failed"}))


def summary_rolled_up(reader: Reader, selection: RequestFilter) -> Summary | None:
    """``None``: roll-ups do not know it, or records are as fast. Raises ``StoreError``.

    All counts and sums are of one snapshot; the oldest and newest time are looked up after it.
    """
    within = range_of(reader, selection)
    if within is None:
        return None
    days = every(DAY_S, *within)
    plans = [
        plan_of(selection, needs=_ALL),
        plan_of(selection, ("streaming",)),
        plan_of(selection, ("outcome", "error_type"), _FAILED),
        plan_of(selection, ("time",), buckets=days),
    ]
    source = better_than_records(reader, plans)
    if source is None:
        return None
    totals, by_streaming, by_outcome, by_day = source.read(plans)
    (whole,) = (group.partial for group in totals.groups)
    streamed = {group.key[0]: group.partial.count("requests") for group in by_streaming.groups}
    ended = [(*group.key, group.partial) for group in by_outcome.groups]
    with_records = sorted(
        group.key[0] for group in by_day.groups if group.key[0] is not None and _requests(group.partial)
    )
    succeeded, failed = whole.count("succeeded"), whole.count("failed")
    errors = errors_of(
        counted
        for outcome, error_type, one in ended
        for counted in (
            (outcome, error_type, True, one.count("failed")),
            (outcome, error_type, False, _requests(one) - one.count("failed")),
        )
    )
    return Summary(
        app_version=APP_VERSION,
        filter=selection,
        source=source.name,
        relative_error=source.relative_error,
        pruned_before=None,
        first_timestamp=extreme(reader, "min", selection, (days[place] for place in with_records)),
        last_timestamp=extreme(reader, "max", selection, (days[place] for place in reversed(with_records))),
        requests=_requests(whole),
        streamed=streamed.get(1, 0),
        not_streamed=streamed.get(0, 0),
        succeeded=succeeded,
        failed=failed,
        success_rate=succeeded / (succeeded + failed) if succeeded + failed else None,
        outcomes=outcomes_of((outcome, _requests(one)) for outcome, _, one in ended),
        errors=errors[:MAX_ERROR_TYPES],
        further_errors=sum(error.n for error in errors[MAX_ERROR_TYPES:]),
        distributions={metric.name: _distribution(metric.unit, whole.moments(metric.name)) for metric in DISTRIBUTIONS},
        tokens={metric.name: _tokens(whole.moments(metric.name)) for metric in TOKEN_SUMS},
        cost_usd=CostSum(n=whole.moments(COST.name).n, sum=_finite(whole.moments(COST.name).sum)),
        app_versions=by_name(totals.versions),
        older_records=older_among(totals.versions),
    )


def _requests(partial: Aggregates) -> int:
    return partial.count("requests")


def _tokens(moments: ColumnStats) -> TokenSum:
    return TokenSum(n=moments.n, sum=None if moments.sum is None else int(moments.sum))


def _distribution(unit: str, moments: ColumnStats) -> Distribution:
    mean = moments.sum / moments.n if moments.sum is not None and moments.n else None
    p50, p95, p99 = (_finite(moments.quantile(fraction)) for fraction in PERCENTILES)
    return Distribution(unit=unit, n=moments.n, mean=_finite(mean), p50=p50, p95=p95, p99=p99)


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
