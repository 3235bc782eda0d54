from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics import exact
from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.calendar import BUCKETS
from llm_metrics_proxy.analytics.dimensions import DIMENSIONS
from llm_metrics_proxy.analytics.exact import ExactAggregates, ExactStats
from llm_metrics_proxy.analytics.filters import WORDS, RequestFilter, stored_time
from llm_metrics_proxy.analytics.measures import FIELDS, NAMED, STATISTICS
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.analytics.slos import Slo
from llm_metrics_proxy.engines.sqlite import records_source
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.errors import QueryError, StoreError
from llm_metrics_proxy.export import ExportQuery, export
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics import duck
from tests.analytics.database import NOON, Database, a_record, a_row
from tests.engines.sqlite.watching import Watching
from tests.examples import examples
from tests.rollups.records import changed

NOW: Final = datetime(2026, 11, 1, tzinfo=UTC)


class Place(NamedTuple):
    """A zone, and a moment at which its clocks changed."""

    zone: str
    change: datetime


PLACES: Final = (
    Place("UTC", datetime(2026, 3, 1, tzinfo=UTC)),
    Place("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    Place("Europe/Berlin", datetime(2025, 10, 26, 1, tzinfo=UTC)),
    Place("America/St_Johns", datetime(2010, 11, 7, 2, 31, tzinfo=UTC)),  # 00:01 becomes 23:01
    Place("America/St_Johns", datetime(2011, 3, 13, 3, 31, tzinfo=UTC)),
    Place("Asia/Kathmandu", datetime(1985, 12, 31, 18, 30, tzinfo=UTC)),  # +5:30 becomes +5:45
    Place("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # 30 December was left out
    Place("Australia/Lord_Howe", datetime(2025, 4, 5, 15, tzinfo=UTC)),  # half an hour
)
METRICS: Final = (
    *NAMED,
    *(f"{column}.{statistic}" for column in FIELDS for statistic in (*STATISTICS, "p0.1", "p50", "p95", "p99.9")),
)
GROUPS: Final = (*DIMENSIONS, "tag:team", "tag:a", "bin:response_time_ms", "bin:prompt_tokens")
SLOS: Final = (Slo("response_time_ms", "<", 500.0), Slo("time_to_first_token_ms", "<=", 200.0))

UNLIKELY: Final = (-3.0, 2.5, 1e300, 5e-324)
NAMES: Final = (None, None, "a", "b", "", "it's", "é%_", "7")
TAGS: Final = (None, "team=x", "a=1,team=y", "a=,b=2", "xteam=z", "steam=1,team=2", "")
DAY_US: Final = 86_400 * 10**6


def a_fact(random: Random, change: datetime) -> dict[str, Any]:
    """A record of which much is missing. Most is close to the change."""

    def number(*values: Any) -> Any:
        return random.choice((None, None, *values))

    at_us = random.choice((0, -1, 1, random.randint(-4, 4) * 30 * 60 * 10**6, random.randint(-3 * DAY_US, 3 * DAY_US)))
    return {
        "timestamp": random.choice((*[stored_time(change + timedelta(microseconds=at_us))] * 9, None)),
        "tags": random.choice(TAGS),
        "is_streaming": random.choice((0, 1, None)),
        "success": random.choice((0, 1, 1, 1, None)),
        "status_code": random.choice((200, 200, 429, 500, None)),
        **{name: random.choice(NAMES) for name in duck.TEXTS if name not in {"tags", "app_version"}},
        "app_version": random.choice(("1.0.0", "", "7")),
        **{name: number(0.0, 500.0, 1.0, random.choice(UNLIKELY), random.randint(0, 10**9) / 1000)
           for name in duck.NUMBERS},
        **{name: number(0, 1500, 2**40, random.randint(0, 100_000)) for name in duck.COUNTS},
    }  # fmt: skip


def ask_of(rows: Sequence[Mapping[str, Any]], query: Query) -> Result:
    """Put the rows into the table and ask."""
    with TemporaryDirectory() as folder:
        database = Database(Path(folder))
        with apsw.Connection(str(database.path)) as connection:
            for row in rows:
                marks = ", ".join("?" * len(row))
                connection.execute(
                    f"INSERT INTO completion_requests ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
                )
        connection.close()
        try:
            return ask([RecordsSource(database.reader)], query, NOW)
        finally:
            database.close()


def by_key(result: Result) -> dict[tuple[Any, ...], dict[str, tuple[Any, int]]]:
    """As the witness has it; buckets and series of nothing are left out."""
    query, found = result.query, {}
    for row in result.rows:
        key = []
        for name in query.group_by:
            value = row.key[name]
            if name == "time" and value is not None:
                assert query.bucket is not None
                value = duck.label_of(str(value), query.bucket, query.timezone)
            if name.startswith("bin:") and value is not None:
                value = str(value)
            key.append(value)
        assert tuple(key) not in found
        found[tuple(key)] = {name: (one.value, one.n) for name, one in row.values.items()}
        requests = row.values["requests"].n
        for name, one in row.values.items():
            # of a ratio of caches, coverage is a share of the records with prompt tokens
            assert name == "cache_hit_ratio" or one.coverage == (one.n / requests if requests else None)
    return {key: values for key, values in found.items() if values["requests"][1]}


def same(ours: Any, theirs: Any) -> bool:
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return bool(float(ours) == pytest.approx(float(theirs), rel=1e-9, abs=1e-9))


@pytest.mark.grid
@examples(80)
@given(
    st.integers(0, 2**32),
    st.integers(0, 40),
    st.sampled_from(PLACES),
    st.lists(st.sampled_from(GROUPS), max_size=3, unique=True),
    st.lists(st.sampled_from(METRICS), min_size=1, max_size=10, unique=True),
    st.sampled_from([*BUCKETS]),
    st.tuples(st.integers(0, 4000), st.integers(0, 4000)),
)
def test_every_metric_by_every_dimension_equals_what_duckdb_says(
    seed: int,
    records: int,
    place: Place,
    group_by: list[str],
    metrics: list[str],
    bucket: str,
    around: tuple[int, int],
) -> None:
    before, after = around if bucket not in {"minute", "5m"} else (around[0] % 700, around[1] % 700)
    query = Query(
        metrics=tuple(dict.fromkeys(("requests", *metrics))),
        group_by=tuple(group_by),
        filter=RequestFilter(
            start=place.change - timedelta(minutes=before), end=place.change + timedelta(minutes=after + 1)
        ),
        bucket=bucket if "time" in group_by else None,
        timezone=place.zone,
        limit=10_000,
        slos=SLOS,
    )
    random = Random(seed)
    rows = [a_fact(random, place.change) for _ in range(records)]
    ours, theirs = by_key(ask_of(rows, query)), duck.answer(rows, query)
    assert ours.keys() == theirs.keys()
    for key, values in theirs.items():
        for name, (value, n) in values.items():
            found = ours[key][name]
            assert (key, name, found[1]) == (key, name, n)
            assert same(found[0], value), (key, name, found[0], value)


NOT_NULL: Final = ("endpoint", "outcome", "app_version")


def a_stored_row(random: Random, change: datetime) -> tuple[Any, ...]:
    """A record as this program stores it: of the right types, with much that is missing."""

    def number(*values: Any) -> Any:
        return random.choice((None, *values))

    at_us = random.choice((0, -1, 1, random.randint(-4, 4) * 30 * 60 * 10**6, random.randint(-3 * DAY_US, 3 * DAY_US)))
    words = {
        name: random.choice(("a", "b", "", "it's", "é%_", *([] if name in NOT_NULL else [None])))
        for name in duck.TEXTS
        if name != "tags"
    }
    facts = {
        "timestamp": stored_time(change + timedelta(microseconds=at_us)),
        "tags": random.choice(TAGS),
        "is_streaming": random.choice((0, 1)),
        "success": random.choice((0, 1, 1)),
        "status_code": random.choice((200, 429, 500, None)),
        **words,
        **{name: number(0.0, 500.0, random.randint(0, 10**9) / 1000) for name in duck.NUMBERS},
        **{name: number(0, 1500, 2**40, random.randint(0, 100_000)) for name in duck.COUNTS},
        **{name: random.choice((0, 1500, 2**40)) for name in ("request_bytes", "response_bytes")},
    }
    return changed(a_row(a_record()), **facts, request_id=f"{random.getrandbits(128):032x}")


@examples(40)
@given(
    st.integers(0, 2**32),
    st.sampled_from((0, 1, 2, 30)),
    st.sampled_from(PLACES),
    st.lists(st.sampled_from(GROUPS), max_size=2, unique=True),
    st.sampled_from([*BUCKETS]),
)
def test_every_metric_is_what_duckdb_says_of_the_exported_file(
    seed: int, records: int, place: Place, group_by: list[str], bucket: str
) -> None:
    minutes = timedelta(minutes=3000 if bucket not in {"minute", "5m"} else 700)
    random = Random(seed)
    metrics = ("requests", *random.sample([name for name in METRICS if name != "requests"], 25))
    query = Query(
        metrics=metrics,
        group_by=tuple(group_by),
        filter=RequestFilter(start=place.change - minutes, end=place.change + minutes),
        bucket=bucket if "time" in group_by else None,
        timezone=place.zone,
        limit=10_000,
        slos=SLOS,
    )
    with TemporaryDirectory() as folder:
        database = Database(Path(folder))
        database.append([a_stored_row(random, place.change) for _ in range(records)])
        ours = by_key(ask([RecordsSource(database.reader)], query, NOW))
        exported = Path(folder) / "records.parquet"
        exported.write_bytes(b"".join(piece.data for piece in export(database.records, ExportQuery(format="parquet"))))
        database.close()
        theirs = duck.answer_of(duck.table_of_parquet(exported), query)
    assert ours.keys() == theirs.keys()
    for key, values in theirs.items():
        for name, (value, n) in values.items():
            found = ours[key][name]
            assert (key, name, found[1]) == (key, name, n)
            assert same(found[0], value), (key, name, found[0], value)


STRINGS: Final = (
    "'",
    '"',
    "';DROP TABLE completion_requests;--",
    "\x00",
    "%_",
    "a'||'b",
    ") OR (1=1",
    "{where}",
    "?1",
    ":a",
)


@pytest.mark.parametrize("text", STRINGS)
def test_words_from_outside_are_only_ever_values(database: Database, text: str) -> None:
    tag = text.replace("=", "") or "x"
    database.add(a_record(0, model=text, tags=f"{tag}={text}"), a_record(1, model="other"))
    source = RecordsSource(database.reader)
    found = ask([source], Query(group_by=("model", f"tag:{tag}"), filter=RequestFilter(model=text)), NOW)
    if "\x00" not in text:  # SQLite's instr ends at a NUL
        assert [row.key for row in found.rows] == [{"model": text, f"tag:{tag}": text}]
    assert found.records == 1
    for field in RequestFilter.__struct_fields__:
        if field in {"start", "end", "where", "streaming", "success", "status_code", *WORDS}:
            continue
        given: dict[str, Any] = {field: f"{text}={text}" if field == "tag" else text}
        selection = RequestFilter(**given)
        assert ask([source], Query(group_by=("model",), filter=selection), NOW).records <= 1
    assert ask([source], Query(), NOW).records == 2


def test_all_numbers_are_from_one_statement_and_so_from_one_snapshot(database: Database) -> None:
    database.add(a_record(), a_record(1, model="b"))
    watching = Watching(database.reader)
    plans = plan(
        Query(
            metrics=("response_time_ms.p95", "concurrency_max", "requests"),
            group_by=("time", "model"),
            filter=RequestFilter(start=NOON, end=NOON + timedelta(hours=1)),
            compare=True,
        ),
        PlanningContext(None, NOON),
    ).plans
    readings = RecordsSource(watching).read(plans)
    assert len(plans) == len(readings) == 3  # now, before, and the order of models
    assert len(watching.asked) == 1
    assert [sum(n for _, n in reading.versions) for reading in readings] == [2, 0, 2]


def test_more_groups_than_memory_holds_are_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.add(*(a_record(number, user=f"u{number}") for number in range(6)))
    monkeypatch.setattr(exact, "MAX_GROUPS", 5)
    monkeypatch.setattr(records_source, "MAX_GROUPS", 5)
    source = RecordsSource(database.reader)
    with pytest.raises(QueryError, match=r"more than 5 groups; ask for a shorter range, a filter, or fewer dimensions"):
        ask([source], Query(group_by=("user",)), NOW)
    narrower = Query(group_by=("user",), filter=RequestFilter(start=NOON + timedelta(seconds=1)))
    assert len(ask([source], narrower, NOW).rows) == 5


def test_the_span_is_that_of_the_times(tmp_path: Path, database: Database) -> None:
    assert RecordsSource(database.reader).span() is None
    database.append([a_row(a_record(timestamp=None))])
    assert RecordsSource(database.reader).span() is None
    database.add(a_record(0.5), a_record(100.25))
    assert RecordsSource(database.reader).span() == (NOON, NOON + timedelta(seconds=101))
    with pytest.raises(StoreError):
        RecordsSource(SqliteReader(tmp_path / "absent.db")).span()


def test_as_many_buckets_and_cells_as_there_may_be_are_answered(database: Database) -> None:
    database.add(a_record(0), a_record(3600 * 1900))
    query = Query(
        group_by=("time", "hour_of_day", "weekday", "bin:response_time_ms"),
        filter=RequestFilter(start=NOON, end=NOON + timedelta(hours=1990)),
        bucket="hour",
        timezone="America/St_Johns",
        compare=True,
    )
    answer = ask([RecordsSource(database.reader)], query, NOW)
    assert len(answer.rows) == 1991 * 2  # half an hour at either end; two series
    assert sum(row.values["requests"].n for row in answer.rows) == 2


def test_merged_groups_add_up_and_have_no_percentiles() -> None:
    nothing = ExactStats()
    one, other = ExactStats(2, 5.0, 1.0, 4.0, {0.5: 2.5}), ExactStats(1, 9.0, 9.0, 9.0, {0.5: 9.0})
    both = one.merged(other)
    assert (both.n, both.sum, both.min, both.max, both.quantile(0.5)) == (3, 14.0, 1.0, 9.0, None)
    assert one.merged(nothing) == nothing.merged(one) == one
    assert ExactStats(1, None, 1.0, 1.0).merged(other).sum is None  # a sum that no number can hold
    groups = (
        ExactAggregates({"requests": 2}, {"a": one}, 7),
        ExactAggregates({"requests": 1, "good": 1}, {"b": other}, 5),
    )
    merged = groups[0].merged(groups[1])
    assert (merged.count("requests"), merged.count("good"), merged.peak()) == (3, 1, None)
    assert merged.moments("a") == one
    assert merged.moments("b") == other


def test_percentiles_of_one_and_of_equal_values_are_those_values() -> None:
    for values in ([5.0], [5.0, 5.0, 5.0]):
        rows = [{"timestamp": stored_time(NOON), "response_time_ms": value, "app_version": "5.0.0"} for value in values]
        (row,) = ask_of(rows, Query(metrics=("response_time_ms.p0.1", "response_time_ms.p99.9"))).rows
        assert [one.value for one in row.values.values()] == [5.0, 5.0]
