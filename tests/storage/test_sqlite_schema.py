"""The schema steps, and what a file may hold for us to write to it."""

import os
from pathlib import Path
from types import NoneType
from typing import get_args, get_type_hints

import apsw
import pytest

from llm_metrics_proxy.columns import DURATION, FLAG, Column
from llm_metrics_proxy.errors import ForeignDatabaseError, NewerDatabaseError, StoreBusyError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import ALL_COLUMNS, APP_VERSION_COLUMN, DERIVED, KEPT, PRICED, RAW_COLUMNS, RequestRecord
from llm_metrics_proxy.storage.expressions import TYPES
from llm_metrics_proxy.storage.sqlite import SqliteStore
from llm_metrics_proxy.storage.sqlite_schema import (
    ONE_TABLE,
    RELEASED,
    SchemaStep,
    applied_steps,
    apply_steps,
    column_steps,
    refuse_orphaned_wal,
    steps,
)
from tests.legacy import LAYOUTS, leave_hot_journal, leave_wal, make

GOLDEN = Path(__file__).parents[1] / "fixtures" / "databases"
SQL_TYPES: dict[type, str] = {str: "TEXT", int: "INTEGER", bool: "INTEGER", float: "REAL"}


def database(path: Path, *statements: str) -> Path:
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return path


def refused(path: Path) -> StoreError:
    """The error for a file that must stay as it is, to the bit, with nothing new beside it."""
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before
    return caught.value


def test_the_table_has_exactly_the_records_columns(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "m.db").close()
    connection = apsw.Connection(str(tmp_path / "m.db"))
    found = {
        name: (sql_type, bool(not_null))
        for _, name, sql_type, not_null, _, _ in connection.execute("PRAGMA table_info(completion_requests)")
    }
    assert sorted(found) == sorted(ALL_COLUMNS)
    assert [*found][:3] == ["arrival", "timestamp", "app_version"]  # what most questions read
    hints = get_type_hints(RequestRecord)
    for name in RAW_COLUMNS:
        types = get_args(hints[name]) or (hints[name],)
        (value_type,) = (each for each in types if each is not NoneType)
        assert found[name] == (SQL_TYPES[value_type], False), name  # records of older programs lack any of them
    for column in (*DERIVED, *PRICED, *KEPT):
        assert found[column.name] == (TYPES[column.kind.holds], False)
    assert found[APP_VERSION_COLUMN] == ("TEXT", True)
    connection.close()


def test_no_column_has_a_default(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "m.db").close()
    connection = apsw.Connection(str(tmp_path / "m.db"))
    defaults = [row[4] for row in connection.execute("PRAGMA table_info(completion_requests)")]
    connection.close()
    assert set(defaults) == {None}


def test_a_step_is_made_of_the_columns_that_name_it() -> None:
    rows = (Column(DURATION, "m", name="queue_ms", step=16), Column(FLAG, "m", "y", step=16))
    assert column_steps(rows) == [
        SchemaStep(
            16,
            "columns",
            "ALTER TABLE completion_requests ADD COLUMN queue_ms REAL;\n"
            "ALTER TABLE completion_requests ADD COLUMN y INTEGER;\n",
        )
    ]


def test_steps_are_numbered_without_gaps_behind_those_that_were_released() -> None:
    numbers = [number for number, *_ in RELEASED] + [step.number for step in steps()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert steps()[0].number == ONE_TABLE


def test_the_ledger_says_what_was_applied_when_and_by_whom(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "m.db").close()
    connection = apsw.Connection(str(tmp_path / "m.db"))
    ledger = list(connection.execute("SELECT number, name, checksum, app_version FROM schema_steps"))
    connection.close()
    assert ledger == [(step.number, step.name, step.checksum, APP_VERSION) for step in steps()]


def test_opening_again_applies_nothing(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "m.db").close()
    before = (tmp_path / "m.db").read_bytes()
    SqliteStore(tmp_path / "m.db").close()
    assert (tmp_path / "m.db").read_bytes() == before


@pytest.mark.parametrize("prepare", ["nothing", "zero bytes", "no tables"])
def test_an_empty_database_is_a_fresh_one(tmp_path: Path, prepare: str) -> None:
    path = tmp_path / "deep" / "m.db"
    if prepare != "nothing":
        path.parent.mkdir()
        path.touch()
    if prepare == "no tables":
        database(path, "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)", "DROP TABLE t")
    SqliteStore(path).close()
    assert applied_steps(path) == {step.number for step in steps()}


def test_two_processes_that_find_it_fresh_apply_each_step_once(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "m.db"))
    apply_steps(tmp_path / "m.db", connection, set())
    apply_steps(tmp_path / "m.db", connection, set())
    assert list(connection.execute("SELECT count(*) FROM schema_steps")) == [(len(steps()),)]
    connection.close()


def test_a_locked_database_that_needs_no_step_can_be_opened(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "m.db").close()
    holder = apsw.Connection(str(tmp_path / "m.db"))
    holder.execute("BEGIN IMMEDIATE")
    SqliteStore(tmp_path / "m.db").close()
    holder.close()


def test_a_step_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE completion_requests (in_the_way)")
    with pytest.raises(apsw.SQLError):
        apply_steps(path, connection, set())
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
    assert not connection.in_transaction
    connection.close()
    assert tables == ["completion_requests"]


@pytest.mark.parametrize("version", ["2.1.0", "4.5.0"])
def test_a_file_of_an_older_layout_stays_and_the_error_says_what_to_do(tmp_path: Path, version: str) -> None:
    path = tmp_path / "m.db"
    path.write_bytes((GOLDEN / f"{version}.db").read_bytes())
    error = refused(path)
    assert type(error) is StoreError
    assert f"llm-metrics-proxy migrate run --db {path}" in str(error)


class TestRefused:
    def test_a_newer_programs_database(self, tmp_path: Path) -> None:
        SqliteStore(tmp_path / "m.db").close()
        database(tmp_path / "m.db", "INSERT INTO schema_steps VALUES (99, 'future', 'x', 'then', '9.1.0')")
        error = refused(tmp_path / "m.db")
        assert isinstance(error, NewerDatabaseError)
        assert error.exit_code == 3
        assert "9.1.0" in str(error)
        assert APP_VERSION in str(error)

    def test_a_step_that_was_altered(self, tmp_path: Path) -> None:
        SqliteStore(tmp_path / "m.db").close()
        database(tmp_path / "m.db", "UPDATE schema_steps SET checksum = 'other'")
        assert "altered" in str(refused(tmp_path / "m.db"))

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_database_of_an_older_version(self, tmp_path: Path, layout: str) -> None:
        error = refused(make(tmp_path / "m.db", layout))
        assert type(error) is StoreError, "it can be opened once it is migrated"
        assert "completion_requests of an older version" in str(error)
        assert f"llm-metrics-proxy migrate run --db {tmp_path / 'm.db'}" in str(error)

    def test_a_database_of_an_older_version_with_a_table_called_like_our_ledger(self, tmp_path: Path) -> None:
        database(make(tmp_path / "m.db"), "CREATE TABLE schema_steps (x)")
        assert "completion_requests of an older version" in str(refused(tmp_path / "m.db"))

    def test_a_schema_version_that_no_older_program_wrote(self, tmp_path: Path) -> None:
        error = refused(make(tmp_path / "m.db", schema_version=4))
        assert isinstance(error, NewerDatabaseError)
        assert "schema_version 4" in str(error)

    @pytest.mark.parametrize("shm", [True, False])
    def test_a_legacy_database_whose_wal_a_killed_program_left(self, tmp_path: Path, shm: bool) -> None:
        path = leave_wal(make(tmp_path / "m.db"), "DELETE FROM completion_requests", shm=shm)
        assert "completion_requests of an older version" in str(refused(path))

    def test_a_legacy_database_with_a_hot_journal(self, tmp_path: Path) -> None:
        assert "of an older version" in str(refused(leave_hot_journal(make(tmp_path / "m.db", rows=100))))

    def test_a_legacy_database_in_wal_mode_with_its_wal_beside_it(self, tmp_path: Path) -> None:
        path = tmp_path / "m.db"
        connection = apsw.Connection(str(path))
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE completion_requests (id, timestamp, model, total_tokens)")
        connection.execute("INSERT INTO completion_requests VALUES (1, 2, 3, 4)")
        before = (path.read_bytes(), (tmp_path / "m.db-wal").read_bytes())
        with pytest.raises(StoreError, match="completion_requests"):
            SqliteStore(path)
        assert (path.read_bytes(), (tmp_path / "m.db-wal").read_bytes()) == before
        connection.close()

    def test_another_programs_database(self, tmp_path: Path) -> None:
        error = refused(database(tmp_path / "m.db", "CREATE TABLE bookmarks (url)"))
        assert isinstance(error, ForeignDatabaseError)
        assert "bookmarks" in str(error)

    @pytest.mark.parametrize(
        ("statement", "said"),
        [
            ("CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, timestamp TEXT)", "lacks model and any of"),
            ("CREATE TABLE completion_requests (model, prompt)", "lacks timestamp and any of"),
            ("CREATE VIEW completion_requests AS SELECT 1 AS timestamp, 2 AS model, 3 AS total_tokens", "is a view"),
        ],
    )
    def test_another_programs_completion_requests(self, tmp_path: Path, statement: str, said: str) -> None:
        error = refused(database(tmp_path / "m.db", statement))
        assert isinstance(error, ForeignDatabaseError)
        assert said in str(error)

    def test_an_empty_file_beside_a_wal_that_opening_would_delete(self, tmp_path: Path) -> None:
        path = leave_wal(make(tmp_path / "m.db"), "DELETE FROM completion_requests")
        path.write_bytes(b"")
        assert "m.db-wal next to it holds" in str(refused(path))

    def test_a_database_that_was_made_since_its_file_was_found_empty_is_no_orphan(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "m.db")
        assert (tmp_path / "m.db-wal").stat().st_size > 0
        refuse_orphaned_wal(tmp_path / "m.db")
        store.close()

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "m.db")
        with pytest.raises(ForeignDatabaseError, match="not a regular file"):
            applied_steps(tmp_path / "m.db")

    @pytest.mark.parametrize("content", [b"\x00", b"hello, world", b"SQLite format 3", b"SQLite format 4\x00" * 100])
    def test_a_file_that_is_no_database(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "m.db").write_bytes(content)
        assert "is not a SQLite database" in str(refused(tmp_path / "m.db"))

    @pytest.mark.parametrize("keep", [16, 100, 3_000])
    def test_a_cut_database(self, tmp_path: Path, keep: int) -> None:
        SqliteStore(tmp_path / "whole.db").close()
        (tmp_path / "m.db").write_bytes((tmp_path / "whole.db").read_bytes()[:keep])
        assert "m.db" in str(refused(tmp_path / "m.db"))

    def test_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "m.db").mkdir()
        with pytest.raises(StoreError, match="Is a directory"):
            SqliteStore(tmp_path / "m.db")

    def test_a_database_that_is_locked_now(self, tmp_path: Path) -> None:
        path = database(tmp_path / "m.db", "CREATE TABLE t (x)")
        holder = apsw.Connection(str(path))
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusyError, match="locked"):
            applied_steps(path)
        holder.close()
