"""Followed in memory, an objective is what the records say, whatever was done to them since it was last measured."""

from datetime import timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

import apsw
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.good_hours import GoodHours
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.slos import parse_slo
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.rollups.grains import DAY
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.retention import prune_some
from llm_metrics_proxy.storage.rollup_state import read_state, reset, write_state
from llm_metrics_proxy.storage.rollup_store import add, gather
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.engines.sqlite.watching import Watching
from tests.examples import examples
from tests.rollups.records import FIRST, a_row_of, changed

SLOS: Final = (parse_slo("response_time_ms<2500"), parse_slo("time_to_first_token_ms<=250"))
FILTERS: Final = (RequestFilter(), RequestFilter(model="gpt-4o"), RequestFilter(streaming=True, origin="nobody"))


class Watched:
    """A database that goes on, and the memory of whoever watches it."""

    def __init__(self, folder: str, seed: int) -> None:
        self.random = Random(seed)
        self.path = Path(folder) / "metrics.db"
        self.store = SqliteStore(self.path)
        self.connection = apsw.Connection(str(self.path))
        self.reader = SqliteReader(self.path)
        self.hours = GoodHours(open_records(self.reader))
        self.at = FIRST + timedelta(hours=20)
        write_state(self.connection, RollupState(tables=FINGERPRINT))

    def close(self) -> None:
        self.reader.close()
        self.connection.close()
        self.store.close()

    def records(self) -> None:
        rows = [a_row_of(self.random, hours=self.random.choice((20, 60))) for _ in range(40)]
        self.store.append(IngestBatch(rows=rows))

    def time(self) -> None:
        self.at += timedelta(minutes=self.random.choice((1, 59, 60, 200)))

    def clock_goes_back(self) -> None:
        self.at -= timedelta(minutes=self.random.choice((1, 200)))

    def change(self) -> None:
        with self.connection:
            self.connection.execute("UPDATE completion_requests SET response_time_ms = 2499 WHERE arrival % 3 = 0")
            reset(self.connection)

    def prune(self) -> None:
        with self.connection:
            add(self.connection, gather(self.connection, read_state(self.connection), 10_000))
            prune_some(self.connection, int(FIRST.timestamp()) // DAY.seconds * DAY.seconds + DAY.seconds, 20)

    def assert_right(self, window: timedelta) -> None:
        for each in FILTERS:
            selection = RequestFilter(
                start=self.at - window, end=self.at, model=each.model, streaming=each.streaming, origin=each.origin
            )
            query = Query(metrics=("goodput",), filter=selection, slos=SLOS)
            wanted = ask((RecordsSource(self.reader),), query, self.at).rows[0].values["goodput"]
            found = self.hours.measure(selection, SLOS)
            assert found.requests == wanted.n
            assert (found.good / found.requests if found.requests else None) == wanted.value


@examples(30)
@given(
    st.integers(0, 2**16),
    st.sampled_from((timedelta(minutes=30), timedelta(hours=5), timedelta(hours=26, minutes=7, microseconds=1))),
    st.lists(st.sampled_from(("records", "time", "time", "clock_goes_back", "change", "prune")), max_size=12),
)
def test_whatever_happens_it_is_what_the_records_say(seed: int, window: timedelta, deeds: list[str]) -> None:
    with TemporaryDirectory() as folder:
        watched = Watched(folder, seed)
        watched.records()
        watched.assert_right(window)
        for deed in deeds:
            getattr(watched, deed)()
            watched.assert_right(window)
        watched.close()


def test_a_month_is_read_once_and_then_only_what_is_new(tmp_path: Path) -> None:
    store, random = SqliteStore(tmp_path / "m.db"), Random(1)
    store.append(IngestBatch(rows=[a_row_of(random, odd=False) for _ in range(50)]))
    reader = Watching(SqliteReader(tmp_path / "m.db"))
    hours, at = GoodHours(open_records(reader)), FIRST + timedelta(hours=40)
    month = RequestFilter(start=at - timedelta(days=30), end=at)
    first = hours.measure(month, SLOS)
    assert first.requests == 50
    store.append(IngestBatch(rows=[a_row_of(random, odd=False)]))
    reader.asked.clear()
    assert hours.measure(month, SLOS).requests == 51
    by_id = [parameters for sql, parameters in reader.asked if "arrival > ? AND arrival <= ?" in sql]
    assert [parameters[-2:] for parameters in by_id] == [(50, 51)]  # from the last id that was counted
    reader.close()
    store.close()


def test_times_that_are_none_are_in_no_hour(tmp_path: Path) -> None:
    store, random = SqliteStore(tmp_path / "m.db"), Random(1)
    store.append(IngestBatch(rows=[a_row_of(random, odd=False) for _ in range(3)]))
    reader = SqliteReader(tmp_path / "m.db")
    hours, at = GoodHours(open_records(reader)), FIRST + timedelta(hours=40)
    window = RequestFilter(start=at - timedelta(days=3), end=at)
    assert hours.measure(window, ()).requests == 3
    store.append(IngestBatch(rows=[changed(a_row_of(random, odd=False), timestamp=None) for _ in range(5)]))
    assert hours.measure(window, ()).requests == 3
    assert GoodHours(open_records(reader)).measure(window, ()).requests == 3
    reader.close()
    store.close()
