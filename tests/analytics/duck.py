"""The witness: the same questions put to DuckDB, over the same values, in SQL that was written apart from ours.

Time is DuckDB's own: local times by its ICU zones, and the length of a bucket by counting its minutes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb

from llm_metrics_proxy.analytics.dimensions import BIN_EDGES
from llm_metrics_proxy.analytics.measures import FIELDS, SUMS
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.slos import Slo

TEXTS: Final = (
    "model", "response_model", "backend", "backend_name", "endpoint", "origin", "api_key_id", "user", "outcome",
    "error_category", "error_type", "error_phase", "finish_reason", "app_version", "tags", "user_agent", "app",
    "session_id", "session_source", "agent_id", "parent_agent_id", "cache_miss_reason", "quota_status", "host",
    "cost_source",
)  # fmt: skip
# No columns: calculated when records are read.
READ: Final = {
    "cache_prompt_tokens": "CASE WHEN cached_tokens <= coalesce(prompt_tokens, 0) THEN coalesce(prompt_tokens, 0) END",
    "cache_hit_tokens": "CASE WHEN cached_tokens <= coalesce(prompt_tokens, 0) THEN cached_tokens END",
    "priced_tokens": "CASE WHEN cost_usd IS NOT NULL THEN coalesce(total_tokens, 0) END",
    "estimated_cost_usd": "CASE WHEN cost_source = 'own_hardware' THEN cost_usd END",
    "session_cost_usd": "CASE WHEN session_id IS NOT NULL THEN cost_usd END",
}
_CACHES: Final = "FILTER (cached_tokens <= coalesce(prompt_tokens, 0))"
_WITH_READ: Final = f"*, {', '.join(f'{sql} AS {name}' for name, sql in READ.items())}"
COUNTS: Final = tuple(name for name, one in FIELDS.items() if one.unit in {"tokens", "bytes"} and name not in READ)
NUMBERS: Final = tuple(name for name in FIELDS if name not in COUNTS and name not in READ)
FLAGS: Final = ("is_streaming", "success")


def cleaned(fact: Mapping[str, Any]) -> dict[str, Any]:
    """A record's values as far as they are what their columns are for."""
    found: dict[str, Any] = {}
    for name in TEXTS:
        value = fact.get(name)
        found[name] = None if value is None else str(value)
    for name in (*NUMBERS, *COUNTS, *FLAGS, "status_code"):
        value = fact.get(name)
        found[name] = value if isinstance(value, int | float) and abs(value) != float("inf") else None
    for name in (*COUNTS, *FLAGS, "status_code"):
        most = 1 if name in FLAGS else 999 if name == "status_code" else 2**40
        value = found[name]
        found[name] = int(value) if value is not None and value == int(value) and 0 <= value <= most else None
    text = fact.get("timestamp")
    found["ts"] = datetime.fromisoformat(text) if isinstance(text, str) and len(text) == 27 else None
    return found


def table_of(facts: Sequence[Mapping[str, Any]]) -> duckdb.DuckDBPyConnection:
    """A connection with the table ``records``."""
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    types = dict.fromkeys(TEXTS, "VARCHAR") | dict.fromkeys(NUMBERS, "DOUBLE")
    types |= dict.fromkeys((*COUNTS, *FLAGS, "status_code"), "BIGINT") | {"ts": "TIMESTAMPTZ"}
    rows = [cleaned(fact) for fact in facts]
    # by columns, in one statement: row by row it takes DuckDB a millisecond each
    shown = (f'unnest(?::{kind}[]) AS "{name}"' for name, kind in types.items())
    values = [[row[name] for row in rows] for name in types]
    connection.execute(f"CREATE TABLE records AS SELECT {_WITH_READ} FROM (SELECT {', '.join(shown)})", values)
    return connection


_WIDTHS: Final = {"minute": "1 minute", "5m": "5 minutes", "15m": "15 minutes", "hour": "1 hour"}


def _local(zone: str) -> str:
    return f"timezone('{zone}', ts)"


def _bucket(bucket: str, zone: str) -> str:
    """A label of the bucket: where it begins in local time, and the offset for those that are elapsed time."""
    if bucket in _WIDTHS:
        begin = f"time_bucket(INTERVAL '{_WIDTHS[bucket]}', {_local(zone)})"
        return f"strftime({begin}, '%Y-%m-%d %H:%M') || ' ' || epoch({_local(zone)} - timezone('UTC', ts))::BIGINT"
    return f"strftime(date_trunc('{bucket}', {_local(zone)}), '%Y-%m-%d')"


def label_of(start: str, bucket: str, zone: str) -> str:
    """The same label of a bucket's first moment, as our answers have it."""
    local = datetime.fromisoformat(start).astimezone(ZoneInfo(zone))
    offset = local.utcoffset()
    assert offset is not None
    naive = local.replace(tzinfo=None)
    if bucket in _WIDTHS:
        minutes = {"minute": 1, "5m": 5, "15m": 15, "hour": 60}[bucket]
        midnight = naive.replace(hour=0, minute=0, second=0)
        begin = midnight + (naive - midnight) // timedelta(minutes=minutes) * timedelta(minutes=minutes)
        return f"{begin:%Y-%m-%d %H:%M} {round(offset.total_seconds())}"
    day = naive.date()
    if bucket == "week":
        day -= timedelta(days=day.weekday())
    if bucket == "month":
        day = day.replace(day=1)
    return f"{day:%Y-%m-%d}"


def _bands(column: str) -> str:
    edges = (0, 1, 64, 256, 1024, 4096, 16384, 65536)
    names = ("0", "1-63", "64-255", "256-1023", "1024-4095", "4096-16383", "16384-65535", "65536+")
    return f"list_extract({list(names)}, len(list_filter({list(edges)}, lambda e: e <= {column}))::BIGINT)"


def _dimension(name: str, query: Query) -> str:
    family, _, rest = name.partition(":")
    if family == "tag":
        return f"substr(list_filter(string_split(tags, ','), lambda t: starts_with(t, '{rest}='))[1], {len(rest) + 2})"
    if family == "bin":
        at_or_below = f"list_filter({list(BIN_EDGES)}::DOUBLE[], lambda e: e <= {rest}::DOUBLE)"
        return f"CASE WHEN {rest} IS NULL THEN NULL ELSE coalesce(list_max({at_or_below})::VARCHAR, '<0') END"
    return {
        "time": _bucket(query.bucket or "", query.timezone) if query.bucket else "",
        "streaming": "is_streaming::BOOLEAN",
        "hour_of_day": f"hour({_local(query.timezone)})",
        "weekday": f"isodow({_local(query.timezone)})",
        "prompt_length": _bands("prompt_tokens"),
        "completion_length": _bands("completion_tokens"),
    }.get(name, f'"{name}"')


def _measure(name: str, slos: Sequence[Slo]) -> tuple[str, str]:
    """The value and of how many records it is, as aggregates; ``seconds`` is a column of the group."""
    ended = "count(*) FILTER (success IN (0, 1))"
    good = " AND ".join(
        ["success = 1", *(f"coalesce({slo.column} {slo.comparison} {slo.limit}, false)" for slo in slos)]
    )
    named = {
        "requests": ("count(*)", "count(*)"),
        "success_rate": ("avg(success)", ended),
        "error_rate": ("1 - avg(success)", ended),
        "requests_per_second": ("count(*) / nullif(any_value(seconds), 0)", "count(*)"),
        "concurrency_mean": (
            "sum(response_time_ms) / 1000 / nullif(any_value(seconds), 0)",
            "count(response_time_ms)",
        ),
        "concurrency_max": ("max(open)", "count(response_time_ms)"),
        "cache_hit_ratio": (
            f"sum(cached_tokens) {_CACHES} / nullif(sum(prompt_tokens) {_CACHES}, 0)",
            "count(*) FILTER (cached_tokens <= coalesce(prompt_tokens, 0))",
        ),
        "cost_per_request_usd": ("sum(cost_usd) / nullif(count(cost_usd), 0)", "count(cost_usd)"),
        "cost_per_1000_requests_usd": ("1000 * sum(cost_usd) / nullif(count(cost_usd), 0)", "count(cost_usd)"),
        "cost_per_mtok_usd": (
            "1e6 * sum(cost_usd) / nullif(sum(total_tokens) FILTER (cost_usd IS NOT NULL), 0)",
            "count(cost_usd)",
        ),
        "cost_per_session_usd": (
            "sum(session_cost_usd) / nullif(count(DISTINCT session_id) FILTER (cost_usd IS NOT NULL), 0)",
            "count(cost_usd) FILTER (session_id IS NOT NULL)",
        ),
        "goodput": (f"avg(CASE WHEN {good} THEN 1 ELSE 0 END)", "count(*)"),
    }
    if name in named:
        return named[name]
    column, _, statistic = (f"{name}.sum" if name in SUMS else name).partition(".")
    functions = {"mean": "avg", "min": "min", "max": "max", "sum": "sum", "count": "count"}
    if statistic in functions:
        return f"{functions[statistic]}({column})", f"count({column})"
    return f"quantile_cont({column}::DOUBLE, {float(statistic[1:]) / 100})", f"count({column})"


def table_of_parquet(path: Path) -> duckdb.DuckDBPyConnection:
    """The same table, of an exported file."""
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    names = [f'"{name}"' for name in (*TEXTS, *NUMBERS, *COUNTS, "status_code")]
    flags = [f"{name}::BIGINT AS {name}" for name in FLAGS]
    shown = ", ".join((*names, *flags, "timestamp AS ts"))
    connection.execute(f"CREATE TABLE records AS SELECT {_WITH_READ} FROM (SELECT {shown} FROM read_parquet('{path}'))")
    return connection


def answer(facts: Sequence[Mapping[str, Any]], query: Query) -> dict[tuple[Any, ...], dict[str, tuple[Any, int]]]:
    """Value and n of every metric by key, of groups that have records. The range is of whole minutes."""
    return answer_of(table_of(facts), query)


def answer_of(connection: duckdb.DuckDBPyConnection, query: Query) -> dict[tuple[Any, ...], dict[str, tuple[Any, int]]]:
    """The same, of a connection with the table ``records``, which is closed."""
    start, end = query.filter.start, query.filter.end
    assert start is not None
    assert end is not None
    keys = {f"k{index}": name for index, name in enumerate(query.group_by)}
    of_record = "".join(f"{_dimension(name, query)} AS {key}, " for key, name in keys.items())
    connection.execute(
        f"CREATE TABLE chosen AS SELECT {of_record}*, epoch_us(ts) AS began, CASE WHEN response_time_ms BETWEEN 0 AND "
        "1e12 THEN greatest(round(response_time_ms * 1000)::HUGEINT, 1) END AS lasted FROM records "
        f"WHERE ts >= '{start}' AND ts < '{end}'"
    )
    in_time = {key: name for key, name in keys.items() if name in {"time", "hour_of_day", "weekday"}}
    alike = "".join(f" AND o.{key} IS NOT DISTINCT FROM r.{key}" for key in keys if key not in in_time)
    connection.execute(
        "CREATE TABLE busy AS SELECT *, CASE WHEN lasted IS NOT NULL THEN (SELECT count(*) FROM chosen o WHERE "
        f"o.began <= r.began AND o.began + o.lasted > r.began{alike}) END AS open FROM chosen r"
    )
    cells = "".join(f"{_dimension(name, query)} AS {key}, " for key, name in in_time.items())
    last = end - timedelta(minutes=1)
    minutes = f"generate_series(TIMESTAMPTZ '{start}', TIMESTAMPTZ '{last}', INTERVAL 1 minute)"
    connection.execute(
        f"CREATE TABLE lengths AS SELECT {''.join(f'{key}, ' for key in in_time)}count(*) * 60.0 AS seconds "
        f"FROM (SELECT {cells}ts FROM (SELECT unnest({minutes}) AS ts)) GROUP BY ALL"
    )
    joined = " AND ".join(f"busy.{key} IS NOT DISTINCT FROM lengths.{key}" for key in in_time) or "true"
    shown = [f"busy.{key}" for key in keys]
    pairs = [part for name in query.metrics for part in _measure(name, query.slos)]
    rows = connection.execute(
        f"SELECT {', '.join([*shown, *pairs])} FROM busy LEFT JOIN lengths ON {joined} "
        f"{'GROUP BY ' + ', '.join(shown) if shown else ''} HAVING count(*) > 0"
    ).fetchall()
    connection.close()
    return {
        tuple(row[: len(keys)]): dict(zip(query.metrics, zip(*[iter(row[len(keys) :])] * 2, strict=True), strict=True))
        for row in rows
    }
