"""The file that a migration is measured on, and figures from what the pieces of work say."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from bench.migration import speed
from bench.targets import reached

from bench import migration_child, migration_file
from llm_metrics_proxy.migration.model import Progress, WorkPhase


def test_the_file_is_one_of_1x_with_naive_timestamps_and_some_failures(tmp_path: Path) -> None:
    migration_file.make(tmp_path / "old.db", 2_000)
    assert [path.name for path in tmp_path.iterdir()] == ["old.db"]
    connection = apsw.Connection(str(tmp_path / "old.db"))
    ((records, failed, stamps, first),) = connection.execute(
        "SELECT count(*), sum(NOT success), group_concat(DISTINCT app_version), min(timestamp) FROM completion_requests"
    )
    assert (records, failed, stamps) == (2_000, 2_000 * migration_file.FAILED_PER_THOUSAND // 1000, "1.0.0")
    assert first == "2025-01-01T00:00:01.000007"
    ((wrong,),) = connection.execute(
        "SELECT count(*) FROM completion_requests WHERE (total_tokens IS NULL) IS NOT (NOT success)"
    )
    assert wrong == 0
    connection.close()


def test_the_bare_update_is_what_it_says_and_leaves_no_log(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    migration_file.make(path, 1_000)
    assert migration_child.update(path)["seconds"] > 0
    connection = apsw.Connection(str(path))
    rows = connection.execute(
        "SELECT count(*) FROM completion_requests WHERE app_version = '2.0.0' "
        "AND tokens_per_second IS total_tokens * 1000.0 / response_time_ms"
    )
    assert list(rows) == [(1_000,)]
    connection.close()


@pytest.mark.system
def test_migration_and_undo_are_timed_by_phase_in_processes_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    migration_file.make(path, 3_000)
    found = {}
    for what in ("migrate", "undo"):
        command = [sys.executable, "-m", "bench.migration_child", what, str(path), str(tmp_path / "backups")]
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        found[what] = msgspec.json.decode(ran.stdout)
    migrated = found["migrate"]
    assert migrated["records"] == 3_000
    assert {"backing_up", "migrating", "verifying"} <= migrated["phases"].keys()
    assert sum(migrated["phases"].values()) == pytest.approx(migrated["seconds"], rel=0.05, abs=0.05)
    assert migrated["peak_mib"] > 5
    assert found["undo"]["seconds"] > 0


@pytest.mark.system
def test_a_waiting_writer_finds_the_longest_lock(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    migration_file.make(path, 1)
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN IMMEDIATE")
    command = [sys.executable, "-m", "bench.migration_waiter", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiter:
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.wait(2)
        holder.execute("ROLLBACK")
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.wait(1)
        words, _ = waiter.communicate(b"")
    holder.close()
    found = msgspec.json.decode(words)
    assert found["longest_ms"] > 100
    assert found["long_waits"] == 1
    assert found["asked"] > 1


def test_seconds_are_told_by_phase() -> None:
    watch = migration_child.Stopwatch()
    for progress in (
        Progress(phase=WorkPhase.BACKING_UP, done=1, total=2),
        Progress(phase=WorkPhase.BACKING_UP, done=2, total=2),
        Progress(phase=WorkPhase.MIGRATING),
        Progress(phase=WorkPhase.MIGRATING, detail="counting records"),
        Progress(phase=WorkPhase.VERIFYING),
    ):
        watch.report(progress)
    watch.stop()
    assert list(watch.seconds) == ["checking", "backing_up", "migrating", "verifying"]


def test_ratios_compare_neighbours_with_and_without_the_backup() -> None:
    def turn(bare: float, whole: float, backup: float) -> dict[str, dict[str, Any]]:
        migrated = {
            "seconds": whole, "cpu_seconds": 2 * whole, "phases": {"backing_up": backup},
            "cpu_phases": {"backing_up": backup / 2}, "largest_lock_ms": 60.0, "peak_mib": 90.0, "day_seconds": 0.5,
        }  # fmt: skip
        return {
            "update": {"seconds": bare, "cpu_seconds": bare},
            "migrate": migrated,
            "undo": {"seconds": 1.0, "peak_mib": 250.0},
        }

    figures = {figure.key: figure for figure in speed([turn(2, 6, 1), turn(4, 10, 2), turn(2, 7, 1)], 1_000)}
    assert figures["migration.ratio"].compared == 3.0
    assert figures["migration.without_backup"].compared == 2.5
    assert figures["migration.cpu_ratio"].compared == 6.0
    assert figures["migration.backing_up.cpu"].compared == 0.25
    assert reached("migration.ratio", figures["migration.ratio"].compared) is True
    assert reached("migration.memory", figures["migration.memory"].compared) is False
