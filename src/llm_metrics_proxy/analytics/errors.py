"""What went wrong: by category, type, phase, model, backend and over time, with examples and what to do.

An error is a record with an ``error_category``, which completed answers have too where they are flagged (category
``policy``). Records of older programs that failed and are not classified yet stand apart, in ``unclassified``: their
words mean something else.

All counts are from one statement and so from one snapshot; only the range that its buckets cover, the examples and the
retry advice are questions of their own. Every count has its share of the requests it is a part of.

Measured on a million records, 5% of them errors, all selected: 2.0 s on one core (the summary of the same takes 1.9 s);
a day of 43,000 records takes 0.23 s. The work grows with the records selected, not with those stored.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

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
from llm_metrics_proxy.analytics.filters import RequestFilter, where
from llm_metrics_proxy.analytics.requests import newest
from llm_metrics_proxy.analytics.retry_advice import LIMITED, MAX_LIMITED, advise
from llm_metrics_proxy.analytics.rows import columns_there, described, read, whole_table
from llm_metrics_proxy.analytics.versions import older_among
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.storage.base import Reader
from llm_metrics_proxy.wire.error_taxonomy import TAXONOMY

MAX_EXAMPLES: Final = 100
MAX_GROUPS: Final = 100  # clients choose models: an answer stays small whatever they choose
MAX_BUCKETS: Final = 61  # an hour by the minute, wherever in a minute it begins
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
WIDTHS_S: Final = (
    *(n * _MINUTE_S for n in (1, 5, 10, 30)),
    *(n * _HOUR_S for n in (1, 3, 6, 12)),
    *(n * _DAY_S for n in (1, 7, 28)),
)  # what is longer still gets a multiple of the last
_MONDAY_S: Final = 4 * _DAY_S  # 5 January 1970: weeks begin on Mondays, and all that is shorter divides it


class ErrorsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records, and how many of the newest errors to show. Raises ``QueryError``."""

    filter: RequestFilter = RequestFilter()
    examples: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.examples <= MAX_EXAMPLES:
            raise QueryError("examples", f"examples must be from 0 to {MAX_EXAMPLES}; it is {self.examples}")


def read_errors(reader: Reader, query: ErrorsQuery) -> Errors:
    """Raises ``StoreError``."""
    names = columns_there(reader)
    clause = where(query.filter)
    table = whole_table(names)
    span = _span(reader, table, query.filter)
    width_s = None if span is None else width_for(*span)
    sql = _SQL.format(table=table, where=clause.sql, width=width_s or _DAY_S, **names)
    rows = [_Row(*row) for row in read(reader, sql, clause.parameters, columns=len(_Row._fields))]

    (totals,) = [row for row in rows if row.kind == _TOTAL]
    counted: dict[str, list[Any]] = {
        "categories": _categories(rows, totals.requests),
        "types": [_type_count(row, totals.requests) for row in _ranked(rows, "type")],
        "phases": [_phase_count(row, totals.requests) for row in _ranked(rows, "phase")],
        "models": [_model_count(row) for row in _ranked(rows, "model")],
        "backends": [_backend_count(row) for row in _ranked(rows, "backend")],
    }
    shown = {name: found[:MAX_GROUPS] for name, found in counted.items()}
    further = {name: totals.n - sum(one.n for one in found) for name, found in shown.items()}
    wrong, limited = (clause.also(condition.format(**names)) for condition in (_WRONG, LIMITED))
    return Errors(
        app_version=APP_VERSION,
        filter=query.filter,
        first_timestamp=totals.oldest,
        last_timestamp=totals.newest,
        requests=totals.requests,
        errors=totals.n,
        share=_share(totals.n, totals.requests),
        unclassified=next(row.n for row in rows if row.kind == _UNCLASSIFIED),
        older_records=older_among((row.key, row.requests) for row in rows if row.kind == "app_version"),
        **shown,
        further_errors={name: n for name, n in further.items() if n},
        bucket_s=width_s,
        buckets=[] if span is None or width_s is None else _buckets(rows, span, width_s),
        retry=advise(newest(reader, limited, MAX_LIMITED)),
        examples=[_example(record) for record in newest(reader, wrong, query.examples)] if query.examples else [],
    )


class _Row(NamedTuple):
    """One group of the statement: what it is a group by, its key, and what it has."""

    kind: str
    key: Any
    second_key: Any
    requests: int
    n: int
    oldest: str | None
    newest: str | None


_TOTAL: Final = "total"
_UNCLASSIFIED: Final = "unclassified"
_WRONG: Final = "{error_category} IS NOT NULL"
# An adopted file may hold anything as a timestamp: numbers are no times, and SQLite would read '12' as a Julian day.
_READABLE: Final = (
    "timestamp >= '1970' AND timestamp < '9999' AND timestamp GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'"
)
_UNIX_S: Final = f"iif({_READABLE}, unixepoch(timestamp), NULL)"
_IS_TIME: Final = "timestamp >= '0000-' AND timestamp < ':'"  # what a time begins with; see filters


_WRONGS: Final = "count(*) FILTER (WHERE wrong)"
_FAILED: Final = "count(*) FILTER (WHERE failed AND NOT wrong)"
_NEWEST: Final = f"max(timestamp) FILTER (WHERE {_IS_TIME})"
_OLDEST: Final = f"min(timestamp) FILTER (WHERE {_IS_TIME})"
_MOST: Final = f"HAVING n > 0 ORDER BY n DESC LIMIT {MAX_GROUPS}"
_BUCKET: Final = f"unix_s - ((unix_s - {_MONDAY_S}) % {{width}} + {{width}}) % {{width}}"
# Kind, keys, n, oldest, newest, and what follows the table's name.
_GROUPS: Final = (
    (_TOTAL, "NULL", "NULL", _WRONGS, _OLDEST, _NEWEST, ""),
    (_UNCLASSIFIED, "NULL", "NULL", _FAILED, "NULL", "NULL", ""),
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
        f"{_UNIX_S} AS unix_s FROM {{table}}{{where}}"
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
    sql = f"SELECT min({_UNIX_S}), max({_UNIX_S}) FROM {table}{clause.sql}"  # noqa: S608
    ((oldest, latest),) = reader.query(sql, clause.parameters)
    return None if oldest is None else (oldest, latest)


def width_for(oldest_s: int, newest_s: int) -> int:
    """The shortest width in seconds with which at most ``MAX_BUCKETS`` cover the range."""
    for width_s in WIDTHS_S:
        if (_floor(newest_s, width_s) - _floor(oldest_s, width_s)) // width_s < MAX_BUCKETS:
            return width_s
    longest_s = WIDTHS_S[-1]
    return longest_s * -(-(newest_s - oldest_s) // (longest_s * (MAX_BUCKETS - 1)))


def _floor(unix_s: int, width_s: int) -> int:
    return (unix_s - _MONDAY_S) // width_s * width_s + _MONDAY_S


def _buckets(rows: Iterable[_Row], span: tuple[int, int], width_s: int) -> list[Bucket]:
    """Without gaps; one more where a record came between the look at the range and the count."""
    found = {row.key: row for row in rows if row.kind == "bucket"}
    starts = {*range(_floor(span[0], width_s), span[1] + 1, width_s), *found}
    return [
        Bucket(
            start=datetime.fromtimestamp(start, UTC).replace(tzinfo=None).isoformat() + "Z",
            n=found[start].n if start in found else 0,
            requests=found[start].requests if start in found else 0,
            share=_share(found[start].n, found[start].requests) if start in found else None,
        )
        for start in sorted(starts)
    ]


def _share(n: int, requests: int) -> float | None:
    return n / requests if requests else None


def _word(value: Any) -> str | None:
    return None if value is None else described(value)


def _ranked(rows: Iterable[_Row], kind: str) -> list[_Row]:
    """The most frequent first; equals by name, so that two answers have one order."""
    of_kind = [row for row in rows if row.kind == kind]
    return sorted(of_kind, key=lambda row: (-row.n, described(row.key), described(row.second_key)))


def _categories(rows: Sequence[_Row], requests: int) -> list[CategoryCount]:
    counts: Counter[str] = Counter()
    for row in _ranked(rows, "type"):
        counts[described(row.key)] += row.n
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [CategoryCount(category=name, n=n, share=_share(n, requests)) for name, n in ordered]


_EXPLAINED: Final = {(row.category, row.type): row for row in TAXONOMY}


def _type_count(row: _Row, requests: int) -> TypeCount:
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


def _phase_count(row: _Row, requests: int) -> PhaseCount:
    return PhaseCount(phase=_word(row.key), n=row.n, share=_share(row.n, requests))


def _model_count(row: _Row) -> ModelCount:
    return ModelCount(model=_word(row.key), n=row.n, requests=row.requests, share=_share(row.n, row.requests))


def _backend_count(row: _Row) -> BackendCount:
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
