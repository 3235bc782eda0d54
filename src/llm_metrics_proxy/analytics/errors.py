"""What went wrong: by category, type, phase, model, backend and over time, with examples and what to do.

An error is a record with an ``error_category``, which completed answers have too where they are flagged (category
``policy``). Records of older programs that failed and are not classified yet stand apart, in ``unclassified``: their
words mean something else.

All counts are from one snapshot: of roll-ups, or by one statement over the records selected. Only the range that its
buckets cover, the examples and the retry advice are questions of their own. Every count has its share of the requests
it is a part of.

From records it takes 2.0 s of one core for a million, 5% of them errors, and 0.23 s for a day of 43,000: the work grows
with the records selected, not with those stored.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

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
from llm_metrics_proxy.analytics.error_counts import (
    MAX_GROUPS,
    TOTAL,
    UNCLASSIFIED,
    Counted,
    Row,
    counted_by_rollups,
    width_for,
)
from llm_metrics_proxy.analytics.filters import UNIX_S, Clause, RequestFilter, where
from llm_metrics_proxy.analytics.requests import newest
from llm_metrics_proxy.analytics.retry_advice import LIMITED, MAX_LIMITED, advise
from llm_metrics_proxy.analytics.rows import columns_there, described, read, whole_table
from llm_metrics_proxy.analytics.selection import DAY_S, MONDAY_S, floor, lacks_before
from llm_metrics_proxy.analytics.versions import older_among
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.storage.base import Reader
from llm_metrics_proxy.wire.error_types import TAXONOMY

MAX_EXAMPLES: Final = 100


class ErrorsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records, and how many of the newest errors to show. Raises ``QueryError``."""

    filter: RequestFilter = RequestFilter()
    examples: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.examples <= MAX_EXAMPLES:
            raise QueryError("examples", f"examples must be from 0 to {MAX_EXAMPLES}; it is {self.examples}")


def read_errors(reader: Reader, query: ErrorsQuery) -> Errors:
    """Raises ``StoreError``."""
    counted = counted_by_rollups(reader, query.filter) or _counted(reader, query.filter)
    return _answer(reader, query, counted)


def _counted(reader: Reader, selection: RequestFilter) -> Counted:
    """From records."""
    names = columns_there(reader)
    clause = where(selection)
    table = whole_table(names)
    span = _span(reader, table, selection)
    width_s = None if span is None else width_for(*span)
    sql = _SQL.format(table=table, where=clause.sql, width=width_s or DAY_S, **names)
    rows = [Row(*row) for row in read(reader, sql, clause.parameters, columns=len(Row._fields))]
    return Counted(rows, span, width_s, pruned_before=lacks_before(reader, selection))


def _answer(reader: Reader, query: ErrorsQuery, found: Counted) -> Errors:
    rows, span, width_s = found.rows, found.span, found.width_s
    clause, names = where(query.filter), columns_there(reader)
    (totals,) = [row for row in rows if row.kind == TOTAL]
    counted: dict[str, list[Any]] = {
        "categories": _categories(rows, totals.requests),
        "types": [_type_count(row, totals.requests) for row in _ranked(rows, "type")],
        "phases": [_phase_count(row, totals.requests) for row in _ranked(rows, "phase")],
        "models": [_model_count(row) for row in _ranked(rows, "model")],
        "backends": [_backend_count(row) for row in _ranked(rows, "backend")],
    }
    shown = {name: found[:MAX_GROUPS] for name, found in counted.items()}
    further = {name: totals.n - sum(one.n for one in found) for name, found in shown.items()}
    wrong, limited = (
        _since(clause.also(condition.format(**names)), found.days_with(least, is_limited=is_limited))
        for condition, least, is_limited in ((_WRONG, query.examples, False), (LIMITED, MAX_LIMITED, True))
    )
    return Errors(
        app_version=APP_VERSION,
        filter=query.filter,
        source=found.source,
        pruned_before=found.pruned_before,
        first_timestamp=totals.oldest,
        last_timestamp=totals.newest,
        requests=totals.requests,
        errors=totals.n,
        share=_share(totals.n, totals.requests),
        unclassified=next(row.n for row in rows if row.kind == UNCLASSIFIED),
        older_records=older_among((row.key, row.requests) for row in rows if row.kind == "app_version"),
        **shown,
        further_errors={name: n for name, n in further.items() if n},
        bucket_s=width_s,
        buckets=[] if span is None or width_s is None else _buckets(rows, span, width_s),
        retry=advise(newest(reader, limited, MAX_LIMITED)),
        examples=[_example(record) for record in newest(reader, wrong, query.examples)] if query.examples else [],
    )


_WRONG: Final = "{error_category} IS NOT NULL"
_IS_TIME: Final = "timestamp >= '0000-' AND timestamp < ':'"  # what a time begins with; see filters


_WRONGS: Final = "count(*) FILTER (WHERE wrong)"
_FAILED: Final = "count(*) FILTER (WHERE failed AND NOT wrong)"
_NEWEST: Final = f"max(timestamp) FILTER (WHERE {_IS_TIME})"
_OLDEST: Final = f"min(timestamp) FILTER (WHERE {_IS_TIME})"
_MOST: Final = f"HAVING n > 0 ORDER BY n DESC LIMIT {MAX_GROUPS}"
_BUCKET: Final = f"unix_s - ((unix_s - {MONDAY_S}) % {{width}} + {{width}}) % {{width}}"
# Kind, keys, n, oldest, newest, and what follows the table's name.
_GROUPS: Final = (
    (TOTAL, "NULL", "NULL", _WRONGS, _OLDEST, _NEWEST, ""),
    (UNCLASSIFIED, "NULL", "NULL", _FAILED, "NULL", "NULL", ""),
    ("app_version", "app_version", "NULL", _WRONGS, "NULL", "NULL", "GROUP BY app_version"),
    ("type", "category", "type", _WRONGS, "NULL", _NEWEST, "WHERE wrong GROUP BY category, type"),
    ("phase", "phase", "NULL", _WRONGS, "NULL", "NULL", "WHERE wrong GROUP BY phase"),
    ("model", "model", "NULL", _WRONGS, "NULL", "NULL", f"GROUP BY model {_MOST}"),
    ("backend", "backend_name", "backend", _WRONGS, "NULL", "NULL", f"GROUP BY backend_name, backend {_MOST}"),
    ("bucket", f"{_BUCKET} AS start", "NULL", _WRONGS, "NULL", "NULL", "WHERE unix_s IS NOT NULL GROUP BY start"),
)


def _statement() -> str:
    """The SQL with names of columns, ``{table}``, ``{where}`` and ``{width}`` still to be filled in.

    The selected records are gone over once, into a table of the few values that matter; the groups come from that.
    """
    # S608: every name comes from our own list of columns; values only ever travel as parameters.
    chosen = (
        f"SELECT {_WRONG} AS wrong, success = 0 AS failed, timestamp, app_version, {{error_category}} AS category, "  # noqa: S608
        "{error_type} AS type, {error_phase} AS phase, model, backend, {backend_name} AS backend_name, "
        f"{UNIX_S} AS unix_s FROM {{table}}{{where}}"
    )
    groups = " UNION ALL ".join(
        f"SELECT * FROM (SELECT '{kind}', {key}, {second}, count(*), {n} AS n, {oldest}, {latest} FROM chosen {rest})"  # noqa: S608
        for kind, key, second, n, oldest, latest, rest in _GROUPS
    )
    return f"WITH chosen AS MATERIALIZED ({chosen}) {groups}"


_SQL: Final = _statement()


def _span(reader: Reader, table: str, selection: RequestFilter) -> tuple[int, int] | None:
    """Unix seconds of the oldest and newest record whose time can be read."""
    clause = where(selection)
    sql = f"SELECT min({UNIX_S}), max({UNIX_S}) FROM {table}{clause.sql}"  # noqa: S608
    ((oldest, latest),) = reader.query(sql, clause.parameters)
    return None if oldest is None else (oldest, latest)


def _buckets(rows: Iterable[Row], span: tuple[int, int], width_s: int) -> list[Bucket]:
    """Without gaps; one more where a record came between the look at the range and the count."""
    found = {row.key: row for row in rows if row.kind == "bucket"}
    starts = {*range(floor(span[0], width_s), span[1] + 1, width_s), *found}
    return [
        Bucket(
            start=datetime.fromtimestamp(start, UTC).replace(tzinfo=None).isoformat() + "Z",
            n=found[start].n if start in found else 0,
            requests=found[start].requests if start in found else 0,
            share=_share(found[start].n, found[start].requests) if start in found else None,
        )
        for start in sorted(starts)
    ]


def _since(clause: Clause, begin: str | None) -> Clause:
    """Where it is known that the newest of what is wanted are not older than that."""
    return clause if begin is None else clause.also("timestamp >= ?", begin)


def _share(n: int, requests: int) -> float | None:
    return n / requests if requests else None


def _word(value: Any) -> str | None:
    return None if value is None else described(value)


def _ranked(rows: Iterable[Row], kind: str) -> list[Row]:
    """The most frequent first; equals by name, so that two answers have one order."""
    of_kind = [row for row in rows if row.kind == kind]
    return sorted(of_kind, key=lambda row: (-row.n, described(row.key), described(row.second_key)))


def _categories(rows: Sequence[Row], requests: int) -> list[CategoryCount]:
    counts: Counter[str] = Counter()
    for row in _ranked(rows, "type"):
        counts[described(row.key)] += row.n
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [CategoryCount(category=name, n=n, share=_share(n, requests)) for name, n in ordered]


_EXPLAINED: Final = {(row.category, row.type): row for row in TAXONOMY}


def _type_count(row: Row, requests: int) -> TypeCount:
    explained = _EXPLAINED.get((row.key, row.second_key))
    return TypeCount(
        category=described(row.key),
        type=_word(row.second_key),
        n=row.n,
        share=_share(row.n, requests),
        newest=row.newest,
        meaning=explained.meaning if explained else None,
        advice=explained.advice if explained else None,
    )


def _phase_count(row: Row, requests: int) -> PhaseCount:
    return PhaseCount(phase=_word(row.key), n=row.n, share=_share(row.n, requests))


def _model_count(row: Row) -> ModelCount:
    return ModelCount(model=_word(row.key), n=row.n, requests=row.requests, share=_share(row.n, row.requests))


def _backend_count(row: Row) -> BackendCount:
    return BackendCount(
        backend_name=_word(row.key),
        backend=_word(row.second_key),
        n=row.n,
        requests=row.requests,
        share=_share(row.n, row.requests),
    )


def _example(record: Mapping[str, Any]) -> Example:
    message = record["error_message"]
    if message is not None and len(message) > MAX_MESSAGE_CHARS:
        message = f"{message[: MAX_MESSAGE_CHARS - 1]}…"
    taken = {name: record[name] for name in Example.__struct_fields__ if name != "message"}
    return Example(message=message, **taken)
