"""What the numbers mean: the version of the formulas, the formulas, and the way from a record to a row.

Every row is stamped with the version whose formulas calculated it, so that when one changes, the rows before are
found and recomputed. A formula is frozen with its version: a change is a new entry in ``FORMULAS`` and a new MAJOR
version, never an edit. Versions without an entry calculate by the newest one before them.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from msgspec.structs import astuple
from semver import Version

from llm_metrics_proxy.record import (
    BY_FORMULA,
    DERIVED,
    RESTATED,
    ROW_COLUMNS,
    STREAM_TIMES,
    RequestRecord,
    UsageSource,
    is_fetch,
    was_streamed,
)
from llm_metrics_proxy.wire.error_taxonomy import (
    Classification,
    OutcomeFacts,
    Taxonomy,
    classify,
    taxonomy_of,
)

if TYPE_CHECKING:
    from llm_metrics_proxy.wire.facts import Usage

APP_VERSION: Final = "5.3.0"

Derived = tuple[float | str | None, ...]
Formula = Callable[[RequestRecord], Derived]
Value = str | int | float | None
Priced = tuple[float | None, str | None, float | None]  # cost, who said so, savings by caches: of ``record.PRICED``
NOT_PRICED: Final[Priced] = (None, None, None)


_KNOWN: Final = taxonomy_of(APP_VERSION)
_COMPLETED: Final = Classification("completed")
_PLAIN_ENDS: Final = frozenset({None, "stop", "length", "tool_calls"})


def judge(record: RequestRecord, known: Taxonomy = _KNOWN) -> Classification:
    """How the request ended, by the error types that are known. The same again for a record that was ``settled``."""
    if record.outcome == "completed" and record.error_type is None and record.finish_reason in _PLAIN_ENDS:
        return _COMPLETED  # almost all: what ``classify`` would say
    return classify(OutcomeFacts(*(getattr(record, name) for name in OutcomeFacts._fields)), known)


def settle(record: RequestRecord) -> Classification:
    """Put the counts, and the verdict in the place of the exchange's own words, in the record itself."""
    count_tokens(record)
    verdict = judge(record)
    record.outcome, record.success, record.error_type = verdict.outcome, verdict.outcome == "completed", verdict.type
    return verdict


@cache
def _reading() -> Callable[[str, str | None], "Usage | None"]:
    from llm_metrics_proxy.wire.token_counts import tokens_from  # noqa: PLC0415 -- verbs that store nothing load no readers

    return tokens_from


_REPORTED: Final = UsageSource.REPORTED  # an attribute of an enum is slow to look up
_NONE: Final = UsageSource.NONE


def count_tokens(record: RequestRecord) -> None:
    """Fill ``record.COUNTED`` from what the server reported. A record that says nothing of that keeps its own: it comes
    from a worker of 4.4 or before, which counted by itself."""
    reported = record.usage_reported
    if reported is None:
        return
    usage = _reading()(reported, record.dialect)
    if usage is None:
        return
    prompt, completion, total = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
    record.prompt_tokens, record.completion_tokens, record.total_tokens = prompt, completion, total
    record.cached_tokens, record.reasoning_tokens = usage.cached_tokens, usage.reasoning_tokens
    record.cache_write_tokens, record.upstream_cost_usd = usage.cache_write_tokens, usage.cost_usd
    record.cache_write_5m_tokens = usage.cache_write_5m_tokens
    record.cache_write_1h_tokens = usage.cache_write_1h_tokens
    record.usage_rejected = usage.rejected
    record.usage_source = _NONE if prompt is None and completion is None and total is None else _REPORTED


def _derive_2_0_0(record: RequestRecord, _known: Taxonomy) -> Derived:
    """``tokens_per_second``: all tokens, the prompt's too, over the whole response time.

    None where an answer was only fetched, as here and below: it was made in another request's time. Records that fetch
    exist from 4.5.0 on, so no result of a version before is another one.
    """
    tokens, duration_ms = record.total_tokens, record.response_time_ms
    if tokens is None or duration_ms is None or tokens <= 0 or not duration_ms > 0 or is_fetch(record):
        return (None,)
    return (tokens * 1000 / duration_ms,)


def _derive_3_0_0(record: RequestRecord, known: Taxonomy) -> Derived:
    """``tokens_per_second`` as before; category, phase, success, outcome and type by the taxonomy."""
    verdict = judge(record, known)
    success = verdict.outcome == "completed"
    return (*_derive_2_0_0(record, known), verdict.category, verdict.phase, success, verdict.outcome, verdict.type)


def _derive_4_0_0(record: RequestRecord, known: Taxonomy) -> Derived:
    """As before, and how fast tokens came: a time for each after the first, and its inverse. Streams alone have them.

    The first token is left out of both, since the time before it is the prompt's. None where no time passed between
    the first and the last, or where that is nonsense.
    """
    first, output, last = record.time_to_first_token_ms, record.time_to_first_output_ms, record.time_to_last_token_ms
    if not was_streamed(record):
        first = output = last = None
    per_token = per_second = None
    tokens = None if is_fetch(record) else record.completion_tokens
    if first is not None and last is not None and tokens is not None and tokens >= 2 and first >= 0:
        generating_ms, after_first = last - first, float(tokens - 1)
        if 0 < generating_ms < inf and (rate := after_first * 1000.0 / generating_ms) < inf:
            per_token, per_second = generating_ms / after_first, rate
    return (*_derive_3_0_0(record, known), per_token, per_second, first, output, last)


# Each gives the values of ``record.BY_FORMULA``, in that order, as many as its version knew.
FORMULAS: Final[dict[str, Callable[[RequestRecord, Taxonomy], Derived]]] = {
    "2.0.0": _derive_2_0_0,
    "3.0.0": _derive_3_0_0,
    "4.0.0": _derive_4_0_0,
    "5.0.0": _derive_4_0_0,  # what it calculates with is counted again, see `migrate_to_version_5_0_0`
}


def formula_of(version: str) -> Formula:
    """The formula of any version from 2.0.0 on, with the error types that it knows."""
    calculate = FORMULAS[max((each for each in FORMULAS if Version.parse(version) >= each), key=Version.parse)]
    known = taxonomy_of(version)
    return lambda record: calculate(record, known)


derive: Final = formula_of(APP_VERSION)
_IN_ROW: Final = itemgetter(*(BY_FORMULA.index(column.name) for column in DERIVED))
# Columns of the record that a formula has its own values for: place in a row, place among the formula's.
_REPLACED: Final = tuple(
    (ROW_COLUMNS.index(name), place) for place, name in enumerate(BY_FORMULA) if name in (*RESTATED, *STREAM_TIMES)
)


def to_columns(
    records: Sequence[RequestRecord], priced: Iterable[Priced], backend_busy_ms: Iterable[float | None]
) -> list[tuple[Value, ...]]:
    """Derive, stamp and price some records: their values by column, in the order of ``record.ROW_COLUMNS``."""
    derived = list(zip(*map(derive, records), strict=True))
    columns: list[tuple[Value, ...]] = [
        *zip(*map(astuple, records), strict=True),
        *_IN_ROW(derived),
        (APP_VERSION,) * len(records),
        *zip(*priced, strict=True),
        tuple(backend_busy_ms),
    ]
    for place, of in _REPLACED:
        columns[place] = derived[of]
    return columns


def to_row(
    record: RequestRecord, priced: Priced = NOT_PRICED, backend_busy_ms: float | None = None
) -> tuple[Value, ...]:
    """The same of one record."""
    return tuple(value for (value,) in to_columns([record], [priced], [backend_busy_ms]))
