"""Samples in the control store: kept, added to, rolled down, pruned, and how large they are."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.servers.minutes import Minutes
from llm_metrics_proxy.servers.programs import read_metrics
from llm_metrics_proxy.storage.sampled import GPU, SERVER, Gauge, ServerSample, merged
from llm_metrics_proxy.storage.server_samples import (
    MINUTES_KEPT_S,
    SampleStore,
    has_old_samples,
    read_samples,
    roll_down_or_prune,
)
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from llm_metrics_proxy.upkeep.work import Retention, Upkeep, Worked
from tests.servers import pages

DAY_S = 86_400
NOW = 1_764_446_400.0 - 1_764_446_400.0 % DAY_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    SqliteStore(tmp_path / "m.db").close()
    return tmp_path / "m.db"


def a_minute(at: float, name: str = "box", waiting: float = 2.0) -> ServerSample:
    gauge = Gauge(12, 0.0, waiting * 12, waiting, 6)
    return ServerSample(60, int(at), SERVER, name, 12, 12, {"waiting": gauge}, {"counted_s": 60.0}, ("m",))


def stored(path: Path, start: float = 0, end: float = NOW + DAY_S) -> list[ServerSample]:
    with closing(SqliteReader(path)) as reader:
        return read_samples(reader, start, end)


@pytest.fixture
def connection(path: Path) -> Iterator[apsw.Connection]:
    with closing(apsw.Connection(str(path))) as opened:
        yield opened


def test_a_minute_that_two_processes_saw_parts_of_is_one(path: Path) -> None:
    """The program was started again within it."""
    for _ in range(2):
        store = SampleStore(path)
        store.add([a_minute(NOW), a_minute(NOW, "other")])
        store.close()
    [one, other] = stored(path)
    assert (one.name, one.asked, one.gauges["waiting"].n) == ("box", 24, 24)
    assert other.name == "other"


def test_a_range_has_what_begins_in_it(path: Path) -> None:
    store = SampleStore(path)
    store.add([a_minute(NOW + minute * 60) for minute in range(10)])
    store.close()
    assert [one.at - NOW for one in stored(path, NOW + 120, NOW + 300)] == [120, 180, 240]


def test_old_minutes_become_quarters_of_an_hour_that_say_the_same(path: Path, connection: apsw.Connection) -> None:
    minutes = [a_minute(NOW + minute * 60, waiting=minute) for minute in range(60)]
    store = SampleStore(path)
    store.add([*minutes, a_minute(NOW + 30, "gpu")._replace(kind=GPU)])
    later = NOW + 3600 + MINUTES_KEPT_S
    assert has_old_samples(connection, later, 30)
    while has_old_samples(connection, later, 30):
        assert roll_down_or_prune(connection, later, 30, 20)
    found = [one for one in stored(path) if one.kind == SERVER]
    assert [one.at for one in found] == [NOW, NOW + 900, NOW + 1800, NOW + 2700]
    assert {one.grain_s for one in found} == {900}
    assert merged(found, 0, 0) == merged(minutes, 0, 0)
    assert [one.kind for one in stored(path)].count(GPU) == 1
    store.close()


def test_what_is_older_than_the_days_is_deleted_and_nothing_else(path: Path, connection: apsw.Connection) -> None:
    store = SampleStore(path)
    store.add([a_minute(NOW - day * DAY_S)._replace(grain_s=900) for day in range(50)])
    store.add([a_minute(NOW)])
    store.close()
    while has_old_samples(connection, NOW, 30):
        assert roll_down_or_prune(connection, NOW, 30, 7)
    assert len(stored(path, NOW - 100 * DAY_S)) == 31 + 1
    assert not has_old_samples(connection, NOW, 0)


def test_upkeep_does_it_in_steps(path: Path) -> None:
    store = SampleStore(path)
    store.add([a_minute(NOW - 40 * DAY_S + minute * 60) for minute in range(100)])
    store.add([a_minute(NOW - 3 * DAY_S)])
    store.close()
    upkeep = Upkeep(path, Retention(samples_days=30), batch_lock_ms=50, unix_s=lambda: NOW)
    worked = []
    while (step := upkeep.step(leftovers=True)) is not Worked.NOTHING:
        worked.append(step)
        assert len(worked) < 1000
    upkeep.close()
    assert Worked.PRUNED in worked
    [left] = stored(path)
    assert (left.grain_s, left.at) == (900, NOW - 3 * DAY_S)


def test_a_file_of_an_older_program_has_none_and_takes_none(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    with closing(apsw.Connection(str(path))) as opened:
        opened.execute("CREATE TABLE x (y)")
        assert not has_old_samples(opened, NOW, 30)
        assert roll_down_or_prune(opened, NOW, 30, 10) == 0
    assert stored(path) == []
    with pytest.raises(StoreError):
        SampleStore(path).add([a_minute(NOW)])


def test_a_day_of_a_server_takes_what_the_page_of_servers_says(path: Path, connection: apsw.Connection) -> None:
    """All that a vLLM tells, every five seconds, with values of many digits."""
    reading = read_metrics(pages.VLLM_V1)
    assert reading is not None
    minutes = Minutes(SERVER, "box")
    samples = []
    for second in range(0, DAY_S // 8, 5):
        gauges = {**reading.gauges, "open_requests": 3.0, "kv_cache_ratio": (second * 0.37193) % 1}
        counters = {name: value + second * 17.31 for name, value in reading.counters.items()}
        models = tuple(model.name for model in reading.models)
        samples.append(minutes.add(NOW + second, gauges, counters, models, answered=True))
    store = SampleStore(path)
    store.add([one for one in samples if one is not None])
    store.close()
    size = connection.execute("SELECT sum(pgsize) FROM dbstat WHERE name = 'server_samples'").get
    per_day = int(str(size)) * 8
    print(f"bytes a day by minutes: {per_day}, by quarters: {per_day // 15}")
    assert 300_000 < per_day < 800_000


def test_a_month_of_ten_servers_is_read_at_once(path: Path) -> None:
    store = SampleStore(path)
    store.add(
        [
            a_minute(NOW - quarter * 900, f"box{server}")._replace(grain_s=900)
            for server in range(10)
            for quarter in range(30 * 96)
        ]
    )
    store.close()
    begun = time.monotonic()
    assert len(stored(path, NOW - 31 * DAY_S)) == 28_800
    assert time.monotonic() - begun < 10
