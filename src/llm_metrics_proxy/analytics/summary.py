"""All numbers about a set of records, in one answer, from one snapshot. Missing is ``None``, never 0.

Three plans give them, from roll-ups or from records. Of records they take two passes, one over the values and one that
only counts: 2.8 s of one core for a million, of which 1.3 s are percentiles.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics.exact import finite
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.measures import measure
from llm_metrics_proxy.analytics.metrics import COST, DISTRIBUTIONS, KEPT_TOKEN_SUMS, PERCENTILES, SAVINGS
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.rows import described
from llm_metrics_proxy.analytics.source import Aggregates, ColumnStats, Needs, QueryPlan
from llm_metrics_proxy.analytics.sources import pruned_before, source_for
from llm_metrics_proxy.analytics.versions import by_name
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import Outcome

MAX_ERROR_TYPES: Final = 100  # servers choose these words: an answer stays small whatever they choose


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over ``n`` records that have it; with ``n`` = 0 all else is ``None``.

    Percentiles interpolate linearly between the two nearest values (SQL's ``percentile_cont``), or are within
    ``Summary.relative_error`` of that.
    """

    unit: str
    n: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class TokenSum(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens added up over the ``n`` records whose server reported them; ``None`` if none did."""

    n: int
    sum: int | None


class CostSum(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars over the ``n`` records whose cost is known; ``None`` if none is."""

    n: int
    sum: float | None


class CacheSums(msgspec.Struct, frozen=True, kw_only=True):
    """What prompt caches did, over the ``n`` records whose server reports cached tokens."""

    n: int
    hit_ratio: float | None  # cached tokens / prompt tokens of these, 0 to 1
    coverage: float | None  # these / records with prompt tokens
    savings_usd: CostSum  # below 0: writing cost more than reading saved


class ErrorCount(msgspec.Struct, frozen=True, kw_only=True):
    """``n`` records that ended like this; ``error_type`` is ``None`` where there was no word for it, ``outcome`` in
    failed records of older programs, which kept none."""

    outcome: str | None
    error_type: str | None
    n: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the selected records amount to. Missing is ``None``, never 0.

    Records of older programs may lack anything: neither ``streamed`` and ``not_streamed`` nor ``succeeded`` and
    ``failed`` need add up to ``requests``.
    """

    app_version: str  # whose formulas and definitions these numbers follow
    filter: RequestFilter
    source: str  # records; both: roll-ups, and records where those end
    relative_error: float  # of percentiles; 0: exact
    pruned_before: datetime | None  # records of the range from before were deleted, and this answer lacks them
    first_timestamp: str | None  # of the oldest and newest record selected that is left: the range actually covered
    last_timestamp: str | None
    requests: int
    streamed: int
    not_streamed: int
    succeeded: int
    failed: int
    success_rate: float | None  # succeeded / (succeeded + failed), 0 to 1
    outcomes: dict[str, int]  # every outcome that occurred; "(none)": records that do not say
    errors: list[ErrorCount]  # the most frequent first, at most MAX_ERROR_TYPES
    further_errors: int  # records of errors that the list had no room for
    distributions: dict[str, Distribution]
    tokens: dict[str, TokenSum]
    cost_usd: CostSum  # as priced when they were stored
    cache: CacheSums
    app_versions: dict[str, int]  # records by the version whose formulas calculated their derived columns
    history: History | None = None  # older records that are not counted here yet; null: none is missing


_NAMES: Final = [metric.name for metric in (*KEPT_TOKEN_SUMS, COST, SAVINGS, *DISTRIBUTIONS)]
_HITS: Final = measure("cache_hit_ratio")
_TOTALS: Final = _HITS.needs | Needs(
    counts=frozenset({"succeeded", "failed"}),
    moments=frozenset(_NAMES),
    quantiles=frozenset((metric.name, fraction) for metric in DISTRIBUTIONS for fraction in PERCENTILES),
    times=frozenset({"oldest", "newest"}),
)


def summarise(records: Records, selection: RequestFilter) -> Summary:
    """Raises ``StoreError``."""
    plans = (
        QueryPlan(filter=selection, needs=_TOTALS),
        QueryPlan(filter=selection, group_by=("streaming",)),
        QueryPlan(filter=selection, group_by=("outcome", "error_type"), needs=Needs(counts=frozenset({"failed"}))),
    )
    sources = records.sources()
    source = source_for(sources, plans)
    totals, by_streaming, by_end = source.read(plans)
    ((_, whole),) = totals.groups
    times = totals.times.get((), {})
    streamed = {key: group.count("requests") for (key,), group in by_streaming.groups}
    ended = [(outcome, error_type, group) for (outcome, error_type), group in by_end.groups]
    succeeded, failed = whole.count("succeeded"), whole.count("failed")
    errors = errors_of(
        counted
        for outcome, error_type, group in ended
        for counted in (
            (outcome, error_type, True, group.count("failed")),
            (outcome, error_type, False, group.count("requests") - group.count("failed")),
        )
    )
    cost = whole.moments(COST.name)
    return Summary(
        app_version=APP_VERSION,
        filter=selection,
        source=source.name,
        relative_error=source.relative_error,
        pruned_before=pruned_before(sources, source, [selection.start or datetime.fromtimestamp(0, UTC)]),
        first_timestamp=times.get("oldest"),
        last_timestamp=times.get("newest"),
        requests=whole.count("requests"),
        streamed=streamed.get(1, 0),
        not_streamed=streamed.get(0, 0),
        succeeded=succeeded,
        failed=failed,
        success_rate=succeeded / (succeeded + failed) if succeeded + failed else None,
        outcomes=outcomes_of((outcome, group.count("requests")) for outcome, _, group in ended),
        errors=errors[:MAX_ERROR_TYPES],
        further_errors=sum(error.n for error in errors[MAX_ERROR_TYPES:]),
        distributions={metric.name: _distribution(metric.unit, whole.moments(metric.name)) for metric in DISTRIBUTIONS},
        tokens={metric.name: _tokens(whole.moments(metric.name)) for metric in KEPT_TOKEN_SUMS},
        cost_usd=CostSum(n=cost.n, sum=finite(cost.sum)),
        cache=_caches(whole),
        app_versions=by_name(totals.versions),
    )


def _caches(whole: Aggregates) -> CacheSums:
    ratio, n = _HITS.value(whole, 0)
    possible, savings = _HITS.out_of(whole), whole.moments(SAVINGS.name)
    return CacheSums(
        n=n,
        hit_ratio=ratio,
        coverage=n / possible if possible else None,
        savings_usd=CostSum(n=savings.n, sum=finite(savings.sum)),
    )


def _tokens(stats: ColumnStats) -> TokenSum:
    return TokenSum(n=stats.n, sum=None if stats.sum is None else int(stats.sum))


def _distribution(unit: str, stats: ColumnStats) -> Distribution:
    mean = stats.sum / stats.n if stats.sum is not None and stats.n else None
    p50, p95, p99 = (finite(stats.quantile(fraction)) for fraction in PERCENTILES)
    return Distribution(unit=unit, n=stats.n, mean=finite(mean), p50=p50, p95=p95, p99=p99)


def outcomes_of(counted: Iterable[tuple[Any, int]]) -> dict[str, int]:
    """Records by stored outcome, the most frequent first."""
    counts: Counter[str] = Counter()
    for outcome, n in counted:
        counts[described(outcome)] += n
    return dict(counts.most_common())


def errors_of(counted: Iterable[tuple[Any, Any, Any, int]]) -> list[ErrorCount]:
    """Of records by outcome, error type and whether they failed those that are errors, the most frequent first."""
    counts: Counter[tuple[str | None, str | None]] = Counter()
    for outcome, error_type, failed, n in counted:
        if n and (failed or outcome not in (Outcome.COMPLETED, None) or error_type is not None):
            counts[_word(outcome), _word(error_type)] += n
    return [ErrorCount(outcome=key[0], error_type=key[1], n=n) for key, n in counts.most_common()]


def _word(value: Any) -> str | None:
    return None if value is None else described(value)
