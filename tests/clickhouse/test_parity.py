"""ClickHouse answers every question as SQLite does, over the same records.

What can be asked is taken from the registries: a new column, metric, dimension or filter is asked for by itself. Floats
are sums in another order; all else is the same, with the order of rows, the types, and what is missing.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from math import ceil, floor
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from llm_metrics_proxy.analytics import (
    DistributionQuery,
    ErrorsQuery,
    HeatmapQuery,
    Query,
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
from llm_metrics_proxy.analytics.change_tables import SumsTables, in_blocks
from llm_metrics_proxy.analytics.changes import DIMENSIONS as CHANGED_BY
from llm_metrics_proxy.analytics.changes import ChangesQuery, what_changed
from llm_metrics_proxy.analytics.conditions import Condition, parse_conditions
from llm_metrics_proxy.analytics.costs import CostsQuery, read_costs
from llm_metrics_proxy.analytics.dimensions import DIMENSIONS, IN_TIME, dimension
from llm_metrics_proxy.analytics.distribution import SHOWN
from llm_metrics_proxy.analytics.filters import filter_of
from llm_metrics_proxy.analytics.good_hours import GoodHours
from llm_metrics_proxy.analytics.live import arrived, earlier
from llm_metrics_proxy.analytics.measures import FIELDS, NAMED, STATISTICS, measure
from llm_metrics_proxy.analytics.ordering import NEWEST, ORDERED, Order
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.query import MAX_METRICS
from llm_metrics_proxy.analytics.records import SESSION_ORDERS, Only, Records, Row
from llm_metrics_proxy.analytics.scope import ScopedRecords
from llm_metrics_proxy.analytics.session_detail import read_session
from llm_metrics_proxy.analytics.sessions import SessionsQuery, list_sessions
from llm_metrics_proxy.analytics.slowest import slowest
from llm_metrics_proxy.analytics.source import QueryPlan
from llm_metrics_proxy.analytics.sources import whole_span
from llm_metrics_proxy.columns import Over
from llm_metrics_proxy.engines.clickhouse.hourly_source import HourlySource
from llm_metrics_proxy.engines.clickhouse.projections import PROJECTIONS
from llm_metrics_proxy.engines.clickhouse.source import RELATIVE_ERROR, SketchedSource, about
from llm_metrics_proxy.engines.clickhouse.table import TABLE, TablePlace, retention
from llm_metrics_proxy.export.formats import FORMATS
from llm_metrics_proxy.export.stream import ExportQuery, export
from llm_metrics_proxy.quotas import QuotaLeft
from llm_metrics_proxy.quotas.windows import with_word
from llm_metrics_proxy.record import ALL_COLUMNS, READABLE, ROW_COLUMNS
from llm_metrics_proxy.reports.build import ReportQuery, build
from llm_metrics_proxy.servers.report import ServersPort, ServersQuery, servers_report
from llm_metrics_proxy.servers.seen import AskingState, Seen, ServerSeen
from llm_metrics_proxy.watch.budgets import measure_budget
from llm_metrics_proxy.watch.limits import report_limits
from llm_metrics_proxy.watch.rules import BudgetRule
from tests.analytics.every_question import filters_of
from tests.clickhouse.pair import Pair, Reading, difference, made, paired, plain, unlike
from tests.clickhouse.server import ClickHouseServer, new_database, statement
from tests.examples import examples

pytestmark = [pytest.mark.system, pytest.mark.grid]

ROWS: Final = made(300)
NOW: Final = datetime(2026, 3, 30, 12, tzinfo=UTC)  # clocks of Europe go forward on the 29th
ZONES: Final = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe")
RANGES: Final = (
    RequestFilter(),
    RequestFilter(start=datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
    RequestFilter(end=datetime(2026, 3, 29, 9, tzinfo=UTC)),
    RequestFilter(start=datetime(2026, 3, 28, 21, 0, 3, 5, tzinfo=UTC), end=datetime(2026, 3, 30, 1, 5, tzinfo=UTC)),
)
METRICS: Final = (*NAMED, *(f"{name}.{one}" for name in FIELDS for one in (*STATISTICS, "p1", "p50", "p95")))
CHUNKS: Final = [METRICS[at : at + MAX_METRICS] for at in range(0, len(METRICS), MAX_METRICS)]
SLOS: Final = (parse_slo("response_time_ms<=1200"), parse_slo("time_to_first_token_ms>0"))
SOME: Final = ("requests", "error_rate", "concurrency_max", "goodput", "total_tokens", "response_time_ms.p95")
NAMES: Final = (*DIMENSIONS, "tag:team", "tag:x", "tag:a", "bin:response_time_ms", "bin:prompt_tokens", "bin:cost_usd")
FILTERS: Final = filters_of(ROWS, ROW_COLUMNS)
HOSTS: Final = ("one", "two")


def given_in(selection: RequestFilter) -> dict[str, Any]:
    """The conditions that are set."""
    return {name: value for name, value in asdict(selection).items() if value is not None}


def named(selection: RequestFilter) -> str:
    return ",".join(f"{name}={value}" for name, value in given_in(selection).items()) or "all"


@pytest.fixture(scope="module")
def pair(clickhouse: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    database = new_database()
    statement(clickhouse, f"CREATE DATABASE {database}")
    with paired(clickhouse.url(database), tmp_path_factory.mktemp("pair")) as both:
        both.add(ROWS[:200], HOSTS[0])
        both.add(ROWS[200:], HOSTS[1])
        yield both
    statement(clickhouse, f"DROP DATABASE {database}")


class Exact:
    """Records that are asked only of the source which reads them."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def sources(self) -> Any:
        return self._records.sources()[-1:]

    def moment(self) -> Any:
        return self._records.moment()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)


def same(pair: Pair, question: Callable[[Any], Any]) -> None:
    one, other = (question(Exact(records)) for records in (pair.sqlite, pair.clickhouse))
    assert unlike(one, other) == ""


def same_answers(pair: Pair, *queries: Query) -> None:
    """With one statement for all of them."""
    exact = (records.sources()[-1] for records in (pair.sqlite, pair.clickhouse))
    readings = [Reading(source, queries, NOW, source.span()) for source in exact]
    for query in queries:
        assert unlike(*(ask([reading], query, NOW) for reading in readings)) == ""


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_by_every_dimension(pair: Pair, name: str) -> None:
    same_answers(pair, *(Query(metrics=some, group_by=(name,), slos=SLOS, limit=1000) for some in CHUNKS))


def test_every_metric_of_all(pair: Pair) -> None:
    for selection in (RequestFilter(), RequestFilter(model="nobody's")):
        same_answers(pair, *(Query(metrics=metrics, slos=SLOS, filter=selection) for metrics in CHUNKS))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("bucket", BUCKETS)
def test_every_bucket_in_every_zone(pair: Pair, bucket: str, zone: str) -> None:
    ranges = RANGES[-1:] if bucket in ("minute", "5m") else RANGES
    same_answers(
        pair,
        *(in_time(("time", "model"), selection, bucket, zone) for selection in ranges),
        in_time(("hour_of_day", "time"), RANGES[-1], bucket, zone),
    )


def in_time(group_by: tuple[str, ...], selection: RequestFilter, bucket: str, zone: str) -> Query:
    return Query(metrics=SOME, slos=SLOS, group_by=group_by, bucket=bucket, timezone=zone, filter=selection, limit=3)


@pytest.mark.parametrize("zone", ZONES)
def test_hours_and_weekdays(pair: Pair, zone: str) -> None:
    clock: dict[str, Any] = {"group_by": ("weekday", "hour_of_day"), "timezone": zone}
    same_answers(pair, *(Query(metrics=SOME, slos=SLOS, filter=selection, **clock) for selection in RANGES))
    for selection in RANGES:
        query = HeatmapQuery(metric="response_time_ms.p95", filter=selection, timezone=zone)
        same(pair, lambda records, query=query: map_heat(records.sources(), query, NOW))  # type: ignore[misc]


@pytest.mark.parametrize("zone", ZONES)
def test_costs(pair: Pair, zone: str) -> None:
    for by in (("model",), ("backend_name", "app"), ("tag:team",)):
        for selection in (RANGES[0], RANGES[-1], RequestFilter(model="gpt-4o")):
            query = CostsQuery(by=by, timezone=zone, filter=selection)
            same(pair, lambda records, query=query: read_costs(records.sources(), query, NOW))  # type: ignore[misc]


@pytest.mark.parametrize("name", sorted({field for one in FILTERS for field in given_in(one)}))
def test_every_filter(pair: Pair, name: str) -> None:
    selections = [one for one in FILTERS if name in given_in(one)]
    metrics = ("requests", "response_time_ms.p50")
    same_answers(pair, *(Query(metrics=metrics, group_by=("model",), filter=one) for one in selections))
    for selection in selections:
        same(pair, lambda records, selection=selection: list_requests(records, selection, 50))  # type: ignore[misc]


@pytest.mark.parametrize(
    "selection", [*RANGES, RequestFilter(model="gpt-4o"), RequestFilter(tag="team=b,x=1")], ids=named
)
def test_every_answer_of_a_fixed_shape(pair: Pair, selection: RequestFilter) -> None:
    same(pair, lambda records: summarise(records, selection))
    same(pair, lambda records: read_errors(records, ErrorsQuery(filter=selection)))
    same(pair, lambda records: slowest(records, selection, 7))
    same(pair, lambda records: list(pages(records, selection)))
    for only in Only:
        same(pair, lambda records, only=only: records.page(selection, ALL_COLUMNS, None, 50, only))  # type: ignore[misc]
    same(pair, lambda records: GoodHours(records).measure(bounded(selection), SLOS))


CONDITIONS: Final = (
    "model=gpt-4o,llama3:8b", "model!=gpt-4o", "model!=gpt-4o,(none)", "user=(none)", "user=(none),a", "user!=(none)",
    r"app=a'b\\c,ü", "tag=team=a", "tag!=team=a,x=1", "tag=(none)", "tag!=(none)", "streaming=false", "streaming!=true",
    "status_code=200,404", "status_code>=400", "status_code!=200", "response_time_ms>1000", "response_time_ms<=700.25",
    "prompt_tokens>6", "prompt_tokens=7", "prompt_tokens!=7", "prompt_tokens=(none)", "cost_usd!=(none)",
    "cost_usd<0.25", "retries=0", "message_count>=1", "host=one", "host!=one", "host=(none)", "app_version=3.0.0,2.2.0",
    "app_version!=3.0.0", "timestamp>=2026-03-29T03:00", "timestamp<2026-03-29T03:00", "arrival>150",
    "usage_rejected=false", "connect_ms>0.5", "error_message=(none)", "request_id!=x",
)  # fmt: skip


@pytest.mark.parametrize("text", CONDITIONS)
def test_several_values_not_and_comparisons(pair: Pair, text: str) -> None:
    selection = filter_of(parse_conditions([text]))
    if "host" not in text:  # SQLite's arrivals are those of one host
        same(pair, lambda records: list(pages(records, selection)))
    same_answers(pair, Query(metrics=("requests", "total_tokens", "response_time_ms.p50"), filter=selection))
    within = replace(selection, start=RANGES[-1].start, end=RANGES[-1].end)
    same_answers(pair, Query(metrics=("requests", "error_rate"), group_by=("model",), filter=within))
    asked_by_hours(pair, Query(group_by=("model",), filter=within))


def test_hourly_sums_answer_conditions_on_their_words(pair: Pair) -> None:
    for text in ("model=gpt-4o,llama3:8b", "model!=gpt-4o", "model=(none)"):
        selection = filter_of(parse_conditions([text]), start=RANGES[-1].start, end=RANGES[-1].end)
        assert asked_by_hours(pair, Query(group_by=("model",), filter=selection))
    far = filter_of(parse_conditions(["response_time_ms>5"]))
    assert not asked_by_hours(pair, Query(filter=far))


@pytest.mark.parametrize("name", ORDERED)
def test_every_order(pair: Pair, name: str) -> None:
    for descending in (False, True):
        for selection in (RequestFilter(), filter_of(parse_conditions(["model!=gpt-4o"]), end=RANGES[2].end)):
            order = Order(name, descending)
            same(pair, lambda records, by=order, chosen=selection: list(pages(records, chosen, by, 101)))  # type: ignore[misc]


def bounded(selection: RequestFilter) -> RequestFilter:
    first, last = datetime(2026, 3, 28, 20, 17, tzinfo=UTC), datetime(2026, 3, 29, 22, 5, tzinfo=UTC)
    return replace(selection, start=selection.start or first, end=selection.end or last)


def pages(records: Records, selection: RequestFilter, order: Order = NEWEST, limit: int = 37) -> Iterator[Any]:
    cursor = None
    while True:
        page = list_requests(records, selection, limit, cursor, order)
        yield page.items
        if (cursor := page.next_cursor) is None:
            return


@pytest.mark.parametrize("name", FIELDS)
def test_every_distribution(pair: Pair, name: str) -> None:
    for selection in (RANGES[0], RANGES[-1]):
        query = DistributionQuery(metric=name, filter=selection)
        same(pair, lambda records, query=query: distribute(records.sources(), query, NOW))  # type: ignore[misc]


def test_comparisons_and_ranks(pair: Pair) -> None:
    half = RequestFilter(start=datetime(2026, 3, 29, 9, tzinfo=UTC), end=datetime(2026, 3, 29, 18, tzinfo=UTC))
    compared = Query(metrics=SOME, slos=SLOS, group_by=("model",), filter=half, compare=True)
    ranked = Query(metrics=SOME, slos=SLOS, group_by=("time", "model"), bucket="hour", limit=2)
    orders = ("-response_time_ms.p95", "concurrency_max", "-requests", "model")
    same_answers(
        pair,
        *(replace(compared, timezone=zone) for zone in ZONES),
        *(replace(ranked, order=order) for order in orders),
    )


def test_what_changed(pair: Pair) -> None:
    for start, end in ((9, 18), (0, 12)):
        day = datetime(2026, 3, 29, tzinfo=UTC)
        selection = RequestFilter(start=day + timedelta(hours=start), end=day + timedelta(hours=end))
        for zone in ZONES[:2]:
            query = ChangesQuery(filter=selection, timezone=zone)
            same(pair, lambda records, query=query: tables_of(records, query))  # type: ignore[misc]
            same(pair, lambda records, query=query: what_changed(records, query, NOW, lambda: 0.0))  # type: ignore[misc]


def tables_of(records: Records, query: ChangesQuery) -> list[Any]:
    """All sums that changes are found from."""
    sources = records.sources()
    planned = plan(query.as_query(), PlanningContext(whole_span(sources), NOW))
    assert planned.previous is not None
    tables = SumsTables(sources, in_blocks(planned.previous, planned.current), lambda: 9.0)
    read = [tables.by(name) for name in CHANGED_BY] + [tables.by_two("model", "backend_name")]
    return [
        sorted((str(key), sums.totals) for key, sums in table.numbers[name].items())
        for table in read
        if table is not None
        for name in table.numbers
    ]


def test_reports_and_versions(pair: Pair) -> None:
    same(pair, records_by_version)
    same(pair, lambda records: build(records, ReportQuery(filter=RANGES[-1]), NOW))


# BlockSums by the hour are asked what they can answer: all but percentiles is the same as of the records.
# Different sessions cannot be summed, nor what meets an objective, nor requests open at once.
NEVER_OF_HOURS: Final = ("concurrency_max", "goodput", "cost_per_session_usd")
OF_HOURS: Final = tuple(name for name in METRICS if not measure(name).needs.quantiles and name not in NEVER_OF_HOURS)
FEW: Final = ("requests", "success_rate", "error_rate", "requests_per_second")
HOURLY: Final = [name for name in DIMENSIONS if name not in IN_TIME and dimension(name).family == "column"]


@pytest.mark.parametrize("selection", [RANGES[0], RANGES[-1]], ids=named)
@pytest.mark.parametrize("name", [None, *HOURLY])
def test_sums_by_the_hour(pair: Pair, name: str | None, selection: RequestFilter) -> None:
    words = () if name is None else (name,)
    kept = [one for one in PROJECTIONS if {dimension(word).column for word in words} <= {*one.keys, "app_version"}]
    if not kept:
        assert not asked_by_hours(pair, Query(group_by=words, filter=selection))
        return
    fields = max((one.fields for one in kept), key=len)
    metrics = [one for one in OF_HOURS if measure(one).needs.moments <= set(fields)]
    chunks = [tuple(metrics[at : at + MAX_METRICS]) for at in range(0, len(metrics), MAX_METRICS)]
    berlin: dict[str, Any] = {"filter": selection, "timezone": "Europe/Berlin"}
    assert asked_by_hours(
        pair,
        *(Query(metrics=some, group_by=words, filter=selection) for some in chunks),
        *(Query(metrics=FEW, group_by=("time", *words), bucket=bucket, **berlin) for bucket in ("hour", "day")),
        Query(metrics=FEW, group_by=("time", *words), bucket="week", filter=selection),
        Query(group_by=("weekday", "hour_of_day", *words), **berlin),
    )


@pytest.mark.parametrize("metric", NEVER_OF_HOURS)
def test_what_cannot_be_summed_comes_from_records(pair: Pair, metric: str) -> None:
    assert not asked_by_hours(pair, Query(metrics=(metric,), slos=SLOS if metric == "goodput" else ()))


def test_hours_of_a_zone_that_are_not_those_of_utc_come_from_records(pair: Pair) -> None:
    for group_by, bucket in ((("time",), "day"), (("hour_of_day",), None), (("time",), "hour")):
        query = Query(group_by=group_by, bucket=bucket, timezone="Asia/Kathmandu", filter=RANGES[-1])
        assert not asked_by_hours(pair, query)
        assert asked_by_hours(pair, replace(query, timezone="Australia/Lord_Howe"))  # eleven whole hours, in March


def asked_by_hours(pair: Pair, *queries: Query) -> bool:
    """Whether sums by the hour can answer; if so, as SQLite does."""
    every = [replace(query, limit=1000) for query in queries]
    exact, hours = pair.sqlite.sources()[-1], HourlySource(pair.reading)
    readings = [Reading(source, every, NOW, exact.span()) for source in (exact, hours)]
    if not all(hours.can_answer(one) for one in readings[1].plans):
        return False
    expected, found = (plain([ask([reading], query, NOW) for query in every]) for reading in readings)
    for answer in (*expected, *found):
        del answer["source"], answer["relative_error"], answer["query"]
    assert difference(expected, found) == ""
    return True


@pytest.mark.parametrize("selection", [*RANGES, RequestFilter(model="gpt-4o"), RequestFilter(success=False)], ids=named)
@pytest.mark.parametrize("order", SESSION_ORDERS)
def test_sessions_in_every_order(pair: Pair, order: str, selection: RequestFilter) -> None:
    for direction in ("", "-"):
        query = SessionsQuery(filter=selection, order=f"{direction}{order}", limit=3)
        same(pair, lambda records, query=query: list(session_pages(records, query)))  # type: ignore[misc]


def session_pages(records: Records, query: SessionsQuery) -> Iterator[Any]:
    while True:
        page = list_sessions(records, query, NOW)
        yield page.items
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)


def test_each_session(pair: Pair) -> None:
    found = [row.session_id for row in list_sessions(pair.sqlite, SessionsQuery(limit=200), NOW).items]
    assert len(found) > 1
    for session_id in [*found, "there is none"]:
        same(pair, lambda records, name=session_id: read_session(records, name, NOW))  # type: ignore[misc]
        same(pair, lambda records, name=session_id: records.started_by(name, 10))  # type: ignore[misc]


def test_single_records(pair: Pair) -> None:
    for row in ROWS[::23]:
        request_id = row[ROW_COLUMNS.index("request_id")]
        same(pair, lambda records, key=request_id: get_request(records, key))  # type: ignore[misc]
    for arrival in (1, 200, 201, 300, 301):
        same(pair, lambda records, key=arrival: get_request(records, key))  # type: ignore[misc]


def by_host(records: Records, after: int, through: int) -> ArrivalRange:
    """Arrivals 1 to 200 are those of one host, 201 to 300 of another; SQLite does not tell them apart."""
    if list(records.newest().by_host) == [""]:
        return ArrivalRange(Arrivals.of_one_host(after), Arrivals.of_one_host(through))
    return ArrivalRange(*(Arrivals({HOSTS[0]: min(at, 200), HOSTS[1]: max(at, 200)}) for at in (after, through)))


def arrived_in(records: Records, *, selection: RequestFilter, after: int, through: int) -> Any:
    within = by_host(records, after, through)
    found = arrived(records, selection, within, 1000)
    return found.records, found.sums, records.arrived(selection, ALL_COLUMNS, within, 7)


@pytest.mark.parametrize("selection", [RANGES[0], RANGES[-1], RequestFilter(model="gpt-4o")], ids=named)
def test_what_arrived(pair: Pair, selection: RequestFilter) -> None:
    for after, through in ((0, 300), (0, 200), (3, 120), (150, 230), (299, 300), (300, 300)):
        same(pair, partial(arrived_in, selection=selection, after=after, through=through))
    same(pair, lambda records: earlier(records, selection, by_host(records, 0, 300).through, 1000))
    assert pair.clickhouse.newest() == Arrivals({HOSTS[0]: 200, HOSTS[1]: 300})


def test_exports(pair: Pair) -> None:
    for name in FORMATS:
        for selection in (RANGES[0], RANGES[-1]):
            query = ExportQuery(format=name, filter=selection)
            files = [
                b"".join(piece.data for piece in export(records, query)) for records in (pair.sqlite, pair.clickhouse)
            ]
            assert files[0] == files[1]


@examples(40)
@given(
    metrics=st.lists(st.sampled_from(METRICS), min_size=1, max_size=8, unique=True),
    group_by=st.lists(st.sampled_from(NAMES), max_size=3, unique=True),
    selection=st.sampled_from(FILTERS),
    range_=st.sampled_from(RANGES),
    bucket=st.sampled_from(("hour", "day", "week", "month")),
    zone=st.sampled_from(ZONES),
    limit=st.sampled_from((1, 5, 100)),
)
def test_any_combination(
    pair: Pair, metrics: list[str], group_by: list[str], selection: RequestFilter, range_: RequestFilter, bucket: str,
    zone: str, limit: int,
) -> None:  # fmt: skip
    query = Query(
        metrics=tuple(metrics),
        group_by=tuple(group_by),
        filter=replace(selection, start=range_.start, end=range_.end),
        bucket=bucket if "time" in group_by else None,
        timezone=zone if set(group_by) & set(IN_TIME) else "UTC",
        limit=limit,
        slos=SLOS,
    )
    same_answers(pair, query)


def _values(pair: Pair, name: str) -> list[tuple[Row, float | None]]:
    """Every record's model, and its value, calculated here where no table has the column."""
    column, names = READABLE[name], ("model", "usage_source")
    over = column.over or Over(name, name)
    inputs = (over.value, over.known, over.at_most or over.known)

    def value(row: Row) -> float | None:
        counts = [READABLE[one].counts_once for one in inputs]
        counted = (None if once and row[1] == "repeated" else each for once, each in zip(counts, row[2:], strict=True))
        one, known, most = counted
        if known is None or (over.word and known != over.word) or (over.at_most and known > (most or 0)):
            return None
        return one if one is not None or not over.counts_missing else 0

    return [(row, value(row)) for row in pair.sqlite.page(RequestFilter(), (*names, *inputs), None, 1000)]


@pytest.mark.parametrize("name", FIELDS)
def test_percentiles_from_sketches_are_within_their_error(pair: Pair, name: str) -> None:
    """Of records, and of sums by the hour: of all, and by model."""
    rows = [(row[0], value) for row, value in _values(pair, name) if value is not None]
    percents = [float(percent) for percent in SHOWN]
    metrics = tuple(f"{name}.p{percent:g}" for percent in percents)
    asked = [Query(metrics=metrics), Query(metrics=metrics, group_by=("model",), limit=1000)]
    for source in (SketchedSource(pair.reading), HourlySource(pair.reading)):
        for query in asked:
            reading = Reading(source, [query], NOW, pair.sqlite.sources()[-1].span())
            if not all(map(source.can_answer, reading.plans)):
                assert name not in _sketched(query.group_by)
                continue
            for row in ask([reading], query, NOW).rows:
                model = row.key.get("model")
                values = sorted(one for at, one in rows if not query.group_by or at == model)
                for percent, metric in zip(percents, metrics, strict=True):
                    is_near(row.values[metric].value, values, percent)


def _sketched(words: tuple[str, ...]) -> set[str]:
    """Columns whose percentiles are kept by these words."""
    return {column for one in PROJECTIONS if set(words) <= set(one.keys) for column in one.sketched}


NEARLY_ZERO: Final = 1e-270  # a sketch has one place for all that is nearer to zero


def is_near(found: float | None, values: list[Any], percent: float) -> None:
    """A percentile lies between the two values beside its place, or as near to them as is promised."""
    if not values:
        assert found is None
        return
    place = percent / 100 * (len(values) - 1)
    low, high = (min(values[at], 1e280) for at in (floor(place), ceil(place)))  # beyond, the server refuses
    assert found is not None
    low, high = low - abs(low) * RELATIVE_ERROR * 1.001, high + abs(high) * RELATIVE_ERROR * 1.001
    assert low - NEARLY_ZERO <= found <= high + NEARLY_ZERO


def test_records_of_a_range_are_estimated_without_reading_them(pair: Pair) -> None:
    nobody = RequestFilter(start=datetime(2040, 1, 1, tzinfo=UTC))
    for selection in (*RANGES, nobody):
        (counted_there,) = ask(pair.sqlite.sources()[-1:], Query(metrics=("requests",), filter=selection), NOW).rows
        least = counted_there.values["requests"].value
        assert least is not None
        assert least <= about(pair.reading, QueryPlan(filter=selection)) <= (0 if selection is nobody else len(ROWS))


def test_a_moment_has_no_record_that_came_later(clickhouse_url: str, tmp_path: Path) -> None:
    with paired(clickhouse_url, tmp_path) as pair:
        pair.add(ROWS[:40])
        with pair.clickhouse.moment() as now:
            pair.add(ROWS[40:50])
            pair.add(ROWS[50:60], "another")
            assert counted(now) == 40
            assert now.newest() == Arrivals({"one": 40})
            assert counted(pair.clickhouse) == 60


def counted(records: Records) -> int:
    (result,) = records.sources()[-1].read([QueryPlan(filter=RequestFilter())])
    return result.groups[0].partial.count("requests")


def test_objectives_are_followed_while_records_come(clickhouse_url: str, tmp_path: Path) -> None:
    with paired(clickhouse_url, tmp_path) as pair:
        followed = GoodHours(pair.clickhouse)
        for begin in range(0, 300, 100):
            pair.add(ROWS[begin : begin + 100], HOSTS[begin // 100 % 2])
            window = bounded(RequestFilter())
            assert followed.measure(window, SLOS) == GoodHours(pair.sqlite).measure(window, SLOS)


def test_epochs_change_with_stored_records_alone(clickhouse_url: str, tmp_path: Path) -> None:
    with paired(clickhouse_url, tmp_path) as pair:
        pair.add(ROWS[:40])
        before = pair.clickhouse.epoch()
        pair.add(ROWS[40:50])
        assert pair.clickhouse.epoch() == before
        pair.connection.command(f"ALTER TABLE {TABLE} UPDATE cost_usd = 1 WHERE arrival = 3")
        assert pair.clickhouse.epoch() != before


def test_says_from_when_on_retention_keeps_records(clickhouse_url: str, tmp_path: Path) -> None:
    with paired(clickhouse_url, tmp_path) as pair:
        assert pair.clickhouse.kept_from() is None
        place = TablePlace(pair.connection.address.database)
        pair.connection.command(retention(place, 30))
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        assert pair.clickhouse.kept_from() in (midnight - timedelta(days=30), midnight - timedelta(days=29))
        pair.connection.command(retention(place, 0))
        assert pair.clickhouse.kept_from() is None


SCOPES: Final = (
    (Condition("user", "=", ("u1", "u2")),),
    (Condition("app", "=", ("app-1",)), Condition("api_key_id", "=", ("k1", "k2"))),
    (Condition("tag", "=", ("team=red",)),),
)


@pytest.mark.parametrize("own", [*range(len(SCOPES)), "common"], ids=str)
def test_what_a_scope_sees(pair: Pair, own: int | str) -> None:
    """Answers, pages, sessions, single records and exports of a reader who sees some records only."""
    column = ROW_COLUMNS.index("user")
    users = [row[column] for row in ROWS if isinstance(row[column], str) and row[column]]
    conditions = SCOPES[own] if isinstance(own, int) else (Condition("user", "=", (max(set(users), key=users.count),)),)

    def asked(question: Callable[[Any], Any]) -> None:
        same(pair, lambda records: question(ScopedRecords(records, conditions)))

    asked(lambda records: whole_span(records.sources()))
    asked(lambda records: ask(records.sources(), Query(metrics=SOME[:3], group_by=("user", "model")), NOW))
    asked(lambda records: list_requests(records, RequestFilter(), 50).items)
    asked(lambda records: list(session_pages(records, SessionsQuery(order="-total_tokens", limit=3))))
    asked(lambda records: list(session_pages(records, SessionsQuery(order="user", limit=3))))
    seen = [row.session_id for row in list_sessions(pair.sqlite, SessionsQuery(limit=200), NOW).items]
    for session_id in seen[:20]:
        asked(lambda records, name=session_id: read_session(records, name, NOW))  # type: ignore[misc]
        asked(lambda records, name=session_id: records.started_by(name, 10))  # type: ignore[misc]
    for row in ROWS[::17]:
        request_id = row[ROW_COLUMNS.index("request_id")]
        asked(lambda records, key=request_id: get_request(records, key))  # type: ignore[misc]
    asked(lambda records: b"".join(piece.data for piece in export(records, ExportQuery(format="jsonl"))))


def test_budgets_and_limits(pair: Pair) -> None:
    for per, unit in product(("day", "week", "month"), ("USD", "tokens")):
        for each in (None, "user", "tag:team"):
            rule = BudgetRule(name="b", limit=1.0, unit=unit, per=per, each=each, timezone="Europe/Berlin")
            same(pair, lambda records, rule=rule: measure_budget(records.sources(), rule, NOW)[0])  # type: ignore[misc]
    now = NOW.timestamp()
    columns = [ROW_COLUMNS.index(name) for name in ("backend_name", "backend", "api_key_id")]
    for backend_name, backend, key in {tuple(row[place] for place in columns) for row in ROWS[:40]}:
        word = QuotaLeft(
            backend=str(backend_name or backend or ""), api_key_id=str(key or ""), limit="primary", left=None,
            left_ratio=0.5, window_s=604_800.0, measured_at=now - 60, resets_at=now + 86_400,
        )  # fmt: skip
        windows = [with_word((), word)]
        same(pair, lambda records, windows=windows: report_limits(records.sources(), windows, now))  # type: ignore[misc]


@pytest.mark.parametrize("zone", ZONES)
def test_what_the_proxy_sees_of_servers(pair: Pair, zone: str) -> None:
    names = {row[ROW_COLUMNS.index("backend_name")] for row in ROWS}
    seen = Seen(tuple(ServerSeen(str(name), AskingState.TELLS) for name in sorted(map(str, names))))
    port = ServersPort(lambda: seen, lambda _start, _end: [], "one")
    query = ServersQuery(datetime(2026, 3, 28, tzinfo=UTC), NOW, zone)
    same(pair, lambda records: servers_report(records, port, query, NOW))
