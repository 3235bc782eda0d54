"""A database of 1.x under ``serve``: it is migrated beside everything else, and nothing is lost, whoever dies when."""

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Run, RunState
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests import legacy
from tests.child_processes import answers, child
from tests.cli.conftest import make_record
from tests.stack import Stack
from tests.system.house import House, get_json, kill
from tests.system.load import Note
from tests.system.truth import Row, compare
from tests.upstream import FakeUpstream, unused_port
from tests.waiting import wait_until

pytestmark = pytest.mark.system

RECORDS: Final = 200_000
PROGRAM: Final = str(Path(sys.executable).with_name("llm-metrics-proxy"))
SEED: Final = os.environ.get("SYSTEM_SEED", "1")
_PATIENCE_S: Final = 120.0
_STAGED: Final = ("--migration-pause-ms", "30", "--migration-batch-lock-ms", "20")  # seconds in which to look at it
# What a migration must leave as it was, whatever else it adds. (A timestamp's text is in timestamp_original.)
_CHANGED: Final = {"id", "timestamp", "tokens_per_second", "app_version", "error_type"}


@pytest.fixture
def old(house: House, tmp_path: Path) -> Path:
    """A copy of the 1.x database that the house begins with."""
    house.data_dir.mkdir()
    kept = legacy.make(tmp_path / "old.db", "2.0 all stamped 1.0.0", RECORDS)
    house.database.write_bytes(kept.read_bytes())
    return kept


def test_requests_are_served_and_recorded_while_a_database_of_1x_is_migrated(house: House, old: Path) -> None:
    phases, reasons, seen_by_health, shares = set(), set(), set(), set()
    with house.load("plain", "stream", "error", clients=6) as load, house.live(*_STAGED) as stack:
        while (current := _current(house))["phase"] != "idle":
            phases.add(current["phase"])
            health = stack.get("/health")
            reasons |= set(health["reasons"])
            seen_by_health.add((health["migration"] or {}).get("phase"))
            history = get_json(house.metrics_port, "/api/v1/requests?limit=1").get("history")  # none in a 503
            shares |= set() if history is None else {(history["share"], history["complete_from"])}
            time.sleep(0.02)
        sent = len(load.notes)
        wait_until(lambda: len(load.notes) > sent + 50, "requests after the migration")
        notes = load.stop()
        _compare(notes, _settled(house, stack))
    assert "migrating" in phases
    assert len({share for share, _since in shares if share < 1.0}) > 3, "answers said what they lacked"
    assert any(since is not None for _share, since in shares)
    print(f"\n{len(notes)} requests; phases seen {sorted(phases)}; reasons {sorted(reasons)[:5]}")
    assert seen_by_health & phases
    run = _assert_migrated(house, old)
    assert (run.records_total, run.records_changed) == (RECORDS, RECORDS)


def test_older_records_of_our_own_are_migrated_beside_those_that_arrive(house: House) -> None:
    store = SqliteStore(house.database)
    for start in range(0, RECORDS // 4, 10_000):
        rows = [to_row(make_record(1, request_id=f"{number:032x}")) for number in range(start, start + 10_000)]
        store.append(IngestBatch(rows=rows))
    store.close()
    connection = apsw.Connection(str(house.database))
    connection.execute("UPDATE completion_requests SET app_version = '1.0.0', tokens_per_second = 1.0")
    connection.close()
    with house.load("plain", "stream", clients=6) as load, house.live(*_STAGED) as stack:
        wait_until(lambda: _is_idle(house), lambda: stack.get("/health"), _PATIENCE_S)
        notes = load.stop()
        wait_until(lambda: house.is_settled(stack), lambda: stack.get("/health"), _PATIENCE_S)
    _compare(notes, house.rows()[RECORDS // 4 :])
    (run,) = engine.history(house.database)
    assert run.state is RunState.DONE
    assert run.records_changed == run.records_total >= RECORDS // 4  # with those that came before it was set aside
    assert engine.verify(house.database, migrations=MIGRATIONS) == ()


def test_a_metrics_process_that_is_killed_again_and_again_still_migrates(house: House, old: Path) -> None:
    rng = random.Random(SEED)
    killed = 0
    with house.load("plain", "stream", clients=4) as load, house.live(*_STAGED) as stack:
        while killed < 8:
            time.sleep(rng.uniform(0.0, 1.2))
            for pid in stack.metrics_pids():
                kill(pid)
                killed += 1
        wait_until(lambda: _is_idle(house), lambda: stack.log.read_text()[-2000:], _PATIENCE_S)
        notes = load.stop()
        _compare(notes, _settled(house, stack))
    _assert_migrated(house, old)


def test_stopping_in_the_midst_and_starting_again_goes_on(house: House, old: Path) -> None:
    lives = 0
    with house.load("plain", clients=2) as load:
        while True:
            with house.live_as_soon_as_the_port_is_free() as stack:
                lives += 1
                if lives > 3:
                    wait_until(lambda: _is_idle(house), "the end", _PATIENCE_S)
                    notes = load.stop()
                    rows = _settled(house, stack)
                    break
                time.sleep(0.3)
    verdict = compare(notes, rows)
    assert verdict.whole > 0
    # Of what nobody saw anything, nothing was begun: it came on a connection that was being closed just then.
    assert verdict.lost == verdict.unseen_recorded == 0
    _assert_migrated(house, old)


def test_without_auto_migrate_it_is_refused_untouched_and_requests_are_served(
    house: House, old: Path, upstream: FakeUpstream
) -> None:
    before = house.database.read_bytes()
    with ExitStack() as entered:
        load = entered.enter_context(house.load("plain", clients=2))
        log = entered.enter_context(_proxy_of(house, upstream, "--no-auto-migrate"))
        wait_until(lambda: "auto_migrate is false" in log.read_text(), log.read_text, _PATIENCE_S)
        assert "migrate run" in log.read_text()
        sent = len(load.notes)
        wait_until(lambda: len(load.notes) > sent + 20, "requests without a metrics process")
        assert not answers(f"127.0.0.1:{house.metrics_port}", "/health")
        notes = load.stop()
    assert house.database.read_bytes() == before
    assert sorted(path.name for path in house.data_dir.iterdir()) == [
        "api_key_secret",
        "journal",
        "metrics.db",
        "serve.state",
    ]
    with house.live() as stack:  # the person thought better of it; what waited in the journal is not lost
        wait_until(lambda: _is_idle(house), "the migration", _PATIENCE_S)
        _compare(notes, _settled(house, stack))
    _assert_migrated(house, old)


def test_metrics_alone_ends_with_3_without_auto_migrate(house: House, old: Path) -> None:
    command = [PROGRAM, "metrics", "--data-dir", str(house.data_dir), "--metrics-port", "0", "--no-auto-migrate"]
    with child(command, house.data_dir.parent / "metrics.log") as process:
        assert process.wait(_PATIENCE_S) == 3
    assert "auto_migrate is false" in (house.data_dir.parent / "metrics.log").read_text()


@pytest.mark.parametrize("turn", range(5))
def test_two_metrics_processes_that_start_at_once_migrate_it_once(tmp_path: Path, turn: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    old = legacy.make(tmp_path / "old.db", ("1.0", "1.1", "2.0", "2.0 without stamps", "text id")[turn], 5_000)
    (data / "metrics.db").write_bytes(old.read_bytes())
    with ExitStack() as entered:
        ports, processes = [unused_port(), unused_port()], []
        for port in ports:
            log = tmp_path / f"metrics-{port}.log"
            command = [PROGRAM, "metrics", "--data-dir", str(data), "--metrics-port", str(port)]
            process = entered.enter_context(child(command, log))
            processes.append(process)
        for port in ports:
            up = partial(answers, f"127.0.0.1:{port}", "/health")
            wait_until(up, "an answer", 60, process=process, log=log)
            wait_until(partial(_is_at_rest, port), log.read_text, _PATIENCE_S)
        for process in reversed(processes):
            process.terminate()
            assert process.wait(_PATIENCE_S) == 0
    runs = [run for run in engine.history(data / "metrics.db") if run.state is RunState.DONE]
    assert len(runs) == len(engine.history(data / "metrics.db")) == 1
    assert engine.verify(data / "metrics.db", migrations=MIGRATIONS) == ()
    assert runs[0].records_total == 5_000


# -- what they have in common


@contextmanager
def _proxy_of(house: House, upstream: FakeUpstream, *flags: str) -> Iterator[Path]:
    """``serve`` of which only the proxy need answer; its log."""
    log = house.data_dir.parent / "serve.log"
    command = [
        *(PROGRAM, "serve", "--backend", upstream.url, "--data-dir", str(house.data_dir), "--workers", "1"),
        *("--port", str(house.port), "--metrics-port", str(house.metrics_port), *flags),
    ]
    with child(command, log) as process:
        at = f"127.0.0.1:{house.port}"
        wait_until(lambda: answers(at, "/ready"), "the proxy", 60, process=process, log=log)
        yield log


def _current(house: House) -> dict[str, Any]:
    return get_json(house.metrics_port, "/api/v1/migrations/current")


def _is_idle(house: House) -> bool:
    """The migration is done, as the API tells it."""
    return _is_at_rest(house.metrics_port)


def _is_at_rest(port: int) -> bool:
    try:
        current = get_json(port, "/api/v1/migrations/current")
        health = get_json(port, "/health")
    except OSError:  # it was killed, and is not back yet
        return False
    return current.get("phase") == "idle" and not any("migrat" in reason for reason in health["reasons"])


def _settled(house: House, stack: Stack) -> list[Row]:
    """The records that this program made, once nothing is left to ingest."""
    wait_until(lambda: house.is_settled(stack), lambda: stack.get("/health"), _PATIENCE_S)
    return [row for row in house.rows() if row["request_id"] is not None]


def _compare(notes: list[Note], rows: list[Row]) -> None:
    verdict = compare(notes, rows)
    assert verdict.whole > 0
    assert verdict.lost == verdict.unseen == 0


def _assert_migrated(house: House, old: Path) -> Run:
    """One run, done; every value right; every fact of the old file still there, once, of the same storage class."""
    runs = engine.history(house.database)
    assert [run.state for run in runs] == [RunState.DONE]
    assert engine.verify(house.database, migrations=MIGRATIONS) == ()
    connection = apsw.Connection(str(house.database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.execute("ATTACH ? AS old", (str(old),))
        names = [
            name for (name,) in connection.execute("SELECT name FROM pragma_table_info('completion_requests','old')")
        ]
        columns = connection.execute("SELECT name FROM pragma_table_info('completion_requests', 'main')")
        ours = {name for (name,) in columns}
        kept_names = ({*names} & ours) - _CHANGED
        assert len(kept_names) > 10
        same = [f'n."{name}" IS o."{name}" AND typeof(n."{name}") = typeof(o."{name}")' for name in kept_names]
        same.append("coalesce(n.timestamp_original, n.timestamp) IS o.timestamp")
        same.append(
            "iif(n.error_type_original IS NULL, o.error_type IS NULL OR n.error_type IS o.error_type, "
            "n.error_type_original IS o.error_type)"
        )
        ((kept,),) = connection.execute(
            "SELECT count(*) FROM old.completion_requests o JOIN main.completion_requests n ON n.arrival = o.id "
            f"WHERE {' AND '.join(same)}"
        )
        ((older,),) = connection.execute("SELECT count(*) FROM completion_requests WHERE app_version = '1.0.0'")
    finally:
        connection.close()
    assert (kept, older) == (RECORDS, 0)
    return runs[0]
