"""Room is given back by a new file in the old one's place: whole or not at all, equal in every row, refused in time."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import apsw
import pytest

from llm_metrics_proxy.errors import BackupError, MigrationRefusedError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.ownership import follow
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.compact import Compacted, Watch, compact
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests import legacy
from tests.migration.databases import execute
from tests.rollups.records import a_row_of
from tests.storage.runs import a_run
from tests.system.disks import small_disk

RECORDS = 2000


def make(path: Path, *, records: int = RECORDS) -> Path:
    """A database most of whose records are gone, of which the log has not been written back."""
    random = Random(7)
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[a_row_of(random) for _ in range(records)], counters=[("a", b"\0\xff")]))
    store.close()
    legacy.leave_wal(path, "DELETE FROM completion_requests WHERE arrival > 200")
    return path


def give_back(path: Path, *, keep: int | None = 3, stop: threading.Event | None = None) -> Compacted:
    watch = Watch(_nobody, _nobody, lambda _: None, stop or threading.Event())
    folder = path.parent / "backups"
    return compact(path, folder, watch, app_version=APP_VERSION, lock=migration_lock(path), keep=keep)


def _nobody(_done: int, _total: int) -> None:
    pass


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, as anybody reads it."""
    connection = apsw.Connection(str(path))
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {table: list(connection.execute(f'SELECT * FROM "{table}"')) for table in tables}
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "metrics.db")


_SHOW = """
import sys
from pathlib import Path
from tests.storage.test_compact import content
print(content(Path(sys.argv[1])))
"""  # closing it here would write the log back


def test_it_holds_what_it_held_and_takes_less(path: Path) -> None:
    path.chmod(0o640)
    size = path.stat().st_size
    held = subprocess.run(
        [sys.executable, "-c", _SHOW, str(path)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    done = give_back(path)
    assert (done.bytes_before, done.bytes_after, done.records) == (size, path.stat().st_size, 200)
    assert done.bytes_after < size / 2
    assert f"{content(path)}\n" == held
    assert execute(path, "PRAGMA integrity_check") == [("ok",)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert done.backup is not None
    kept = backups.verify(path.parent / "backups", done.backup)
    assert (kept.reason, kept.records) == ("before_compact", 200)
    assert sorted(each.name for each in path.parent.iterdir()) == ["backups", "metrics.db", "metrics.db.migration-lock"]
    SqliteStore(path).close()


def test_what_has_no_room_to_give_back_is_left_as_it_is(path: Path) -> None:
    give_back(path)
    before = path.read_bytes()
    again = give_back(path)
    assert (again.backup, again.bytes_before, path.read_bytes()) == (None, again.bytes_after, before)


def test_without_a_backup_and_with_so_many_kept(path: Path) -> None:
    assert give_back(path, keep=None).backup is None
    assert not (path.parent / "backups").exists()
    for _ in range(3):
        make(path.with_name("other.db")).replace(path)
        path.with_name("other.db-wal").replace(path.with_name("metrics.db-wal"))
        give_back(path, keep=2)
    assert len(backups.listing(path.parent / "backups")) == 2


@pytest.mark.parametrize("holder", ["store", "reader"])
def test_one_that_somebody_has_open_is_refused_and_stays(
    path: Path, holder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_metrics_proxy.storage.swap._TRIES", 2)
    before = path.stat().st_size
    if holder == "store":
        store = SqliteStore(path)
        with pytest.raises(MigrationRefusedError, match=r"Another process has .* open\. Stop `serve` or `metrics`"):
            give_back(path)
        store.close()
    else:
        reader = SqliteReader(path)
        assert reader.query("SELECT count(*) FROM completion_requests") == [(200,)]
        with pytest.raises(MigrationRefusedError, match="before compacting it; nothing was changed"):
            give_back(path)
        reader.close()
    assert path.stat().st_size == before
    assert not (path.parent / "backups").exists()
    assert give_back(path).records == 200


def test_what_is_not_ours_or_in_the_middle_of_a_migration_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(StoreError, match="of an older version"):
        give_back(legacy.make(tmp_path / "old.db", "1.1", 5))
    with pytest.raises(StoreError, match="no database of this program"):
        give_back(tmp_path / "none.db")
    with closing(apsw.Connection(str(path))) as connection:
        a_run(connection, "migrating")
    with pytest.raises(MigrationRefusedError, match="is unfinished; `llm-metrics-proxy migrate run` ends it"):
        give_back(path)
    with migration_lock(path), pytest.raises(MigrationRefusedError, match=r"holds metrics\.db\.migration-lock"):
        give_back(path)


def test_a_new_file_that_differs_is_thrown_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def spoil(new: Path, model: Path) -> None:
        execute(new, "UPDATE counters SET state = x'00'")
        follow(new, model)

    monkeypatch.setattr("llm_metrics_proxy.storage.compact.follow", spoil)
    before = content(path)
    with pytest.raises(BackupError, match="Of 1 rows of the table counters the copy holds 0"):
        give_back(path)
    assert content(path) == before
    assert not list(path.parent.glob("*.compacting*"))


def test_one_that_is_stopped_leaves_everything_as_it_was(path: Path) -> None:
    stop, before = threading.Event(), content(path)
    stop.set()
    with pytest.raises((BackupError, StoreError), match="stopped"):
        give_back(path, stop=stop)
    monkey = Watch(_nobody, lambda _done, _total: None, lambda _: stop.set(), stop)
    stop.clear()
    try:
        compact(path, path.parent / "b", monkey, app_version=APP_VERSION, lock=migration_lock(path), keep=None)
    except StoreError as error:
        assert "stopped" in str(error)  # noqa: PT017 -- a small file may be compared before anybody looks
    assert content(path) == before


_CHILD = """
import sys
from pathlib import Path
from tests.storage.test_compact import give_back
print("begun", flush=True)
give_back(Path(sys.argv[1]))
print("done", flush=True)
"""


@pytest.mark.system
def test_killed_at_any_point_the_old_file_or_the_new_one_is_there(tmp_path: Path) -> None:
    template = make(tmp_path / "template.db", records=20_000)
    held = None
    ended = {"done": 0, "killed": 0}
    for number in range(16):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "metrics.db"
        for suffix in ("", "-wal"):
            path.with_name(path.name + suffix).write_bytes(template.with_name(template.name + suffix).read_bytes())
        with subprocess.Popen([sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            time.sleep(0.02 * number)
            os.kill(process.pid, signal.SIGKILL)
            ended["done" if process.stdout.readline() else "killed"] += 1
            process.wait()
        held = held or content(path)
        assert content(path) == held
        assert give_back(path).records == 200
        assert content(path) == held
        assert sorted(each.name for each in folder.iterdir()) == ["backups", "metrics.db", "metrics.db.migration-lock"]
    assert ended["killed"] >= 1, ended


def test_the_backup_that_proves_the_last_migration_stays(path: Path) -> None:
    folder = path.parent / "backups"
    before = backups.create(path, folder, reason="migration", app_version="5.0.0").name
    with closing(apsw.Connection(str(path))) as connection:
        a_run(connection, "done")
        connection.execute("UPDATE migration_runs SET backup = ?", (before,))
    for number in range(3):
        execute(path, f"DELETE FROM completion_requests WHERE arrival BETWEEN {60 * number} AND {60 * number + 59}")
        assert give_back(path, keep=1).backup is not None
    kept = {each.name for each in backups.listing(folder)}
    assert len(kept) == 2
    assert before in kept


def test_a_table_that_a_migration_has_set_aside_stays_as_it_is(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE completion_requests_before_5_0_0 (id TEXT PRIMARY KEY, v ANY)")
        connection.execute("INSERT INTO completion_requests_before_5_0_0 VALUES ('a', 1.0), ('b', x'ff'), ('c', '1')")
        a_run(connection, "done", old_table="completion_requests_before_5_0_0")
    before = content(path)
    done = give_back(path)
    assert content(path) == before
    assert done.backup is not None
    assert backups.verify(path.parent / "backups", done.backup).records_beside == 3


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 24 * 1024**2) as folder:
        yield folder


@pytest.mark.system
def test_on_a_small_disk_it_is_refused_with_what_it_needs_or_does_without_a_backup(disk: Path) -> None:
    path = make(disk / "metrics.db", records=12_000)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "ballast").write_bytes(os.urandom(free - 2**18))  # what the -wal takes is free again once it is folded
    before = content(path)
    with pytest.raises(MigrationRefusedError, match=r"needs .* for a while, the backup among them; .*--no-backup"):
        give_back(path)
    assert give_back(path, keep=None).records == 200
    assert content(path) == before
