from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.calendar import BUCKETS
from llm_metrics_proxy.analytics.dimensions import DIMENSIONS
from llm_metrics_proxy.analytics.filters import RequestFilter, stored_time
from llm_metrics_proxy.analytics.measures import FIELDS, NAMED, STATISTICS
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.records_source import RecordsSource
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.analytics.slos import Slo
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics import duck

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

ODD: Final = ("", "abc", "12", b"\x00\xff", float("inf"), float("-inf"), -3, 2.5, 1e300)
WORDS: Final = (None, None, "a", "b", "", "it's", "é%_", 7)
TAGS: Final = (None, "team=x", "a=1,team=y", "a=,b=2", "xteam=z", "steam=1,team=2", "")
DAY_US: Final = 86_400 * 10**6


def a_fact(random: Random, change: datetime) -> dict[str, Any]:
    """A record as other programs may leave it: much is missing, and some is nonsense. Most is close to the change."""

    def number(*values: Any) -> Any:
        return random.choice((None, None, random.choice(ODD), *values, *values))

    at_us = random.choice((0, -1, 1, random.randint(-4, 4) * 30 * 60 * 10**6, random.randint(-3 * DAY_US, 3 * DAY_US)))
    return {
        "timestamp": random.choice((*[stored_time(change + timedelta(microseconds=at_us))] * 9, None, 12, "abc", b"x")),
        "tags": random.choice(TAGS),
        "is_streaming": random.choice((0, 1, None, 2, "1")),
        "success": random.choice((0, 1, 1, 1, None, 2)),
        "status_code": random.choice((200, 200, 429, 500, None, 200.0, 1e6, "x")),
        **{name: random.choice(WORDS) for name in duck.TEXTS if name != "tags"},
        **{name: number(0.0, 500.0, 1.0, random.randint(0, 10**9) / 1000) for name in duck.NUMBERS},
        **{name: number(0, 1500.0, 2**40, random.randint(0, 100_000)) for name in duck.COUNTS},
    }


def ask_of(rows: Sequence[Mapping[str, Any]], query: Query) -> Result:
    """Put the rows into a table without types, as an adopted file may be, and ask."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.db"
        connection = apsw.Connection(str(path))
        connection.execute(f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, {', '.join(ALL_COLUMNS[1:])})")
        connection.execute("CREATE INDEX by_time ON completion_requests (timestamp)")
        for row in rows:
            marks = ", ".join("?" * len(row))
            connection.execute(
                f"INSERT INTO completion_requests ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
            )
        connection.close()
        reader = SqliteReader(path)
        try:
            return ask([RecordsSource(reader)], query, NOW)
        finally:
            reader.close()


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
        for one in row.values.values():
            assert one.coverage == (one.n / requests if requests else None)
    return {key: values for key, values in found.items() if values["requests"][1]}


def same(ours: Any, theirs: Any) -> bool:
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return bool(float(ours) == pytest.approx(float(theirs), rel=1e-9, abs=1e-9))


@settings(max_examples=80, deadline=None)
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
