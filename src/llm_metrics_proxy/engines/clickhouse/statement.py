"""Query plans as one statement, whose rows are lines of JSON: ``[place, kind, keys, values]``.

Each plan has its own SELECT, which reads the few columns that it needs. All are parts of one statement, so they see the
same records (``enable_shared_storage_snapshot_in_query``). Groups come in the order of their keys, missing ones first.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics.dimensions import IN_TIME
from llm_metrics_proxy.analytics.exact import ExactAggregates, ExactStats, finite, refuse_many
from llm_metrics_proxy.analytics.measures import FIELDS
from llm_metrics_proxy.analytics.source import QueryPlan, ResultGroup, SourceResult
from llm_metrics_proxy.engines.clickhouse.aggregates import (
    COUNTS,
    Reading,
    counted,
    fractions_of,
    times_of,
    values_of,
)
from llm_metrics_proxy.engines.clickhouse.expressions import AT_US, OPEN_US, key_in
from llm_metrics_proxy.engines.clickhouse.table import BY_ARRIVAL

GROUP, PEAK, VERSION = "group", "peak", "version"  # kinds of rows
# Compared with every projection of the table, a question takes longer than to answer it: none is what it is about.
ALONE: Final = " SETTINGS optimize_use_projections = 0"
_ALONG_ARRIVALS: Final = f" SETTINGS preferred_optimize_projection_name = '{BY_ARRIVAL}'"
_AS_LINES: Final = ", output_format_json_quote_denormals = 0 FORMAT TSVRaw"  # NaN of no values is null
_LINES: Final = msgspec.json.Decoder(tuple[int, str, list[Any], list[Any]])


def statement(
    plans: Sequence[QueryPlan], most_groups: int, reading: Callable[[], Reading], *, settings: str = ""
) -> str:
    """One for all plans, with at most so many groups of each and one. ``reading`` makes one for each plan."""
    selects = (select for place, plan in enumerate(plans) for select in _selects(place, plan, most_groups, reading()))
    projections = _ALONG_ARRIVALS if any(plan.arrived for plan in plans) else ALONE
    return f"{' UNION ALL '.join(selects)}{projections}{settings}{_AS_LINES}"


def _selects(place: int, plan: QueryPlan, most: int, reading: Reading) -> Iterator[str]:
    names = [f"k{number}" for number in range(len(plan.group_by))]
    shown = [f"{key_in(plan, name).sql} AS {key}" for key, name in zip(names, plan.group_by, strict=True)]
    values, errors, requests = values_of(plan, reading), *map(reading.aggregate, (COUNTS["errors"], COUNTS["requests"]))
    source = reading.source(plan)
    order = [f"{name} ASC NULLS FIRST" for name in names]
    rest, limit = "", most + 1
    if plan.most_errors is not None:
        rest, order, limit = f"HAVING {errors} > 0", [f"{errors} DESC", *order], plan.most_errors
    if names:
        rest = f"GROUP BY {', '.join(names)} {rest} ORDER BY {', '.join(order)} LIMIT {limit}"
    yield _select(place, GROUP, names, values, f"{source} {rest}", shown=shown)
    if plan.needs.peak:
        yield _peaks(place, dict(zip(plan.group_by, names, strict=True)), shown, source)
    if plan.by_version:
        by_version = f"{source} GROUP BY app_version ORDER BY app_version"
        yield _select(place, VERSION, ["app_version"], [requests], by_version)


def _select(
    place: int, kind: str, keys: Sequence[str], values: Sequence[str], rest: str, *, shown: Sequence[str] = ()
) -> str:
    named = f"WITH {', '.join(shown)} " if shown else ""
    row = f"toJSONString(tuple({place}, '{kind}', tuple({', '.join(keys)}), tuple({', '.join(values)})))"
    return f"SELECT * FROM ({named}SELECT {row} AS line FROM {rest})"  # noqa: S608 -- names are ours


def _peaks(place: int, named: Mapping[str, str], shown: Sequence[str], source: str) -> str:
    """How many were open when requests began, itself among them; of one moment, ends come first, and beginnings count
    together. Hours and buckets are apart only in where requests began: who is open there may have begun before."""
    times = [*shown, f"{OPEN_US} AS open_us", f"{AT_US} AS began_us"]
    chosen = f"(SELECT {', '.join(times)} FROM {source})"  # noqa: S608
    names = list(named.values())
    by = f"GROUP BY {', '.join(names)}" if names else ""
    if not set(named) & set(IN_TIME):
        most = "maxIntersectionsIf(began_us, began_us + assumeNotNull(open_us), open_us IS NOT NULL)"
        return _select(place, PEAK, names, [f"nullIf({most}, 0)"], f"{chosen} {by}")
    apart = [key for name, key in named.items() if name not in IN_TIME]
    partition = f"PARTITION BY {', '.join(apart)} " if apart else ""
    steps = "arrayJoin([(began_us, 1), (began_us + assumeNotNull(open_us), -1)]) AS event"
    columns = ", ".join([*names, steps, "event.1 AS at_us", "event.2 AS step"])
    events = f"SELECT {columns} FROM {chosen} WHERE open_us IS NOT NULL"  # noqa: S608
    running = (
        f"SELECT {', '.join(names)}, step, sum(step) OVER ({partition}ORDER BY at_us, step) AS open FROM ({events})"  # noqa: S608
    )
    return _select(place, PEAK, names, ["nullIf(max(open), 0)"], f"({running}) WHERE step = 1 {by}")


def results(plans: Sequence[QueryPlan], answer: bytes) -> list[SourceResult]:
    """One per plan. Raises ``QueryError`` if a plan has too many groups."""
    found: dict[tuple[int, str], list[tuple[list[Any], list[Any]]]] = {}
    for place, kind, key, values in _LINES.decode_lines(answer):
        found.setdefault((place, kind), []).append((key, values))
    return [_result(place, plan, found) for place, plan in enumerate(plans)]


def _result(
    place: int, plan: QueryPlan, found: Mapping[tuple[int, str], Sequence[tuple[list[Any], list[Any]]]]
) -> SourceResult:
    rows = found.get((place, GROUP), ())
    refuse_many(len(rows))
    readings = [key_in(plan, name).read for name in plan.group_by]
    groups: list[ResultGroup] = []
    times = {}
    peaks = {tuple(key): most for key, (most,) in found.get((place, PEAK), ())}
    for stored, row in rows:
        values = iter(row)
        key = tuple(reading(value) for reading, value in zip(readings, stored, strict=True))
        counts = {name: next(values) for name in counted(plan)}
        times[key] = {name: _stored_time(next(values)) for name in times_of(plan)}
        columns = {
            column: _stats(values, FIELDS[column].kind.holds == "number", column in plan.needs.extremes, fractions)
            for column, fractions in fractions_of(plan).items()
        }
        groups.append(ResultGroup(key, ExactAggregates(counts, columns, peaks.get(tuple(stored)))))
    versions = [(version, n) for (version,), (n,) in found.get((place, VERSION), ())]
    return SourceResult(groups, versions, {key: _with_seconds(one) for key, one in times.items() if plan.needs.times})


def _stats(values: Iterator[Any], is_float: bool, has_extremes: bool, fractions: Sequence[float]) -> ExactStats:
    """JSON does not tell 250.0 from 250, and has no infinities."""
    as_stored = float if is_float else int
    n, *moments = (next(values) for _ in range(4 if has_extremes else 2))
    total, least, most = (*(None if one is None else as_stored(one) for one in moments), None, None)[:3]
    found = next(values) if fractions else []
    quantiles = {
        fraction: finite(None if one is None or not n else float(one))
        for fraction, one in zip(fractions, found, strict=True)
    }
    return ExactStats(n, total, least, most, quantiles)


def _stored_time(text: str | None) -> str | None:
    return None if text is None else f"{text.replace(' ', 'T')}Z"


def _with_seconds(times: dict[str, str | None]) -> dict[str, Any]:
    ends = {"first_s": times.get("oldest"), "last_s": times.get("newest")}
    seconds = {name: int(datetime.fromisoformat(end).timestamp() // 1) for name, end in ends.items() if end is not None}
    return {**times, **seconds}
