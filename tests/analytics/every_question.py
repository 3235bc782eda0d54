"""All that can be asked about the records of one file, as one value: two files with the same records are alike."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics import (
    WORDS,
    DistributionQuery,
    ErrorsQuery,
    HeatmapQuery,
    Query,
    Records,
    RequestFilter,
    ask,
    distribute,
    get_request,
    list_requests,
    map_heat,
    parse_slo,
    read_errors,
    records_by_version,
    summarise,
)
from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.calendar import BUCKETS
from llm_metrics_proxy.analytics.dimensions import DIMENSIONS
from llm_metrics_proxy.analytics.live import arrived, earlier
from llm_metrics_proxy.analytics.measures import FIELDS, NAMED
from llm_metrics_proxy.analytics.query import MAX_METRICS
from llm_metrics_proxy.analytics.slowest import slowest
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.export.formats import FORMATS
from llm_metrics_proxy.export.stream import ExportQuery, export
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics.database import NOON

START, END = NOON - timedelta(minutes=30), NOON + timedelta(minutes=10)
NOW: Final = NOON + timedelta(hours=20)
_SLOS: Final = (parse_slo("response_time_ms<=1200"), parse_slo("time_to_first_token_ms<=150"))
METRICS: Final = (
    *NAMED,
    *(f"{name}.{statistic}" for name in FIELDS for statistic in ("mean", "min", "max", "p50", "p95")),
)
_RANGES: Final = (
    RequestFilter(),
    RequestFilter(start=START),
    RequestFilter(end=END),
    RequestFilter(start=START, end=END),
)
# Field of the filter -> the column whose values it selects by.
FILTERS: Final = {
    name: {"streaming": "is_streaming", "tag": "tags"}.get(name, name)
    for name in RequestFilter.__struct_fields__
    if name not in ("start", "end", "where")
}


def answers(
    path: Path, chosen: Sequence[RequestFilter], request_ids: Sequence[str], tags: Sequence[str]
) -> dict[str, Any]:
    """Every answer by its question, as JSON or as the bytes of a file. ``chosen`` are filters to ask with; without any,
    the combinations of metrics and dimensions are left out."""
    reader = SqliteReader(path)
    try:
        records = open_records(reader)
        asked = (_queries(records, tags) if chosen else (), _records(records, chosen, request_ids))
        return {name: _plain(answer) for name, answer in chain(*asked)}
    finally:
        reader.close()


def _plain(answer: Any) -> Any:
    return answer if isinstance(answer, bytes) else msgspec.json.encode(answer, order="deterministic").decode()


_RANGE: Final = ArrivalRange(Arrivals.of_one_host(3), Arrivals.of_one_host(10**6))


def _records(
    records: Records, chosen: Sequence[RequestFilter], request_ids: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    for selection in (*_RANGES, *chosen):
        yield f"summary {selection}", summarise(records, selection)
        yield f"errors {selection}", read_errors(records, ErrorsQuery(filter=selection))
        yield f"pages {selection}", list(_paged(records, selection))
        yield f"slowest {selection}", slowest(records, selection, 5)
        shown, before = arrived(records, selection, _RANGE, 100), earlier(records, selection, _RANGE.through, 100)
        yield f"live {selection}", (shown.records, shown.sums, before)
    yield "versions", records_by_version(records)
    yield "by request_id", [get_request(records, request_id) for request_id in request_ids]
    for name in FORMATS:
        if name != "parquet":  # a compressed file, of the same values as the others
            yield f"export {name}", b"".join(piece.data for piece in export(records, ExportQuery(format=name)))


def _queries(records: Records, tags: Sequence[str]) -> Iterator[tuple[str, Any]]:
    sources = records.sources()
    names = (*DIMENSIONS, *(f"tag:{tag}" for tag in tags), "bin:response_time_ms", "bin:prompt_tokens")
    for name in names:
        for first in range(0, len(METRICS), MAX_METRICS):
            metrics = METRICS[first : first + MAX_METRICS]
            query = Query(metrics=metrics, group_by=(name,), slos=_SLOS, limit=1000)
            yield f"query {name} {metrics[0]}", ask(sources, query, NOW)
    some = ("requests", "error_rate", "concurrency_max", "total_tokens", "response_time_ms.p95")
    for selection in _RANGES:
        for bucket in BUCKETS:
            query = Query(metrics=some, group_by=("time", "model"), bucket=bucket, filter=selection, limit=5)
            yield f"time {bucket} {selection}", ask(sources, query, NOW)
        for zone in ("UTC", "Asia/Kathmandu"):
            query = Query(metrics=some, group_by=("hour_of_day", "weekday"), timezone=zone, filter=selection)
            yield f"clock {zone} {selection}", ask(sources, query, NOW)
            yield f"heatmap {zone} {selection}", map_heat(sources, HeatmapQuery(filter=selection, timezone=zone), NOW)
        for name in FIELDS:
            yield (
                f"distribution {name} {selection}",
                distribute(sources, DistributionQuery(metric=name, filter=selection), NOW),
            )
    for name in FIELDS:
        yield f"distribution {name}", distribute(sources, DistributionQuery(metric=name), NOW)
    compared = Query(metrics=some, group_by=("model",), filter=_RANGES[-1], compare=True, order="model")
    yield "compare", ask(sources, compared, NOW)
    yield "heatmap of words", map_heat(sources, HeatmapQuery(x="model", y="api_key_id"), NOW)


def _paged(records: Records, selection: RequestFilter) -> Iterator[list[dict[str, Any]]]:
    cursor = None
    while True:
        page = list_requests(records, selection, 4, cursor)
        yield page.items
        if (cursor := page.next_cursor) is None:
            return


def filters_of(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> list[RequestFilter]:
    """One for every value that the records have in a column which can be filtered by."""
    found = []
    for field, column in FILTERS.items():
        if column not in columns:
            continue
        values = {row[columns.index(column)] for row in rows} - {None}
        for value in sorted(values, key=str):
            if field == "tag":
                found += [RequestFilter(tag=tag) for tag in str(value).split(",") if "=" in tag]
            elif value in WORDS.get(field, (value,)):
                asked: Any = bool(value) if field in ("streaming", "success") else value
                found.append(RequestFilter(**{field: asked}))
    return found
