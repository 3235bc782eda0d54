"""What a database file is told to be, and that looking leaves no trace of any kind."""

import os
import random
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.migration.legacy import FileKind, Inspection, inspect
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests import legacy
from tests.older_releases import DATABASES

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.db"


def database(path: Path, *statements: str) -> Path:
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement).fetchall()
    connection.close()
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def looked(path: Path) -> Inspection:
    """The inspection; every file in the folder is as it was, none came, none went, not even a -shm."""
    before = {each.name: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}
    names = names_in(path.parent)
    found = inspect(path)
    assert names_in(path.parent) == names
    assert {each.name: each.read_bytes() for each in path.parent.iterdir() if each.is_file()} == before
    return found


class TestNothing:
    def test_no_file(self, path: Path) -> None:
        assert looked(path).found is FileKind.NOTHING

    @pytest.mark.parametrize("beside", ["", "-wal", "-shm", "-journal"])
    def test_no_bytes(self, path: Path, beside: str) -> None:
        Path(f"{path}{beside}").touch()
        path.touch()
        assert looked(path).found is FileKind.NOTHING

    @pytest.mark.parametrize("mode", ["DELETE", "WAL"])
    def test_no_table(self, path: Path, mode: str) -> None:
        database(
            path,
            f"PRAGMA journal_mode = {mode}",
            "CREATE TABLE t (x INTEGER PRIMARY KEY AUTOINCREMENT)",
            "DROP TABLE t",
        )
        assert looked(path).found is FileKind.NOTHING

    def test_no_bytes_beside_a_wal_that_opening_would_delete(self, path: Path) -> None:
        legacy.leave_wal(legacy.make(path), "DELETE FROM completion_requests")
        path.write_bytes(b"")
        seen = looked(path)
        assert seen.found is FileKind.FOREIGN
        assert "metrics.db-wal next to it holds" in seen.message


class TestOurs:
    def test_of_this_version(self, path: Path) -> None:
        SqliteStore(path).close()
        assert looked(path).found is FileKind.OURS

    @pytest.mark.parametrize("golden", ["2.0.0", "2.1.0", "4.5.0"])
    def test_of_an_older_version(self, path: Path, golden: str) -> None:
        shutil.copyfile(DATABASES / f"{golden}.db", path)
        seen = looked(path)
        assert (seen.found, seen.has_ledger, seen.has_rowid_id) == (FileKind.LEGACY, True, True)
        assert ("timestamp_original" in seen.columns) == (golden != "2.0.0")

    def test_while_it_is_open(self, path: Path) -> None:
        store = SqliteStore(path)
        assert inspect(path).found is FileKind.OURS
        store.forget_worker("nobody")
        store.close()
        assert names_in(path.parent) == ["metrics.db"], "the store was the last: it could clean up"

    def test_whose_ledger_knows_more(self, path: Path) -> None:
        SqliteStore(path).close()
        database(path, "INSERT INTO schema_steps VALUES (99, 'future', 'x', 'then', '9.1.0')")
        seen = looked(path)
        assert seen.found is FileKind.NEWER
        assert "9.1.0" in seen.message

    def test_whose_steps_were_altered(self, path: Path) -> None:
        SqliteStore(path).close()
        database(path, "UPDATE schema_steps SET checksum = 'other'")
        assert looked(path).found is FileKind.FOREIGN


class TestLegacy:
    @pytest.mark.parametrize("layout", legacy.LAYOUTS)
    def test_every_layout(self, path: Path, layout: str) -> None:
        seen = looked(legacy.make(path, layout))
        assert seen.found is FileKind.LEGACY, seen.message
        assert list(seen.columns) == legacy.names(layout)
        assert seen.has_rowid_id == (layout not in ("text id", "without rowid", "no id"))

    @pytest.mark.parametrize("version", [None, 1, 3])
    @pytest.mark.parametrize("mode", ["DELETE", "WAL", "PERSIST"])
    @pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16be"])
    def test_with_and_without_schema_version(self, path: Path, version: int, mode: str, encoding: str) -> None:
        seen = looked(legacy.make(path, schema_version=version, journal_mode=mode, encoding=encoding))
        assert (seen.found, seen.has_ledger, seen.encoding) == (FileKind.LEGACY, False, encoding)

    @pytest.mark.parametrize("shm", [True, False])
    def test_a_wal_that_a_killed_program_left_belongs_to_it(self, path: Path, shm: bool) -> None:
        legacy.leave_wal(legacy.make(path), "ALTER TABLE completion_requests ADD COLUMN in_the_wal", shm=shm)
        seen = looked(path)
        assert seen.found is FileKind.LEGACY
        assert "in_the_wal" in seen.columns

    def test_a_table_that_is_in_the_wal_alone(self, path: Path) -> None:
        legacy.leave_wal(database(path, "PRAGMA user_version = 1"), "CREATE TABLE completion_requests (a)")
        assert looked(path).found is FileKind.FOREIGN

    def test_a_hot_journal_that_a_killed_program_left_belongs_to_it(self, path: Path) -> None:
        legacy.make(path, rows=100)
        legacy.leave_hot_journal(
            path, "UPDATE completion_requests SET error_message = hex(randomblob(2000))", "DROP TABLE schema_version"
        )
        seen = looked(path)
        assert seen.found is FileKind.LEGACY
        assert "schema_version" in seen.tables

    def test_a_program_that_writes_to_it_now(self, path: Path) -> None:
        legacy.make(path)
        connection = apsw.Connection(str(path))
        connection.execute("BEGIN IMMEDIATE; DELETE FROM completion_requests")
        assert inspect(path).found is FileKind.LEGACY
        connection.execute("COMMIT; BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusyError):
            inspect(path)
        connection.execute("ROLLBACK")
        connection.close()
        assert names_in(path.parent) == ["metrics.db"]

    def test_columns_and_table_in_other_letters(self, path: Path) -> None:
        database(path, "CREATE TABLE Completion_Requests (ID INTEGER PRIMARY KEY, Timestamp, MODEL, Total_Tokens)")
        seen = looked(path)
        assert (seen.found, seen.has_rowid_id) == (FileKind.LEGACY, True)

    @pytest.mark.parametrize(
        ("key", "is_rowid"),
        [
            ("id INTEGER PRIMARY KEY", True),
            ("id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL", True),
            ("id INTEGER PRIMARY KEY DESC", False),
            ("id INT PRIMARY KEY", False),
            ("id INTEGER UNIQUE", False),
            ("other INTEGER PRIMARY KEY, id INTEGER", False),
        ],
    )
    def test_only_the_key_itself_is_the_integer_key(self, path: Path, key: str, is_rowid: bool) -> None:
        database(path, f"CREATE TABLE completion_requests ({key}, timestamp, model, total_tokens)")
        assert looked(path).has_rowid_id is is_rowid

    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_what_nobody_may_write(self, path: Path, kind: str) -> None:
        legacy.make(path, journal_mode="WAL")
        (path if kind == "file" else path.parent).chmod(0o555)
        try:
            assert looked(path).found is FileKind.LEGACY
        finally:
            path.parent.chmod(0o755)

    def test_a_link_to_it(self, path: Path) -> None:
        (path.parent / "deep").mkdir()
        legacy.leave_wal(legacy.make(path.parent / "deep" / "real.db"), "CREATE TABLE more (x)", shm=False)
        path.symlink_to(path.parent / "deep" / "real.db")
        before = legacy.side_files(path.parent / "deep" / "real.db")
        assert "more" in looked(path).tables
        assert legacy.side_files(path.parent / "deep" / "real.db") == before

    @pytest.mark.parametrize("name", ["a b?mode=rwc#x.db", "50%20.db", "é'\".db"])
    def test_odd_file_names(self, tmp_path: Path, name: str) -> None:
        assert looked(legacy.make(tmp_path / name)).found is FileKind.LEGACY


class TestNewer:
    @pytest.mark.parametrize("version", [4, 17])
    def test_a_schema_version_that_no_older_program_wrote(self, path: Path, version: int) -> None:
        seen = looked(legacy.make(path, "2.0", schema_version=version))
        assert seen.found is FileKind.NEWER
        assert f"schema_version {version}" in seen.message

    @pytest.mark.parametrize(("value", "found"), [("4", FileKind.NEWER), (3.5, FileKind.NEWER), ("x", FileKind.LEGACY)])
    def test_a_schema_version_of_another_type(self, path: Path, value: object, found: FileKind) -> None:
        database(legacy.make(path, schema_version=None), "CREATE TABLE schema_version (version)")
        connection = apsw.Connection(str(path))
        connection.execute("INSERT INTO schema_version VALUES (?)", (value,))
        connection.close()
        assert looked(path).found is found

    def test_a_newer_one_in_the_wal(self, path: Path) -> None:
        legacy.leave_wal(legacy.make(path, "2.0"), "UPDATE schema_version SET version = 5 WHERE version = 1")
        assert looked(path).found is FileKind.NEWER


class TestForeign:
    def test_another_programs_tables(self, path: Path) -> None:
        seen = looked(database(path, *(f"CREATE TABLE bookmarks_{n} (url)" for n in range(7))))
        assert seen.found is FileKind.FOREIGN
        assert "bookmarks_0" in seen.message
        assert "2 more" in seen.message

    def test_another_programs_tables_with_a_hot_journal(self, path: Path) -> None:
        fill = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
        database(path, "CREATE TABLE urls (url)", f"INSERT INTO urls {fill} SELECT hex(randomblob(2000)) FROM n")
        legacy.leave_hot_journal(path, "UPDATE urls SET url = hex(randomblob(1500))")
        seen = looked(path)
        assert (seen.found, seen.tables) == (FileKind.FOREIGN, ("urls",))

    @pytest.mark.parametrize(
        ("columns", "lacks"),
        [
            ("id INTEGER PRIMARY KEY, prompt, answer", "timestamp and model and any of response_time_ms"),
            ("id, timestamp, total_tokens", "lacks model"),
            ("id, model, total_tokens", "lacks timestamp"),
            ("id, timestamp, model, user", "lacks any of"),
        ],
    )
    def test_a_completion_requests_that_is_none_of_ours(self, path: Path, columns: str, lacks: str) -> None:
        seen = looked(database(path, f"CREATE TABLE completion_requests ({columns})"))
        assert seen.found is FileKind.FOREIGN
        assert lacks in seen.message

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE VIEW completion_requests AS SELECT 1 AS timestamp, 2 AS model, 3 AS total_tokens",
            "CREATE VIRTUAL TABLE completion_requests USING fts5(timestamp, model, total_tokens)",
        ],
    )
    def test_a_completion_requests_that_is_no_table(self, path: Path, statement: str) -> None:
        seen = looked(database(path, statement))
        assert seen.found is FileKind.FOREIGN
        assert "not a table of records" in seen.message

    @pytest.mark.parametrize("content", [b"\0", b"hello, world\n" * 500, PNG, b"SQLite format 4\0" * 100])
    def test_no_database(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        seen = looked(path)
        assert seen.found is FileKind.FOREIGN
        assert "is not a SQLite database" in seen.message

    def test_a_folder(self, path: Path) -> None:
        path.mkdir()
        seen = looked(path)
        assert seen.found is FileKind.FOREIGN
        assert "Is a directory" in seen.message

    def test_a_pipe_is_not_waited_for(self, path: Path) -> None:
        os.mkfifo(path)
        found: list[Inspection] = []
        thread = threading.Thread(target=lambda: found.append(inspect(path)), daemon=True)
        thread.start()
        thread.join(30)
        assert [seen.found for seen in found] == [FileKind.FOREIGN]

    @pytest.mark.parametrize("is_root", [os.geteuid() == 0])
    def test_what_this_user_may_not_read(self, is_root: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = legacy.make(Path(folder, "metrics.db"))
            path.chmod(0)
            Path(folder).chmod(0o755)
            assert _as_nobody(lambda: inspect(path), is_root=is_root) == "StoreError: Permission denied"


def _as_nobody(act: Callable[[], object], *, is_root: bool) -> str:
    """What ``act`` raises in a child that has no rights of root's."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            if is_root:
                os.setuid(65534)
            act()
        except StoreError as error:
            said = f"{type(error).__name__}: {'Permission denied' if 'Permission denied' in str(error) else error}"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


class TestDamaged:
    @pytest.mark.parametrize("mode", ["DELETE", "WAL"])
    @pytest.mark.parametrize("keep", [1, 15, 16, 40, 99, 100, 101, 4095, 4096, 5000, 0.5, 0.9, -1])
    def test_a_cut_file(self, path: Path, keep: float, mode: str) -> None:
        whole = legacy.make(path, rows=300, journal_mode=mode).read_bytes()
        path.write_bytes(whole[: keep if isinstance(keep, int) else int(len(whole) * keep)])
        seen = looked(path)
        assert seen.found is FileKind.DAMAGED
        assert "it ends after" in seen.message

    def test_a_cut_file_of_ours(self, path: Path) -> None:
        SqliteStore(path).close()
        path.write_bytes(path.read_bytes()[:-4096])
        assert looked(path).found is FileKind.DAMAGED

    @pytest.mark.parametrize("seed", range(8))
    def test_random_damage(self, path: Path, seed: int) -> None:
        content = bytearray(legacy.make(path, rows=500).read_bytes())
        dice = random.Random(seed)
        # the head of a page says where its cells are; damage to a value alone can be seen by nobody
        page = dice.randrange(1, len(content) // 4096) * 4096
        content[page : page + 40] = dice.randbytes(40)
        path.write_bytes(content)
        seen = looked(path)
        assert seen.found is FileKind.DAMAGED
        assert "Nothing was changed" in seen.message

    @pytest.mark.parametrize("position", [16, 19, 21, 100, 101, 103])
    def test_a_damaged_header(self, path: Path, position: int) -> None:
        content = bytearray(legacy.make(path).read_bytes())
        content[position] = 0xFF
        path.write_bytes(content)
        assert looked(path).found is FileKind.DAMAGED

    def test_it_is_seen_again_when_it_is_whole_again(self, path: Path) -> None:
        whole = legacy.make(path, rows=300).read_bytes()
        path.write_bytes(whole[:20000] + bytes(4096) + whole[24096:])
        assert looked(path).found is FileKind.DAMAGED
        path.write_bytes(whole)
        assert looked(path).found is FileKind.LEGACY
