"""Records between a SQLite file and ClickHouse: to the bit, once, whatever is killed, never over somebody else's."""

import json
import math
import random
import re
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_metrics_proxy.engines import copy_records
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.shadow_state import NAME, Migrations, ShadowWork
from llm_metrics_proxy.engines.clickhouse.table import NOTES
from llm_metrics_proxy.engines.moving import Moved
from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION, to_row
from llm_metrics_proxy.migration.model import Run
from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY, ROW_COLUMNS
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.moved_records import only_copy
from llm_metrics_proxy.storage.sqlite import SqliteStore
from llm_metrics_proxy.store_address import StoreAccess, store_address
from tests.clickhouse.pair import made
from tests.clickhouse.server import ClickHouseServer, clickhouse_server, new_database, statement
from tests.journal_parts import an_ended_record
from tests.waiting import wait_until

pytestmark = pytest.mark.system
_PROGRAM: Final = Path(sys.executable).with_name("llm-metrics-proxy")

INTEGERS: Final = st.integers(-(2**63), 2**63 - 1)
FLOATS: Final = st.floats(allow_nan=False, allow_infinity=False)
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "integer": INTEGERS,
    "number": FLOATS,
    "flag": st.integers(0, 1),
    "text": TEXTS,
    "time": st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='microseconds')}Z"),
    "any": st.one_of(INTEGERS, FLOATS, st.just(math.inf), TEXTS, st.binary(max_size=9)),
}


def some(name: str) -> st.SearchStrategy[Any]:
    if name == "arrival":
        return st.none()  # given by place
    if name == "host":
        return st.sampled_from([None, "one", "two's \\ host"])
    if name == "app_version":
        return st.sampled_from(["5.0.0", "5.0.1", APP_VERSION])  # older ones, and what is none, are refused
    return st.one_of(st.none(), VALUES[REGISTRY[name].kind.holds])


ROWS: Final = st.lists(
    st.tuples(*map(some, ALL_COLUMNS)),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row[ALL_COLUMNS.index("request_id")],
)


def access(url: str) -> StoreAccess:
    address = store_address(url)
    assert address is not None
    return StoreAccess(address)


def copied(source: Path | StoreAccess, target: Path | StoreAccess, **chosen: Any) -> Moved:
    asked = {"hosts": [], "names": {}, "formulas": MIGRATIONS[-1].version} | chosen
    return copy_records(source, target, **asked, stop=threading.Event(), report=lambda *_: None)


def content(path: Path) -> list[tuple[Any, ...]]:
    """Every value with its storage class, floats by their bits."""
    names = ", ".join(name if name != "usage_reported" else "report_text(usage_reported)" for name in ALL_COLUMNS)
    from llm_metrics_proxy.storage.connection import Access, connect  # noqa: PLC0415

    with closing(connect(path, Access.READ)) as connection:
        rows = connection.execute(f"SELECT {names} FROM completion_requests ORDER BY arrival")
        return [tuple(map(_exact, row)) for row in rows]


def _exact(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else (type(value), value)


def fill(path: Path, rows: Sequence[Sequence[Any]], first: int = 1) -> None:
    SqliteStore(path).close()
    with closing(apsw.Connection(str(path))) as connection:
        marks = ", ".join("?" * len(ALL_COLUMNS))
        numbered = [(arrival, *row[1:]) for arrival, row in enumerate(rows, first)]
        sql = f"INSERT INTO completion_requests ({', '.join(ALL_COLUMNS)}) VALUES ({marks})"
        connection.executemany(sql, numbered)
        connection.execute("INSERT OR REPLACE INTO arrivals (one, next) VALUES (1, ?)", (first + len(rows),))


def recorded(path: Path, indexes: Sequence[int], host: str = "here") -> None:
    with closing(SqliteStore(path, host=host)) as store:
        store.append(IngestBatch(rows=[to_row(an_ended_record(index)) for index in indexes]))


def without_host(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE completion_requests SET host = NULL")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS)
def test_there_and_back_is_the_same_to_the_bit(
    rows: list[tuple[Any, ...]], clickhouse: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("moved")
    before = ALL_COLUMNS.index("timestamp_original")
    database = new_database()
    statement(clickhouse, f"CREATE DATABASE {database}")
    server = access(clickhouse.url(database))
    time_at = ALL_COLUMNS.index("timestamp")
    # A time beyond ClickHouse's calendar goes where the time from before a migration stands, if nothing stands there.
    rows = [
        (*row[:before], None, *row[before + 1 :])
        if (row[time_at] or "2000") < "1911" or (row[time_at] or "2000") >= "2299"
        else row
        for row in rows
    ]
    fill(folder / "a.db", rows, first=5)
    there = copied(folder / "a.db", server)
    assert (there.copied, there.verified, there.differing) == (len(rows), len(rows), 0)
    back = copied(server, folder / "b.db")
    assert (back.copied, back.verified, back.differing, back.digest) == (len(rows), len(rows), 0, there.digest)
    assert content(folder / "b.db") == content(folder / "a.db")
    statement(clickhouse, f"DROP DATABASE {database}")
    recorded(folder / "b.db", [10**6])
    assert content(folder / "b.db")[-1][0] == (int, 5 + len(rows))  # above all that came over


def test_values_as_far_apart_as_numbers_go_are_taken(tmp_path: Path, clickhouse_url: str) -> None:
    """The server's sketches refuse what is more than 569 decades apart, and with it all records of an insertion."""
    at, far = ROW_COLUMNS.index("response_time_ms"), (5e-324, 1e-300, -1e-300, 1.0, -1.7e308, 1.7e308)
    made = [to_row(an_ended_record(index)) for index in range(len(far))]
    with closing(SqliteStore(tmp_path / "a.db", host="here")) as store:
        store.append(
            IngestBatch(rows=[(*row[:at], value, *row[at + 1 :]) for row, value in zip(made, far, strict=True)])
        )
    there = copied(tmp_path / "a.db", access(clickhouse_url))
    assert (there.copied, there.verified, there.differing) == (len(far), len(far), 0)


def test_what_came_since_is_fetched_by_the_same_command(tmp_path: Path, clickhouse_url: str) -> None:
    path, server = tmp_path / "a.db", access(clickhouse_url)
    recorded(path, range(1, 30))
    without_host(path)
    recorded(path, range(30, 40))
    first = copied(path, server)
    assert (first.copied, first.hosts, first.finished) == (39, ["", "here"], True)
    recorded(path, range(40, 45))
    second = copied(path, server)
    assert (second.copied, second.verified, second.differing) == (5, 5, 0)
    third = copied(server, tmp_path / "b.db")
    assert third.copied == 44
    assert content(tmp_path / "b.db") == content(path)
    again = copied(server, path)  # into the file that has them
    assert (again.copied, again.were_there, again.verified) == (0, 44, 44)


def test_one_copy_of_a_file_runs_at_a_time(tmp_path: Path, clickhouse_url: str) -> None:
    recorded(tmp_path / "a.db", range(1, 3))
    with only_copy(tmp_path / "a.db"), pytest.raises(StoreBusyError, match="Another `store copy`"):
        copied(tmp_path / "a.db", access(clickhouse_url))


def test_a_table_that_was_dropped_gets_all_again(tmp_path: Path, clickhouse_url: str) -> None:
    path, server = tmp_path / "a.db", access(clickhouse_url)
    recorded(path, range(1, 9))
    assert copied(path, server).copied == 8
    with closing(Connection(server)) as connection:
        connection.command("DROP TABLE completion_requests SYNC")
    assert copied(path, server).copied == 8


def test_nothing_goes_over_records_of_others(tmp_path: Path, clickhouse_url: str) -> None:
    server = access(clickhouse_url)
    for name, first in (("a.db", 1), ("b.db", 101)):
        recorded(tmp_path / name, range(first, first + 9))
        without_host(tmp_path / name)
    copied(tmp_path / "a.db", server)
    with pytest.raises(StoreError, match=r"other records without a host.*Nothing was copied.*--rename =NAME"):
        copied(tmp_path / "b.db", server)
    named = copied(tmp_path / "b.db", server, names={"": "b"})
    assert (named.copied, named.verified) == (9, 9)
    with pytest.raises(StoreError, match=r"several hosts have the same numbers \(9 numbers\).*--host: '', 'b'"):
        copied(server, tmp_path / "c.db")
    assert copied(server, tmp_path / "c.db", hosts=["b"]).copied == 9
    with pytest.raises(StoreError, match=r"another record|other records"):
        copied(server, tmp_path / "c.db", hosts=[""])
    with pytest.raises(StoreError, match=r"no records of the host 'd'; there are '', 'b'"):
        copied(server, tmp_path / "d.db", hosts=["d"])


def test_a_difference_is_found_and_named(tmp_path: Path, clickhouse_url: str) -> None:
    path, server = tmp_path / "a.db", access(clickhouse_url)
    recorded(path, range(1, 9))
    copied(path, server)
    with closing(apsw.Connection(str(path))) as connection, closing(Connection(server)) as other:
        connection.execute("UPDATE store_copies SET verified = 0")
        connection.execute("UPDATE completion_requests SET cost_usd = 1.0 WHERE arrival = 3")
        connection.execute("DELETE FROM completion_requests WHERE arrival = 4")
        other.command("ALTER TABLE completion_requests DELETE WHERE arrival = 5", settings={"mutations_sync": 2})
    found = copied(path, server)
    assert (found.verified, found.gone, found.differing) == (5, 1, 2)
    assert found.examples == ["record 3 differs in cost_usd", "record 5 is missing"]


def position(path: Path) -> int:
    """How far a copy has come, of all hosts."""
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            return int(connection.execute("SELECT coalesce(sum(copied + verified), 0) FROM store_copies").get)
    except apsw.Error:
        return 0  # not made yet, or in the midst of a transaction


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run((str(_PROGRAM), *arguments), capture_output=True, text=True, timeout=120, check=False)


def test_the_verb_says_what_it_did(tmp_path: Path, clickhouse_url: str) -> None:
    path = tmp_path / "a.db"
    recorded(path, range(1, 9))
    done = run("store", "copy", "--from", str(path), "--to", clickhouse_url, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)["result"]
    assert (result["copied"], result["verified"], result["finished"]) == (8, 8, True)
    back = run("store", "copy", "--from", clickhouse_url, "--to", str(tmp_path / "b.db"))
    assert back.returncode == 0, back.stderr
    assert "every column compared" in back.stdout
    both = run("store", "copy", "--from", clickhouse_url, "--to", clickhouse_url)
    assert (both.returncode, both.stdout) == (2, "")
    assert "one of the two is a SQLite file" in both.stderr


@pytest.mark.parametrize("stamp", ["4.5.0", "v5", ""])
def test_records_of_older_formulas_are_refused_before_anything_is_copied(
    tmp_path: Path, clickhouse_url: str, stamp: str
) -> None:
    path, server = tmp_path / "m.db", access(clickhouse_url)
    rows = [to_row(an_ended_record(number)) for number in range(3)]
    store = SqliteStore(path)
    store.append(IngestBatch(rows=rows))
    store.close()
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE completion_requests SET app_version = ?, host = 'old' WHERE arrival = 2", (stamp,))
    named = re.escape(f"1 records of {path} follow the formulas of older versions ({stamp or 'none'} 1)")
    with pytest.raises(StoreError, match=named) as refused:
        copied(path, server)
    assert f"Run `llm-metrics-proxy migrate run --db {path}` first" in str(refused.value)
    with closing(Connection(server)) as there:
        assert there.value("SELECT count() FROM completion_requests") == 0
    others = [host for host in _hosts(path) if host != "old"]
    assert copied(path, server, hosts=others).copied == 2


def _hosts(path: Path) -> list[str]:
    with closing(apsw.Connection(str(path))) as connection:
        return [host for (host,) in connection.execute("SELECT DISTINCT coalesce(host, '') FROM completion_requests")]


def test_an_older_file_is_refused_with_what_to_do(tmp_path: Path, clickhouse_url: str) -> None:
    path = tmp_path / "old.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE completion_requests (timestamp, model, response_time_ms)")
    done = run("store", "copy", "--from", str(path), "--to", clickhouse_url)
    assert done.returncode == 1
    assert "migrate run" in done.stderr


def test_kills_of_the_copy_and_of_the_server_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Both ways, killed at random moments again and again; then once to the end."""
    rng, records = random.Random(5), 40_000
    path = tmp_path / "a.db"
    stamp = ROW_COLUMNS.index("app_version")  # those of older formulas are refused
    base = [(*row[:stamp], APP_VERSION, *row[stamp + 1 :]) for row in made(2_000)]
    SqliteStore(path).close()
    with closing(SqliteStore(path, host="here")) as store:
        for number in range(records // len(base)):
            store.append(IngestBatch(rows=[(f"{number:08x}{row[0][8:]}", *row[1:]) for row in base]))
    (tmp_path / "server").mkdir()
    with clickhouse_server(tmp_path / "server") as server:
        for source, target in ((str(path), server.url()), (server.url(), str(tmp_path / "b.db"))):
            file, kills = tmp_path / ("a.db" if source.endswith("a.db") else "b.db"), 0
            for attempt in range(4):
                process = subprocess.Popen(
                    (str(_PROGRAM), "store", "copy", "--from", source, "--to", target),
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
                before = position(file)
                wait_until(lambda: position(file) > before or process.poll() is not None, "it goes on", 60)  # noqa: B023
                time.sleep(rng.uniform(0.0, 0.4))
                if attempt % 3 == 1:
                    server.restart()
                kills += process.poll() is None
                process.kill()
                process.wait(30)
            assert kills >= 2
            done = run("store", "copy", "--from", source, "--to", target, "--json")
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["result"]["differing"] == 0
        counts = "SELECT count(), uniqExact(host, arrival), uniqExact(request_id) FROM completion_requests"
        assert statement(server, counts).split() == [str(records)] * 3
    assert content(tmp_path / "b.db") == content(path)


def test_a_migration_on_the_server_is_waited_for(tmp_path: Path, clickhouse_url: str) -> None:
    path, server = tmp_path / "a.db", access(clickhouse_url)
    recorded(path, range(1, 9))
    copied(path, server)
    recorded(path, range(9, 12))
    begun = Run(
        from_versions={}, to_version="9.0.0", checksums={}, app_version="9.0.0", distrusts_stamps=False, bound_id=0,
        records_total=8, cursor_id=0, backup=None, started_at="2026-11-29T00:00:00Z",
    )  # fmt: skip
    noted = msgspec.json.encode(Migrations((begun,), (ShadowWork(old="a", made="b"),))).decode()
    with closing(Connection(server)) as connection:
        add = f"INSERT INTO {NOTES} (name, version, body) SELECT {{name:String}}, 1, {{body:String}}"
        connection.command(add, {"name": NAME, "body": noted})
        with pytest.raises(StoreBusyError, match=r"A migration of the records at .* is not finished"):
            copied(path, server)
