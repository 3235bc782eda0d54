"""Others at the same file: a writer at full rate, readers with long snapshots, and a holder of the lock that stops."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.migration.faults.nursery import Child, is_stopped
from tests.migration.faults.oracle import judge
from tests.migration.faults.points import Fault
from tests.migration.faults.templates import execute, old_file, our_file
from tests.migration.faults.trials import FINISHED, Trials
from tests.waiting import wait_until

pytestmark = pytest.mark.system


@contextmanager
def beside(trials: Trials, job: str, path: Path, **arguments: Any) -> Iterator[Child]:
    """A child that works until the end of the block."""
    until = path.with_name(f"{job}-until")
    child = trials.nursery.start(job, path=path, until=until, **arguments)
    try:
        yield child
    finally:
        until.touch()
        child.wait()


def _has_new(path: Path) -> bool:
    """Whether the writer has stored a record."""
    columns = [name for (name,) in execute(path, "SELECT name FROM pragma_table_info('completion_requests')")]
    if "request_id" not in columns:
        return False
    return bool(execute(path, "SELECT 1 FROM completion_requests WHERE request_id GLOB 'new-*' LIMIT 1"))


@pytest.mark.parametrize("kind", ["old", "old in WAL mode", "ours"])
def test_a_writer_at_full_rate_loses_nothing_and_its_records_keep_their_version(trials: Trials, kind: str) -> None:
    folder = trials.folder()
    mode = "WAL" if "WAL" in kind else "DELETE"
    path, before = our_file(folder, 6000) if kind == "ours" else old_file(folder, records=6000, journal_mode=mode)
    with beside(trials, "write", path) as writer:
        if kind == "ours":
            wait_until(lambda: _has_new(path), "the writer has begun")
        migrated = trials.nursery.run("migrate", path=path, batch_lock_ms=2, pause_ms=2)
        assert migrated.ended == "done", migrated
        wait_until(lambda: _has_new(path), "the writer has been let in")
    wrote = writer.wait()
    assert wrote.status == 0
    assert "error" not in wrote.answer, wrote
    stored = wrote.answer["stored"]
    assert stored >= 20
    judge(before, path, must_be="new", arrived=stored)
    trials.finishes(before, path, arrived=stored)
    with beside(trials, "write", path, first=stored) as writer:
        undone = trials.nursery.run("undo", path=path, batch_lock_ms=2)
    assert (undone.ended, undone.answer["conflicts"]) == ("undone", []), undone
    judge(before, path, must_be="old", arrived=writer.wait().answer["stored"])
    print(f"\n{kind}: {stored} records beside the migration, {wrote.answer['refused']} times in vain", end="")


def test_a_writer_survives_a_migration_that_is_killed(trials: Trials) -> None:
    path, before = our_file(trials.folder(), 3000)
    killed = 0
    with beside(trials, "write", path) as writer:
        for number in (60, 150, 300, 450, 600):
            fault = Fault(action="kill", family="statement", number=number)
            killed += trials.nursery.run("migrate", fault, path=path).killed
    stored = writer.wait().answer["stored"]
    assert killed >= 3
    judge(before, path, arrived=stored)
    trials.finishes(before, path, arrived=stored)


@pytest.mark.parametrize("kind", ["old in WAL mode", "ours"])
def test_a_reader_with_a_long_snapshot_sees_it_to_its_end_and_holds_nobody_up(trials: Trials, kind: str) -> None:
    folder = trials.folder()
    path, before = our_file(folder) if kind == "ours" else old_file(folder, journal_mode="WAL")
    begun = path.with_name("begun")
    with beside(trials, "read", path, begun=begun) as reader:
        wait_until(begun.exists, "the reader has begun")
        migrated = trials.nursery.run("migrate", path=path)
        assert migrated.ended == "done", migrated
        undone = trials.nursery.run("undo", path=path)
        assert undone.ended == "undone", undone
        again = trials.nursery.run("migrate", path=path, automatic=False)
        assert again.ended == "done", again
    seen = reader.wait().answer
    assert (seen["same"], seen["records"]) == (True, len(before))
    trials.finishes(before, path)


def test_a_reader_of_a_file_without_wal_is_waited_for_or_named_and_nothing_breaks(trials: Trials) -> None:
    path, before = old_file(trials.folder())
    begun = path.with_name("begun")
    with beside(trials, "read", path, begun=begun) as reader:
        wait_until(begun.exists, "the reader has begun")
        ending = trials.nursery.run("migrate", path=path)
        assert ending.ended in FINISHED or ending.ended in ("StoreBusyError", "MigrationRefusedError"), ending
        judge(before, path)
    assert reader.wait().answer["same"] is True
    trials.finishes(before, path)


@contextmanager
def _stopped(trials: Trials, template: Path, fault: Fault) -> Iterator[tuple[Path, Child]]:
    """A migrator of a copy that stands still at a point, with the lock; continued at the end if it still lives."""
    path, holder = trials.stand(template, fault, "migrate")
    try:
        assert is_stopped(holder.pid)
        yield path, holder
    finally:
        if not holder.done.done():
            os.kill(holder.pid, signal.SIGCONT)
        holder.wait()


def _statement(trials: Trials, path: Path, share: float) -> Fault:
    seen = trials.points(path, "migrate")
    return Fault(action="stop", family="statement", number=max(1, int(seen["statement"] * share)))


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("is_killed", [False, True])
def test_others_wait_for_a_holder_that_was_stopped(trials: Trials, share: float, is_killed: bool) -> None:
    template, before = our_file(trials.folder())
    fault = _statement(trials, template, share)
    with _stopped(trials, template, fault) as (path, holder):
        told = path.with_name("told")
        refused = trials.nursery.run("migrate", path=path)
        assert refused.ended == "MigrationRefusedError", refused
        assert str(holder.pid) in refused.answer["message"], "who holds the lock is named"
        assert trials.nursery.run("status", path=path).answer["lock_holder"] == holder.pid
        waiting = trials.nursery.start("migrate", path=path, wait=True, told=told)
        wait_until(lambda: told.exists() and "waiting" in told.read_text(), "the other one waits")
        time.sleep(0.3)  # long enough to do wrong; nothing depends on it
        assert not waiting.done.done()
        judge(before, path)
        if is_killed:
            os.kill(holder.pid, signal.SIGKILL)
            assert holder.wait().killed
    first, second = holder.wait(), waiting.wait()
    assert is_killed or first.ended == "done", first
    assert second.ended == ("done" if is_killed else "nothing_to_do"), second
    trials.finishes(before, path)


@contextmanager
def _between_two_batches(trials: Trials, template: Path) -> Iterator[tuple[Path, Child]]:
    """As ``_stopped``, half way, and in no transaction: of its two threads the other one may have one open."""
    half = trials.points(template, "migrate")["commit"] // 2
    for number in range(half, half + 20):
        fault = Fault(action="stop", family="commit", number=number, when="after")
        with _stopped(trials, template, fault) as (path, holder):
            if _may_be_written(path):
                yield path, holder
                return
    raise AssertionError("it is never between two batches")


def _may_be_written(path: Path) -> bool:
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE; ROLLBACK")
        except apsw.BusyError:
            return False
        return True


def test_a_holder_that_lost_the_lock_and_its_turn_stops_and_breaks_nothing(trials: Trials) -> None:
    template, before = our_file(trials.folder())
    with _between_two_batches(trials, template) as (path, holder):
        # when it goes on, it finds another's number in the database
        path.with_name(f"{path.name}.migration-lock").unlink()  # as on a file system that forgets locks
        other = trials.nursery.run("migrate", path=path)
        assert other.ended == "done", other
    assert holder.wait().ended == "MigrationFailedError", holder.wait()
    trials.finishes(before, path)
