"""Roll-ups answer as records do: counts and sums exactly, percentiles within one percent; so says DuckDB too."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.conditions import parse_conditions
from llm_metrics_proxy.analytics.distribution import DistributionQuery, distribute
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.engines.sqlite import rollup_collected, rollup_plan, rollup_range
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.engines.sqlite.rollup_source import RollupSource
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.storage import rollup_store
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.retention import prune_some
from llm_metrics_proxy.storage.rollup_state import read_state, reset, write_state
from llm_metrics_proxy.storage.rollup_store import add, gather
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.analytics import duck
from tests.examples import examples
from tests.rollups import oracle
from tests.rollups.records import FIRST, a_row_of, changed

NOW: Final = datetime(2026, 4, 2, tzinfo=UTC)
LAST: Final = FIRST + timedelta(hours=75)
METRICS: Final = (
    "requests", "success_rate", "error_rate", "prompt_tokens", "request_bytes", "response_time_ms.mean",
    "total_tokens", "cost_usd", "cost_usd.max", "cost_usd.count",
    "response_time_ms.min", "response_time_ms.max", "response_time_ms.sum", "time_to_first_token_ms.count",
    "response_time_ms.p50", "response_time_ms.p95", "time_to_first_token_ms.p1",
)  # fmt: skip
WITHOUT_SKETCHES: Final = METRICS[:-3]
GROUPS: Final = ((), ("model",), ("streaming",), ("backend_name",), ("model", "streaming"), ("endpoint",))
CONDITIONS: Final[tuple[dict[str, Any], ...]] = (
    {}, {}, {"model": "gpt-4o"}, {"streaming": True}, {"model": "é'\"", "streaming": False}, {"app_version": "2.2.0"},
    {"model": "there is none"}, *({"where": parse_conditions(texts)} for texts in (
        ["model=gpt-4o,llama3:8b"], ["model!=gpt-4o"], ["model=(none),gpt-4o", "app_version!=2.2.0"],
        ["streaming=true,false", "model!=(none)"],
    )),
)  # fmt: skip
ZONES: Final = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 records of four days around a change of clocks; dense and sparse days; 200 are not rolled up yet."""
    path, random = tmp_path_factory.mktemp("rollups") / "metrics.db", Random(11)
    store = SqliteStore(path)
    rows = [a_row_of(random, hours=random.choice((10, 28, 75))) for _ in range(3000)]
    store.append(IngestBatch(rows=rows))
    store.close()
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    with pytest.MonkeyPatch.context() as patch, connection:
        patch.setattr(rollup_store, "DENSE_DAY", 600)
        patch.setattr(rollup_store, "DENSE_QUARTER", 20)
        assert add(connection, gather(connection, read_state(connection), 2800))
    connection.close()
    assert set(oracle.decided(path).days.values()) == {True, False}
    assert len(oracle.decided(path).quarters) > 30
    return path


@pytest.fixture(autouse=True)
def always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few thousand records would be read as they are, and some thousand rows at once."""
    monkeypatch.setattr(rollup_range, "FEW_RECORDS", 0)
    monkeypatch.setattr(rollup_collected, "PAGE", 50)
    monkeypatch.setattr(rollup_collected, "MOST_ENTRIES", 200)


@pytest.fixture
def reader(path: Path) -> Iterator[SqliteReader]:
    reader = SqliteReader(path)
    yield reader
    reader.close()


def values_of(result: Result) -> dict[tuple[Any, ...], dict[str, tuple[Any, int]]]:
    return {
        tuple(row.key.values()): {name: (each.value, each.n) for name, each in row.values.items()}
        for row in result.rows
    }


def assert_same(found: dict[Any, Any], wanted: dict[Any, Any]) -> None:
    assert found.keys() == wanted.keys()
    for key, metrics in wanted.items():
        for name, (value, n) in metrics.items():
            got, got_n = found[key][name]
            assert got_n == n, (key, name)
            assert (got is None) == (value is None), (key, name)
            if value is not None:
                # of values of both signs, or next to nothing, there is no relative error: see the sketch's own tests
                within = 0.0101 if ".p" in name else 1e-9
                assert abs(got - value) <= within * abs(value) + 1e-6, (key, name, got, value)


QUERIES = st.builds(
    lambda group, time, zone, bucket, condition, start, hours: Query(
        metrics=(*WITHOUT_SKETCHES, "requests_per_second", "concurrency_mean"),
        group_by=(*time, *group),
        bucket=bucket if "time" in time else None,
        timezone=zone,
        filter=RequestFilter(start=start, end=start + timedelta(hours=hours), **condition),
        limit=1000,
    ),
    st.sampled_from(GROUPS),
    st.sampled_from(((), ("time",), ("weekday", "hour_of_day"))),
    st.sampled_from(ZONES),
    st.sampled_from(("15m", "hour", "day", "week")),
    st.sampled_from(CONDITIONS),
    st.datetimes(datetime(2026, 3, 28), datetime(2026, 3, 30), timezones=st.just(UTC)),
    st.floats(0.5, 100),
)


@examples(40, allow=(HealthCheck.function_scoped_fixture,))
@given(QUERIES)
def test_every_count_and_sum_is_that_of_the_records(reader: SqliteReader, query: Query) -> None:
    records = RecordsSource(reader)
    found = ask((_Always(reader), records), query, NOW)
    assert_same(values_of(found), values_of(ask((records,), query, NOW)))


SHORT: Final = st.builds(
    lambda group, bucket, condition, start, hours: Query(
        metrics=("requests", "success_rate", "total_tokens", "response_time_ms.sum"),
        group_by=("time", *group) if bucket else group,
        bucket=bucket,
        filter=RequestFilter(start=start, end=start + timedelta(hours=hours), **condition),
        limit=1000,
    ),
    st.sampled_from(((), ("model",), ("outcome",), ("error_category",), ("origin",), ("model", "outcome"), ("user",))),
    st.sampled_from((None, "minute", "5m", "15m")),
    st.sampled_from(CONDITIONS),
    st.datetimes(FIRST.replace(tzinfo=None), datetime(2026, 3, 29, 6), timezones=st.just(UTC)),
    st.floats(0.01, 8),
)


@examples(60, allow=(HealthCheck.function_scoped_fixture,))
@given(SHORT)
def test_minutes_of_dense_quarters_say_what_records_say(reader: SqliteReader, query: Query) -> None:
    records = RecordsSource(reader)
    found = ask((_Always(reader), records), query, NOW)
    assert_same(values_of(found), values_of(ask((records,), query, NOW)))


def test_minutes_answer_for_an_hour_of_much_traffic(tmp_path: Path) -> None:
    path, random = tmp_path / "metrics.db", Random(13)
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[a_row_of(random, hours=1.5, odd=False) for _ in range(6000)]))
    store.close()
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    with pytest.MonkeyPatch.context() as patch, connection:
        patch.setattr(rollup_store, "DENSE_QUARTER", 500)
        assert add(connection, gather(connection, read_state(connection), 5900))
    connection.close()
    start = FIRST + timedelta(minutes=7, seconds=20)
    reader = SqliteReader(path)
    for group, metrics in (((), METRICS), (("model",), METRICS), (("outcome",), WITHOUT_SKETCHES[:3])):
        selection = RequestFilter(start=start, end=start + timedelta(minutes=60))
        query = Query(metrics=metrics, group_by=("time", *group), bucket="minute", filter=selection, limit=1000)
        found = ask((RollupSource(reader), RecordsSource(reader)), query, NOW)
        assert found.source == "both"
        assert_same(values_of(found), values_of(ask((RecordsSource(reader),), query, NOW)))
    reader.close()


class _Always(RollupSource):
    """The source, asked whether or not it thinks that records are faster."""

    def is_worth_it(self, plan: Any) -> bool:
        return True


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records without odd values, all rolled up but the last."""
    path, random = tmp_path_factory.mktemp("plain") / "metrics.db", Random(12)
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[a_row_of(random, hours=75, odd=False) for _ in range(2000)]))
    store.close()
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    with connection:
        assert add(connection, gather(connection, read_state(connection), 1999))
    connection.close()
    return path


@pytest.mark.grid
@pytest.mark.parametrize("group", [(), ("time",), ("model",), ("time", "streaming"), ("weekday",), ("hour_of_day",)])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_percentiles_are_within_one_percent_of_those_of_duckdb(plain: Path, group: tuple[str, ...], zone: str) -> None:
    start = datetime(2026, 3, 28, 21, 7, tzinfo=UTC)
    query = Query(
        metrics=METRICS,
        group_by=group,
        bucket="day" if "time" in group else None,
        timezone=zone,
        filter=RequestFilter(start=start, end=start + timedelta(hours=70)),
        limit=1000,
    )
    reader = SqliteReader(plain)
    result = ask((RollupSource(reader), RecordsSource(reader)), query, NOW)
    reader.close()
    assert (result.source, result.relative_error) == ("both", 0.01)
    found = {}
    for row in result.rows:
        key = [duck.label_of(str(v), "day", zone) if k == "time" else v for k, v in row.key.items()]
        if row.values["requests"].value:
            found[tuple(key)] = {name: (each.value, each.n) for name, each in row.values.items()}
    assert_same(found, duck.answer(oracle.records_in(plain), query))


def planned(query: Query) -> Any:
    return plan(query, PlanningContext((FIRST, LAST), NOW)).current


@pytest.mark.parametrize(
    "query",
    [
        Query(metrics=("concurrency_max",)),
        Query(group_by=("response_model",)),
        Query(group_by=("model", "user")),
        Query(group_by=("tag:team",)),
        Query(metrics=("connect_ms.mean",), group_by=("model",)),
        Query(metrics=("proxy_overhead_ms.p95",), group_by=("outcome",)),
        Query(filter=RequestFilter(success=True)),
        Query(filter=RequestFilter(where=parse_conditions(["response_time_ms>5"]))),
        Query(group_by=("time",), bucket="5m", filter=RequestFilter(start=FIRST, end=LAST)),
        Query(filter=RequestFilter(start=FIRST, end=FIRST + timedelta(seconds=50))),
    ],
    ids=lambda query: "-".join([*query.metrics, *query.group_by]),
)
def test_what_roll_ups_do_not_know_is_left_to_records(reader: SqliteReader, query: Query) -> None:
    source = RollupSource(reader)
    assert not (source.can_answer(planned(query)) and source.is_worth_it(planned(query)))
    assert ask((RollupSource(reader), RecordsSource(reader)), query, NOW).source == "records"


def test_hours_of_hardly_any_records_before_much_traffic_do_not_count(tmp_path: Path) -> None:
    """The last hour by the minute: 50 minutes are edges, and 10 have nearly all records."""
    path, random = tmp_path / "metrics.db", Random(14)
    store = SqliteStore(path)
    quiet = [a_row_of(random, hours=0.75, odd=False) for _ in range(40)]
    busy = [
        changed(a_row_of(random, odd=False), timestamp=f"2026-03-28T20:{random.randrange(45, 55)}:07.000000Z")
        for _ in range(3000)
    ]
    store.append(IngestBatch(rows=[*quiet, *busy]))
    store.close()
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    with pytest.MonkeyPatch.context() as patch, connection:
        patch.setattr(rollup_store, "DENSE_QUARTER", 500)
        assert add(connection, gather(connection, read_state(connection), 3040))
    connection.close()
    reader = SqliteReader(path)
    query = Query(metrics=METRICS, group_by=("time",), bucket="minute", filter=RequestFilter(start=FIRST))
    found = ask((RollupSource(reader), RecordsSource(reader)), query, FIRST + timedelta(hours=1))
    assert found.source == "both"
    assert_same(values_of(found), values_of(ask((RecordsSource(reader),), query, FIRST + timedelta(hours=1))))
    early = msgspec.structs.replace(query, filter=RequestFilter(start=FIRST, end=FIRST + timedelta(minutes=45)))
    assert ask((RollupSource(reader), RecordsSource(reader)), early, FIRST + timedelta(hours=1)).source == "records"
    reader.close()


def test_an_open_end_does_not_make_a_range_long(reader: SqliteReader) -> None:
    """Of users there are percentiles of days alone, so that the last hours would be read record by record."""
    query = Query(
        metrics=("response_time_ms.p50",), group_by=("user",), filter=RequestFilter(start=LAST - timedelta(hours=5))
    )
    assert ask((RollupSource(reader), RecordsSource(reader)), query, NOW).source == "records"
    longer = Query(metrics=("response_time_ms.p50",), group_by=("user",), filter=RequestFilter(start=FIRST))
    assert ask((RollupSource(reader), RecordsSource(reader)), longer, NOW).source == "both"


def test_few_records_are_read_as_they_are(reader: SqliteReader, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RollupSource(reader).is_worth_it(planned(Query()))
    monkeypatch.setattr(rollup_range, "FEW_RECORDS", 5000)
    assert not RollupSource(reader).is_worth_it(planned(Query()))


def test_a_comparison_with_hardly_any_records_does_not_make_the_other_slow(
    reader: SqliteReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup_range, "FEW_RECORDS", 100)
    selection = RequestFilter(start=FIRST, end=FIRST + timedelta(hours=40))
    query = Query(metrics=WITHOUT_SKETCHES, filter=selection, compare=True)
    found = ask((RollupSource(reader), RecordsSource(reader)), query, NOW)
    assert found.source == "both"
    assert_same(values_of(found), values_of(ask((RecordsSource(reader),), query, NOW)))


def test_only_an_open_range_has_records_whose_time_cannot_be_read(reader: SqliteReader, path: Path) -> None:
    everything = ask((RollupSource(reader),), Query(), NOW)
    assert everything.records == len(oracle.records_in(path))
    closed = Query(filter=RequestFilter(start=FIRST - timedelta(days=1), end=NOW))
    readable = [record for record in oracle.records_in(path) if record["timestamp"] is not None]
    assert ask((RollupSource(reader),), closed, NOW).records == len(readable) < everything.records


def test_while_roll_ups_are_incomplete_records_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, random = tmp_path / "metrics.db", Random(1)
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[a_row_of(random) for _ in range(50)]))
    reader = SqliteReader(path)
    assert not RollupSource(reader).can_answer(planned(Query()))
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    monkeypatch.setattr(rollup_range, "MAX_TAIL", 10)
    assert not RollupSource(reader).can_answer(planned(Query()))
    with connection:
        add(connection, gather(connection, read_state(connection), 40))
    source = RollupSource(reader)
    assert source.can_answer(planned(Query()))
    with connection:
        reset(connection)
    assert not source.can_answer(planned(Query()))
    (reading,) = source.read([planned(Query())])  # it had said yes just before
    assert sum(group.partial.count("requests") for group in reading.groups) == 50
    connection.close()
    reader.close()
    store.close()


def test_days_that_were_pruned_are_still_told(tmp_path: Path) -> None:
    path, random = tmp_path / "metrics.db", Random(4)
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[a_row_of(random, odd=False, hours=75) for _ in range(400)]))
    store.close()
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    with connection:
        add(connection, gather(connection, read_state(connection), 400))
    reader = SqliteReader(path)
    query = Query(metrics=METRICS, group_by=("time",), bucket="day")
    before = ask((RollupSource(reader), RecordsSource(reader)), query, NOW)
    with connection:
        assert prune_some(connection, int(datetime(2026, 3, 30, tzinfo=UTC).timestamp()), 1000)
    connection.close()
    after = ask((RollupSource(reader), RecordsSource(reader)), query, NOW)
    by_tag = ask((RollupSource(reader), RecordsSource(reader)), Query(group_by=("tag:a",)), NOW)
    spread = distribute((RollupSource(reader), RecordsSource(reader)), DistributionQuery(metric="connect_ms"), NOW)
    since = RequestFilter(start=datetime(2026, 3, 30, tzinfo=UTC))
    later = ask((RollupSource(reader), RecordsSource(reader)), Query(group_by=("tag:a",), filter=since), NOW)
    reader.close()
    assert (before.pruned_before, after.pruned_before, spread.pruned_before, later.pruned_before) == (None,) * 4
    assert by_tag.pruned_before == since.start  # what only records can tell lacks those
    assert by_tag.records < after.records
    assert after.start is not None
    assert after.start.date() == FIRST.date()
    assert after.source == "both"
    assert values_of(after).keys() == values_of(before).keys()
    assert_same(values_of(after), values_of(before))


def test_a_range_that_ends_within_a_pruned_day_is_rounded_to_what_is_kept(tmp_path: Path) -> None:
    path, random = tmp_path / "metrics.db", Random(4)
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[a_row_of(random, odd=False, hours=75) for _ in range(400)]))
    store.close()
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    with connection:
        add(connection, gather(connection, read_state(connection), 400))
    stamps = [record["timestamp"] for record in oracle.records_in(path)]
    with connection:
        assert prune_some(connection, int(datetime(2026, 3, 30, tzinfo=UTC).timestamp()), 1000)
    connection.close()
    reader = SqliteReader(path)
    end = datetime(2026, 3, 29, 10, 20, tzinfo=UTC)
    found = ask((RollupSource(reader),), Query(filter=RequestFilter(end=end)), NOW)
    reader.close()
    assert found.records == sum(stamp < "2026-03-29T10:30" for stamp in stamps)  # its quarter of an hour begins before


def test_a_histogram_follows_from_the_sketch(plain: Path) -> None:
    reader = SqliteReader(plain)
    question = DistributionQuery(metric="response_time_ms", filter=RequestFilter(start=FIRST, end=LAST))
    found = distribute((RollupSource(reader), RecordsSource(reader)), question, NOW)
    exact = distribute((RecordsSource(reader),), question, NOW)
    nothing = distribute(
        (_Always(reader), RecordsSource(reader)),
        DistributionQuery(metric="response_time_ms", filter=RequestFilter(model="there is none")),
        NOW,
    )
    reader.close()
    assert (found.source, found.n, found.coverage) == ("both", exact.n, exact.coverage)
    assert found.mean == pytest.approx(exact.mean)
    for name, value in exact.percentiles.items():
        assert found.percentiles[name] == pytest.approx(value, rel=0.0101)
    # a value within one percent of an edge may be in the neighbour
    reached = below = 0
    for one, other in zip(found.bins, exact.bins, strict=False):
        reached, below = reached + one.n, below + other.n
        assert abs(reached - below) <= 0.03 * exact.n
    assert sum(one.n for one in found.bins) == exact.n
    assert (nothing.n, nothing.bins) == (0, [])


@pytest.mark.parametrize(
    ("text", "dimensions"),
    [
        ("model!=gpt-4o", ("model",)), ("status_code>=400", ("status_code",)),
        ("outcome=completed,timeout", ("outcome",)), ("user=ann,(none)", ("user",)),
    ],
)  # fmt: skip
def test_several_values_not_and_comparisons_of_words_that_are_rolled_up_need_no_records(
    reader: SqliteReader, text: str, dimensions: tuple[str, ...]
) -> None:
    selection = RequestFilter(start=FIRST, end=FIRST + timedelta(hours=48), where=parse_conditions([text]))
    query = Query(metrics=("requests", "success_rate", "response_time_ms.sum"), filter=selection)
    found = ask((RollupSource(reader), RecordsSource(reader)), query, NOW)
    assert found.source == "both"
    chosen = rollup_plan.choose(planned(query))
    assert chosen is not None
    assert chosen.grain.dimensions == dimensions
    assert_same(values_of(found), values_of(ask((RecordsSource(reader),), query, NOW)))
