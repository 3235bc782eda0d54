"""One calculation of what a migration takes, which holds: for the plan, for ``doctor``, for a run and for a start."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_metrics_proxy.cli import migration_checks
from llm_metrics_proxy.cli.app import run
from llm_metrics_proxy.cli.finding import CheckStatus
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.migration import engine, planner
from llm_metrics_proxy.migration.disk import Disk
from llm_metrics_proxy.migration.model import Ended, Progress, WorkPhase
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.overview import disk_of, survey
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.disk_space import space_in
from llm_metrics_proxy.upkeep import Retention, Upkeep, Worked
from tests import legacy
from tests.migration.databases import execute
from tests.system.disks import small_disk

RECORDS = 4000


def needs(path: Path) -> Disk:
    return disk_of(path, path.parent / "backups", survey(path, MIGRATIONS))


def files_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def roll_up(path: Path) -> None:
    upkeep = Upkeep(path, Retention(), batch_lock_ms=50, unix_s=time.time)
    while upkeep.step(leftovers=True) is not Worked.NOTHING:
        pass
    upkeep.close()


@pytest.mark.parametrize("layout", ["1.0", "1.1", "2.0", "2.0 shuffled"])
def test_what_is_asked_for_is_enough_for_all_that_follows(tmp_path: Path, layout: str) -> None:
    path = legacy.make(tmp_path / "metrics.db", layout, RECORDS)
    asked = needs(path)
    before, most = files_bytes(tmp_path), [0]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.002):
            try:
                most[0] = max(most[0], files_bytes(tmp_path))
            except OSError:  # a file went just now
                continue

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        result = engine.migrate(path, Options(backup_dir=tmp_path / "backups"), migrations=MIGRATIONS)
        roll_up(path)
    finally:
        stop.set()
        watching.join()
    assert result.ended is Ended.DONE
    taken = max(most[0], files_bytes(tmp_path)) - before
    assert taken <= asked.database.needed_bytes - asked.reserve_bytes, asked


def test_the_log_of_a_killed_program_is_part_of_what_is_copied(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "1.1", 100)
    alone = needs(path).backup_bytes
    legacy.leave_wal(path, "UPDATE completion_requests SET model = 'x'")
    assert needs(path).backup_bytes == alone + path.with_name("metrics.db-wal").stat().st_size


def test_a_run_that_is_gone_on_with_needs_no_second_backup(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "1.1", RECORDS)
    whole = needs(path)
    stopped = engine.migrate(path, Options(backup_dir=tmp_path / "backups", max_seconds=0), migrations=MIGRATIONS)
    assert stopped.ended is Ended.STOPPED
    rest = needs(path)
    assert rest.backup_bytes == 0
    assert rest.database.needed_bytes < whole.database.needed_bytes


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 40 * 1024**2) as folder:
        yield folder


@pytest.mark.system
@pytest.mark.parametrize("lacks", [64 * 1024, 0])
def test_on_a_small_disk_all_say_the_same_and_the_reserve_stays_free(
    disk: Path, lacks: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = legacy.make(disk / "metrics.db", "1.1", RECORDS)
    settings = Settings(data_dir=disk, port=0, metrics_port=0)
    asked = needs(path)
    spare = asked.database.free_bytes - asked.database.needed_bytes
    (disk / "ballast").write_bytes(os.urandom(spare // 4096 * 4096 - 4096 + lacks))  # whole pages
    words = needs(path).lacking()
    assert bool(words) == bool(lacks)
    planned = planner.plan(path, backup_dir=disk / "backups", migrations=MIGRATIONS)
    assert (planned.disk, planned.refusal is not None) == (needs(path), bool(lacks))
    found = migration_checks.migrations(settings)
    assert (found.status is CheckStatus.FAILED, words in found.found) == (bool(lacks), True)
    assert run(["migrate", "plan", "--data-dir", str(disk), "--json"]) == (3 if lacks else 0)
    shown = json.loads(capsys.readouterr().out)
    assert shown["disk"]["database"]["enough"] is not bool(lacks)
    code = run(["migrate", "run", "--data-dir", str(disk)])
    assert code == (3 if lacks else 0)
    if lacks:
        assert needs(path).lacking() in capsys.readouterr().err  # its lock has taken a page since
        assert sorted(each.name for each in disk.iterdir()) == ["ballast", "metrics.db", "metrics.db.migration-lock"]
        return
    roll_up(path)
    assert space_in(disk).has(), "roll-ups took the reserve"


@pytest.mark.system
def test_a_migration_stops_before_it_takes_the_last_room_and_goes_on_when_there_is_some(disk: Path) -> None:
    path = legacy.make(disk / "metrics.db", "1.1", RECORDS)
    before = execute(path, "SELECT count(*) FROM completion_requests")
    neighbour = disk / "ballast"

    def fill(progress: Progress) -> None:
        if progress.phase is WorkPhase.MIGRATING and not neighbour.exists():
            free = space_in(disk)
            neighbour.write_bytes(bytes(max(0, free.free_bytes - free.reserve_bytes // 2)))

    with pytest.raises(Exception, match="kept for storing records"):
        engine.migrate(path, Options(backup_dir=disk / "backups", batch_lock_ms=1), report=fill, migrations=MIGRATIONS)
    assert space_in(disk).free_bytes > 0
    with pytest.raises(MigrationRefusedError, match="has no room"):
        engine.migrate(path, Options(backup_dir=disk / "backups"), migrations=MIGRATIONS)
    neighbour.unlink()
    assert engine.migrate(path, Options(backup_dir=disk / "backups"), migrations=MIGRATIONS).ended is Ended.DONE
    assert execute(path, "SELECT count(*) FROM completion_requests") == before
