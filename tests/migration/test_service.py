"""Migrations by themselves, beside everything else: what the thread of the metrics process does and tells."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.api.migrations import MigrationBlocksDataError, in_words
from llm_metrics_proxy.errors import (
    ForeignDatabaseError,
    MigrationRefusedError,
    NewerDatabaseError,
    StoreBusyError,
    StoreError,
)
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.migration.model import ColumnChange, Ended, RunState, WorkPhase
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.service import MigrationService, View
from llm_metrics_proxy.migration.window import DailyWindow
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests import legacy
from tests.waiting import wait_until

RECORDS = 300
WRONG = tuple(m._replace(changes=(ColumnChange("tokens_per_second", "1.0"), *m.changes[1:])) for m in MIGRATIONS)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of 1.x, in a folder of its own."""
    (tmp_path / "data").mkdir()
    return legacy.make(tmp_path / "data" / "metrics.db", "1.1", RECORDS)


class Running:
    """A service, and what it told at every change that was seen."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        kinds: dict[str, Any] = {"migrations": MIGRATIONS} | {
            name: options.pop(name) for name in ("allowed", "migrations") if name in options
        }
        folder = path.parent / "backups"
        told = Options(backup_dir=folder, automatic=True, wait_for_lock=True, **options)
        self.service = MigrationService(path, told, retry_s=0.05, look_s=0.02, **kinds)
        self.ended = threading.Event()

    @property
    def view(self) -> View:
        return self.service.view()

    def until(self, reached: Callable[[View], object]) -> View:
        wait_until(lambda: reached(self.view))
        return self.view

    def until_ended(self, how: Ended) -> View:
        return self.until(lambda view: view.result is not None and view.result.ended is how)


@contextmanager
def running(path: Path, **options: Any) -> Iterator[Running]:
    it = Running(path, **options)
    it.service.start(it.ended.set)
    try:
        yield it
    finally:
        it.service.stop()


def content(path: Path) -> tuple[bytes, list[str]]:
    """Of the file, and what is beside it."""
    return path.read_bytes(), sorted(entry.name for entry in path.parent.iterdir())


def ask(path: Path, sql: str) -> Any:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows: list[Any] = connection.execute(sql).fetchall()
        return rows[0][0]
    finally:
        connection.close()


def test_an_old_database_is_brought_up_to_date_and_the_store_opens(old: Path) -> None:
    with running(old) as it:
        view = it.until_ended(Ended.DONE)
        assert (view.problem, view.blocks_store) == (None, False)
        assert (view.progress.phase, view.run_id) == (WorkPhase.IDLE, 1)
        assert it.service.wait_until_looked(0)
        it.service.admit()
        SqliteStore(old).close()
    assert engine.verify(old, migrations=MIGRATIONS) == ()
    assert (
        ask(old, f"SELECT count(*) FROM completion_requests WHERE app_version = '{MIGRATIONS[-1].version}'") == RECORDS
    )
    assert not it.ended.is_set()


def test_until_its_table_is_set_aside_nothing_may_be_stored_in_it(old: Path) -> None:
    with migration_lock(old), running(old) as it:
        it.until(lambda view: view.progress.phase is WorkPhase.WAITING)
        assert it.view.blocks_store
        with pytest.raises(StoreError, match="is being migrated"):
            it.service.admit()
    with pytest.raises(StoreError):  # it was stopped while it waited, and knows no more than before
        it.service.admit()


def test_it_waits_for_whoever_migrates_now(old: Path) -> None:
    with running(old.parent / "none.db") as it:
        assert it.service.wait_until_looked(60)
        it.service.admit()
        assert it.until_ended(Ended.NOTHING_TO_DO).problem is None
    assert not (old.parent / "none.db").exists()
    with running(old) as it:
        with migration_lock(old, wait=True):
            it.until(lambda view: view.progress.phase in (WorkPhase.WAITING, WorkPhase.IDLE))
        it.until_ended(Ended.DONE)


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("UPDATE completion_requests SET app_version = '9.0.0' WHERE id = 7", NewerDatabaseError),
        ("UPDATE schema_version SET version = 4", NewerDatabaseError),
        ("DROP TABLE completion_requests; CREATE TABLE songs (title)", ForeignDatabaseError),
    ],
)
def test_what_is_not_ours_to_write_ends_the_process_and_stays_as_it_is(
    tmp_path: Path, sql: str, error: type[Exception]
) -> None:
    (tmp_path / "data").mkdir()
    path = legacy.make(tmp_path / "data" / "metrics.db", "2.0", RECORDS)
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()
    before = content(path)
    with running(path) as it:
        assert it.ended.wait(60)
        assert isinstance(it.service.refusal, error)
        with pytest.raises(StoreError):
            it.service.admit()
    assert content(path) == before


def test_without_auto_migrate_an_old_database_is_refused_untouched(old: Path) -> None:
    before = content(old)
    with running(old, allowed=False) as it:
        assert it.ended.wait(60)
        assert isinstance(it.service.refusal, MigrationRefusedError)
        assert "migrate run" in str(it.service.refusal)
    assert content(old) == before


def test_without_auto_migrate_what_is_up_to_date_is_served_and_what_was_taken_back_waits(old: Path) -> None:
    engine.migrate(old, Options(backup_dir=old.parent / "backups"), migrations=MIGRATIONS)
    with running(old, allowed=False) as it:
        it.until_ended(Ended.NOTHING_TO_DO)
    engine.undo(old, Options(backup_dir=old.parent / "backups"), migrations=MIGRATIONS)
    with running(old, allowed=False) as it:
        assert "migrate run" in str(it.until_ended(Ended.HELD).problem)
        with pytest.raises(StoreBusyError, match="migrate run"):
            it.service.admit()
        engine.migrate(old, Options(backup_dir=old.parent / "backups"), migrations=MIGRATIONS)
        it.until(lambda view: not view.blocks_store)
        it.service.admit()
    assert it.service.refusal is None


def test_without_auto_migrate_a_person_who_is_at_it_is_waited_for(old: Path) -> None:
    with running(old, allowed=False) as it, migration_lock(old, wait=True):
        pass  # whether it looked before or after: see the next one
    with migration_lock(old):
        it = Running(old, allowed=False)
        it.service.start(it.ended.set)
        it.until(lambda view: view.progress.phase is WorkPhase.WAITING)
    assert it.ended.wait(60)  # that person has gone without having done it
    it.service.stop()


def test_what_may_get_better_is_told_and_tried_again(old: Path) -> None:
    in_the_way = old.parent / "backups"
    in_the_way.write_text("a file")
    with running(old) as it:
        told = it.until(lambda view: view.problem)
        assert "backups" in str(told.problem)
        assert told.blocks_store
        in_the_way.unlink()
        it.until_ended(Ended.DONE)
        assert it.view.problem is None


def test_a_run_that_was_taken_back_by_verification_is_told_and_not_tried_again(old: Path) -> None:
    with running(old, migrations=WRONG) as it:
        view = it.until_ended(Ended.ROLLED_BACK)
        assert "oracle" in str(view.problem)
        assert not view.blocks_store
        it.service.admit()  # it is ours since then, and its records are as they were
        time.sleep(0.2)
        assert it.view.problem
    with running(old, migrations=WRONG) as it:
        assert it.until_ended(Ended.HELD).problem
    assert [run.state for run in engine.history(old)] == [RunState.ROLLED_BACK]
    with running(old) as it:  # another release, with another formula
        it.until_ended(Ended.DONE)


def test_what_other_processes_do_is_noticed(old: Path) -> None:
    by_hand = Options(backup_dir=old.parent / "backups")
    with running(old) as it:
        it.until_ended(Ended.DONE)
        assert engine.undo(old, by_hand, migrations=MIGRATIONS).ended is Ended.UNDONE
        assert "by a person" in str(it.until(lambda view: view.problem).problem)
        assert engine.migrate(old, by_hand, migrations=MIGRATIONS).ended is Ended.DONE
        it.until(lambda view: view.problem is None)
        assert it.until(lambda view: view.run_id == 2).run_id == 2


def test_what_another_process_left_when_it_died_is_finished(old: Path) -> None:
    with running(old) as it:
        it.until_ended(Ended.DONE)
        connection = apsw.Connection(str(old))
        connection.set_busy_timeout(10_000)
        connection.execute("UPDATE completion_requests SET app_version = '1.0.0'; DELETE FROM migration_facts")
        connection.close()
        by_hand = Options(backup_dir=old.parent / "backups", max_seconds=0.0)
        assert engine.migrate(old, by_hand, migrations=MIGRATIONS).ended is Ended.STOPPED
        it.until(lambda view: len(engine.history(old)) == 2 and engine.history(old)[-1].state is RunState.DONE)
        it.until(lambda view: view.problem is None)


def test_it_stops_after_a_batch_and_goes_on_at_the_next_start(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "1.1", 700)  # more than a first batch, of index entries too: two rests
    with running(path, pause_ms=3_000) as it:
        it.until(lambda view: view.progress.phase is WorkPhase.MIGRATING and engine.history(path)[-1].records_changed)
        it.service.admit()  # the older table was set aside, so that records can be stored
    assert engine.history(path)[-1].state is RunState.MIGRATING
    with running(path) as it:
        it.until_ended(Ended.DONE)
    assert [run.state for run in engine.history(path)] == [RunState.DONE]
    assert engine.verify(path, migrations=MIGRATIONS) == ()


def test_outside_its_hours_it_pauses_and_says_until_when(old: Path) -> None:
    opens = (datetime.now() + timedelta(hours=2)).time().replace(second=0, microsecond=0)
    closes = (datetime.now() + timedelta(hours=3)).time().replace(second=0, microsecond=0)
    with running(old, window=DailyWindow(opens, closes)) as it:
        view = it.until(lambda view: view.progress.phase is WorkPhase.PAUSED and view.paused_until)
        assert view.paused_until is not None
        assert view.paused_until.tzinfo is not None
        assert timedelta(hours=1) < view.paused_until - datetime.now().astimezone() < timedelta(hours=3)
    assert engine.history(old)[-1].state is RunState.MIGRATING


def test_what_a_blocked_database_waits_for_is_said_everywhere(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = {"free": 1000, "total": 10**9}
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), full))
    before = content(old)
    with running(old) as it:
        view = it.until(lambda view: view.problem is not None and view.progress.phase is WorkPhase.WAITING)
        assert "has no room for the migration" in str(view.problem)
        assert in_words(view.progress).startswith("waiting: The disk has no room for the migration of ")
        assert in_words(view.progress).endswith("It is tried again every 0.05 s")
        assert "has no room" in str(MigrationBlocksDataError(view.progress))
        with pytest.raises(StoreBusyError, match="is of an older version: The disk has no room"):
            it.service.admit()
        for _ in range(200):  # told all the while, also while it looks again
            assert it.view.problem == view.problem
            time.sleep(0.002)
        full["free"] = 10**9
        it.until_ended(Ended.DONE)
        assert it.view.problem is None
    assert content(old) != before
