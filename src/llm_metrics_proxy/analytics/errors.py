"""What went wrong: by category, type, phase, model, backend and over time, with examples and what to do.

An error is a record with an ``error_category``, which completed answers have too where they are flagged (category
``policy``). Records of older programs that failed and are not classified yet stand apart, in ``unclassified``: their
words mean something else.

All counts are from one snapshot. Only the range that its buckets cover, the examples and the retry advice are questions
of their own. Every count has its share of the requests it is a part of.

From records it takes 1.6 s of one core for a million, 5% of them errors: the work grows with the records selected, not
with those stored.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics.calendar import DAY_S, HOUR_S, TimeBucket, fixed_buckets, floor_s
from llm_metrics_proxy.analytics.error_answer import (
    MAX_MESSAGE_CHARS,
    BackendCount,
    Bucket,
    CategoryCount,
    Errors,
    Example,
    ModelCount,
    PhaseCount,
    TypeCount,
)
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.records import Only, Records
from llm_metrics_proxy.analytics.retry_advice import MAX_LIMITED, READ, advise
from llm_metrics_proxy.analytics.rows import described, items_of
from llm_metrics_proxy.analytics.source import Aggregates, Needs, QueryPlan, ResultGroup, Source, SourceResult
from llm_metrics_proxy.analytics.sources import pruned_before, source_for
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.wire.error_types import TAXONOMY

MAX_EXAMPLES: Final = 100
MAX_GROUPS: Final = 100  # clients choose models: an answer stays small whatever they choose
MAX_BUCKETS: Final = 61  # an hour by the minute, wherever in a minute it begins
WIDTHS_S: Final = (
    *(n * 60 for n in (1, 5, 10, 30)),
    *(n * HOUR_S for n in (1, 3, 6, 12)),
    *(n * DAY_S for n in (1, 7, 28)),
)  # what is longer still gets a multiple of the last
_LATEST_S: Final = int(datetime.max.replace(tzinfo=UTC).timestamp())
_ERRORS: Final = Needs(counts=frozenset({"errors"}))
_WHOLE: Final = Needs(times=frozenset({"oldest", "newest", "first_s", "last_s"}))
_TYPES: Final = Needs(counts=frozenset({"failed", "errors"}), times=frozenset({"newest_error"}))
_LISTS: Final[tuple[tuple[tuple[str, ...], Needs, int | None], ...]] = (
    (("error_category", "error_type"), _TYPES, None),
    (("error_phase",), _ERRORS, None),
    (("model",), _ERRORS, MAX_GROUPS),
    (("backend_name", "backend"), _ERRORS, MAX_GROUPS),
)
_ALL_LISTS: Final = tuple(name for names, *_ in _LISTS for name in names)


class ErrorsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records, and how many of the newest errors to show. Raises ``QueryError``."""

    filter: RequestFilter = RequestFilter()
    examples: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.examples <= MAX_EXAMPLES:
            raise QueryError("examples", f"examples must be from 0 to {MAX_EXAMPLES}; it is {self.examples}")


def width_for(oldest_s: int, newest_s: int) -> int:
    """The shortest width in seconds with which at most ``MAX_BUCKETS`` cover the range."""
    for width_s in WIDTHS_S:
        if (floor_s(newest_s, width_s) - floor_s(oldest_s, width_s)) // width_s < MAX_BUCKETS:
            return width_s
    longest_s = WIDTHS_S[-1]
    return longest_s * -(-(newest_s - oldest_s) // (longest_s * (MAX_BUCKETS - 1)))


def read_errors(records: Records, query: ErrorsQuery) -> Errors:
    """Raises ``StoreError``."""
    selection, sources = query.filter, records.sources()
    range_ = QueryPlan(filter=selection, needs=_WHOLE, by_version=False)
    plans = [
        QueryPlan(filter=selection, group_by=names, needs=needs, most_errors=most, adds_up_with=_ALL_LISTS)
        for names, needs, most in _LISTS
    ]
    source = source_for(sources, plans[:1])
    times = _times(source, range_)
    if source is not sources[-1] and "oldest" not in times:  # all of it was deleted
        source = sources[-1]
        times = _times(source, range_)
    width_s, buckets = _buckets(times.get("first_s"), times.get("last_s"))
    in_time = QueryPlan(filter=selection, group_by=("time",), needs=_ERRORS, buckets=buckets)
    by_bucket, by_type, by_phase, by_model, by_backend = source.read([in_time, *plans])  # numbers first: they sort fast
    requests, errors = (sum(group.count(name) for _, group in by_type.groups) for name in ("requests", "errors"))
    types = _ranked(by_type)
    counted: dict[str, list[Any]] = {
        "categories": _categories(types, requests),
        "types": [_type_count(one, by_type, requests) for one in types],
        "phases": [
            PhaseCount(phase=_word(key), n=n, share=_share(n, requests))
            for (key,), group in _ranked(by_phase)
            for n in [group.count("errors")]
        ],
        "models": [ModelCount(model=_word(key), **_counts(group)) for (key,), group in _ranked(by_model)],
        "backends": [
            BackendCount(backend_name=_word(name), backend=_word(address), **_counts(group))
            for (name, address), group in _ranked(by_backend)
        ],
    }
    shown: dict[str, Any] = {name: found[:MAX_GROUPS] for name, found in counted.items()}
    further = {name: errors - sum(one.n for one in found) for name, found in shown.items()}
    return Errors(
        app_version=APP_VERSION,
        filter=selection,
        source=source.name,
        pruned_before=pruned_before(sources, source, [selection.start or datetime.fromtimestamp(0, UTC)]),
        first_timestamp=times.get("oldest"),
        last_timestamp=times.get("newest"),
        requests=requests,
        errors=errors,
        share=_share(errors, requests),
        unclassified=sum(group.count("failed") for (category, _), group in by_type.groups if category is None),
        **shown,
        further_errors={name: n for name, n in further.items() if n},
        bucket_s=width_s,
        buckets=_in_time(buckets, by_bucket),
        retry=advise(_newest(records, selection, READ, MAX_LIMITED, Only.LIMITED)),
        examples=[_example(one) for one in _newest(records, selection, _SHOWN, query.examples, Only.ERRORS)],
    )


def _newest(
    records: Records, selection: RequestFilter, names: Sequence[str], limit: int, only: Only
) -> list[dict[str, Any]]:
    item = items_of(names)
    return [item(row) for row in records.page(selection, names, None, limit, only)] if limit else []


def _times(source: Source, plan: QueryPlan) -> Mapping[str, Any]:
    (result,) = source.read([plan])
    return result.times.get((), {})


def _buckets(first_s: int | None, last_s: int | None) -> tuple[int | None, tuple[TimeBucket, ...]]:
    """How long they are, and all of them; none if no time can be read."""
    if first_s is None or last_s is None:
        return None, ()
    width_s = width_for(first_s, last_s)
    seconds = (floor_s(first_s, width_s), min(floor_s(last_s, width_s) + width_s, _LATEST_S))
    return width_s, fixed_buckets(width_s, *(datetime.fromtimestamp(second, UTC) for second in seconds))


def _in_time(buckets: Sequence[TimeBucket], result: SourceResult) -> list[Bucket]:
    """Without gaps."""
    found = {place: group for (place,), group in result.groups}
    counted = ((bucket, found.get(place)) for place, bucket in enumerate(buckets))
    return [
        Bucket(start=bucket.start.replace(tzinfo=None).isoformat() + "Z", **_counts(group)) for bucket, group in counted
    ]


def _counts(group: Aggregates | None) -> dict[str, Any]:
    n, requests = (0, 0) if group is None else (group.count("errors"), group.count("requests"))
    return {"n": n, "requests": requests, "share": _share(n, requests)}


def _share(n: int, requests: int) -> float | None:
    return n / requests if requests else None


def _word(value: Any) -> str | None:
    return None if value is None else described(value)


def _ranked(result: SourceResult) -> list[ResultGroup]:
    """Those with errors, the most frequent first; equals by name, so that two answers have one order."""
    found = [one for one in result.groups if one.partial.count("errors")]
    return sorted(found, key=lambda one: (-one.partial.count("errors"), *map(described, one.key)))


def _categories(types: Iterable[ResultGroup], requests: int) -> list[CategoryCount]:
    counts: Counter[str] = Counter()
    for (category, _), group in types:
        counts[described(category)] += group.count("errors")
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [CategoryCount(category=name, n=n, share=_share(n, requests)) for name, n in ordered]


_EXPLAINED: Final = {(row.category, row.type): row for row in TAXONOMY}


def _type_count(one: ResultGroup, result: SourceResult, requests: int) -> TypeCount:
    explained, n = _EXPLAINED.get(one.key), one.partial.count("errors")
    return TypeCount(
        category=described(one.key[0]),
        type=_word(one.key[1]),
        n=n,
        share=_share(n, requests),
        newest=result.times.get(one.key, {}).get("newest_error"),
        meaning=explained.meaning if explained else None,
        advice=explained.advice if explained else None,
    )


_SHOWN: Final = ("error_message", *(name for name in Example.__struct_fields__ if name != "message"))


def _example(record: Mapping[str, Any]) -> Example:
    message = record["error_message"]
    if message is not None and len(message) > MAX_MESSAGE_CHARS:
        message = f"{message[: MAX_MESSAGE_CHARS - 1]}…"
    taken = {name: record[name] for name in Example.__struct_fields__ if name != "message"}
    return Example(message=message, **taken)
