"""How files are opened, how transactions end, and what the log shows with debug."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.storage import connection as module
from llm_metrics_proxy.storage.connection import (
    Access,
    connect,
    in_memory,
    on_one_line,
    query_plan,
    snapshot,
    transaction,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database whose name means something in a URI, with one row."""
    path = tmp_path / "file:50%?x#1 .db"
    with closing(connect(path, Access.CREATE, pragmas={"journal_mode": "WAL"})) as connection:
        connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (1, 'secret')")
    return path


@pytest.fixture
def open_one(path: Path) -> Iterator[apsw.Connection]:
    with closing(connect(path, Access.WRITE, busy_ms=10)) as connection:
        yield connection


def rows(connection: apsw.Connection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM t")
    return int(count)


def test_only_create_makes_a_file(tmp_path: Path) -> None:
    for access in (Access.READ, Access.WRITE):
        with pytest.raises(apsw.CantOpenError):
            connect(tmp_path / "new.db", access)
    connect(tmp_path / "new.db", Access.CREATE).close()
    assert [each.name for each in tmp_path.iterdir()] == ["new.db"]


def test_a_relative_name_and_one_like_a_uri_are_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    for name in (path, Path(path.name)):
        with closing(connect(name, Access.READ)) as connection:
            assert rows(connection) == 1


def test_a_reader_cannot_write(path: Path) -> None:
    for is_immutable in (False, True):
        with closing(connect(path, Access.READ, is_immutable=is_immutable)) as connection:
            with pytest.raises(apsw.ReadOnlyError):
                connection.execute("DELETE FROM t")
            assert rows(connection) == 1


def test_an_immutable_file_gets_no_side_files_and_others_may_be_attached_by_uri(path: Path) -> None:
    with closing(connect(path, Access.READ, is_immutable=True)) as connection:
        assert rows(connection) == 1
        connection.execute("ATTACH ? AS other", (f"{path.as_uri()}?immutable=1",))
        assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_pragmas_and_the_busy_timeout_are_set(path: Path) -> None:
    pragmas: dict[str, str | int] = {
        "journal_mode": "WAL",
        "synchronous": "NORMAL",
        "cache_size": -2048,
        "wal_autocheckpoint": 77,
    }
    with closing(connect(path, Access.WRITE, busy_ms=321, pragmas=pragmas)) as connection:
        found = [connection.pragma(name) for name in (*pragmas, "busy_timeout")]
    assert found == ["wal", 1, -2048, 77, 321]


def test_a_file_that_is_no_database_is_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_bytes(b"no database " * 100)
    with pytest.raises(apsw.NotADBError):
        connect(path, Access.CREATE, pragmas={"journal_mode": "WAL"})
    assert path.read_bytes() == b"no database " * 100


def test_a_transaction_is_all_or_nothing(open_one: apsw.Connection) -> None:
    with transaction(open_one):
        open_one.execute("INSERT INTO t VALUES (2, NULL)")
    with pytest.raises(apsw.ConstraintError), transaction(open_one):
        open_one.execute("INSERT INTO t VALUES (3, NULL), (1, NULL)")
    with transaction(open_one, keep=False):
        open_one.execute("INSERT INTO t VALUES (4, NULL)")
        assert rows(open_one) == 3
    assert rows(open_one) == 2
    assert not open_one.in_transaction


def test_an_error_after_which_sqlite_has_rolled_back_is_passed_on(open_one: apsw.Connection) -> None:
    with pytest.raises(apsw.ConstraintError), transaction(open_one):
        open_one.execute("INSERT OR ROLLBACK INTO t VALUES (1, NULL)")
    assert rows(open_one) == 1


def test_a_writer_waits_as_long_as_its_timeout_or_its_patience(path: Path, open_one: apsw.Connection) -> None:
    with closing(connect(path, Access.WRITE, busy_ms=10)) as other:
        with transaction(other):
            with pytest.raises(apsw.BusyError), transaction(open_one):
                pass
            with pytest.raises(apsw.BusyError), transaction(open_one, patience_s=0.05):
                pass
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.2, other.execute, ("COMMIT",))
        release.start()
        begun = time.monotonic()
        with transaction(open_one, patience_s=60):
            assert time.monotonic() - begun > 0.1
        release.join()
    assert open_one.pragma("busy_timeout") == 10


def test_an_exclusive_transaction_waits_for_readers_too(tmp_path: Path) -> None:
    path = tmp_path / "rollback.db"
    with closing(connect(path, Access.CREATE)) as writer, closing(connect(path, Access.WRITE)) as reader:
        writer.execute("CREATE TABLE t (a)")
        with snapshot(reader):
            assert rows(reader) == 0
            with pytest.raises(apsw.BusyError), transaction(writer, is_exclusive=True):
                pass
        with transaction(writer, is_exclusive=True), pytest.raises(apsw.BusyError):
            rows(reader)


def test_a_snapshot_stays_as_it_was_and_ends_whatever_happens(path: Path, open_one: apsw.Connection) -> None:
    with closing(connect(path, Access.READ)) as reader:
        with snapshot(reader):
            assert rows(reader) == 1
            open_one.execute("INSERT INTO t VALUES (2, NULL)")
            assert rows(reader) == 1
        assert rows(reader) == 2
        with pytest.raises(ZeroDivisionError), snapshot(reader):
            _ = 1 / 0
        assert not reader.in_transaction


def test_a_plan_is_indented_as_sqlite_nests_it(open_one: apsw.Connection) -> None:
    plan = query_plan(open_one, "SELECT * FROM (SELECT b, count(*) AS n FROM t GROUP BY b) WHERE n > ?", (1,))
    assert plan == ["CO-ROUTINE (subquery-1)", "  SCAN t", "  USE TEMP B-TREE FOR GROUP BY", "SCAN (subquery-1)"]


def test_a_long_statement_is_cut_for_the_log() -> None:
    assert on_one_line("SELECT  1\n FROM t") == "SELECT 1 FROM t"
    cut = on_one_line("SELECT " + "1, " * 5000)
    assert len(cut) < 4100
    assert cut.endswith("… (15,006 characters)")


def test_without_debug_nothing_is_traced(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), closing(connect(path, Access.READ)) as connection:
        rows(connection)
    assert caplog.messages == []
    with caplog.at_level(logging.DEBUG), closing(connect(path, Access.READ, is_traced=False)) as connection:
        rows(connection)
    assert caplog.messages == []


def without_times(messages: list[str]) -> list[str]:
    found = []
    for message in messages:
        head, _, rest = message.partition(" ms")
        word, number = head.split()
        assert word == "sql:"
        assert float(number) >= 0
        found.append(rest.strip(",: "))
    return found


def test_with_debug_each_statement_is_one_line_with_its_rows_and_never_its_values(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, module.__name__), closing(connect(path, Access.WRITE)) as connection:
        assert connection.execute("SELECT * FROM t WHERE b = ?", ("secret",)).fetchall() == [(1, "secret")]
        connection.execute("INSERT INTO t SELECT a + 1, ? FROM t", ("secret",))
        with transaction(connection):
            connection.executemany("INSERT INTO t VALUES (?, ?)", [(number, "secret") for number in range(10, 60)])
            connection.execute("DELETE FROM t WHERE a >= 50")
        query_plan(connection, "SELECT * FROM t")
    assert "secret" not in caplog.text
    assert without_times(caplog.messages) == [
        "1 rows: SELECT * FROM t WHERE b = ?",
        "1 changed: INSERT INTO t SELECT a + 1, ? FROM t",
        "BEGIN IMMEDIATE",
        "50 times, 50 changed: INSERT INTO t VALUES (?, ?)",
        "10 changed: DELETE FROM t WHERE a >= 50",
        "COMMIT",
    ]


def test_a_statement_that_waits_to_be_logged_is_logged_when_the_connection_closes(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, module.__name__), closing(connect(path, Access.WRITE)) as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE other (x)")
    assert without_times(caplog.messages)[:2] == ["BEGIN", "CREATE TABLE other (x)"]


def test_a_database_in_memory_is_gone_with_its_connection() -> None:
    with closing(in_memory()) as one, closing(in_memory()) as other:
        one.execute("CREATE TABLE t (a)")
        assert list(other.execute("SELECT * FROM sqlite_schema")) == []
