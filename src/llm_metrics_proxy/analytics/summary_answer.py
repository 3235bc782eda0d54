"""The shape of a summary. Frozen values only; missing is ``None``, never 0."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.rows import described
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
    app_versions: dict[str, int]  # records by the version whose formulas calculated their derived columns
    older_records: dict[str, int]  # those of them whose formulas were replaced since: not comparable with the others


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
