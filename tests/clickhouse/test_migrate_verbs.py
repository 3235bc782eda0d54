"""``migrate …`` over a server's records, the thread that migrates them, and how the metrics process sees it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.cli import migrate
from llm_metrics_proxy.engines.clickhouse import lease as leases
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.lease import CHANGES, claiming
from llm_metrics_proxy.engines.clickhouse.upkeep import MigrationThread, ServerMigrations
from llm_metrics_proxy.migration.model import Ended, Progress, RunState, WorkPhase
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.service import MigrationService
from llm_metrics_proxy.processes.migration_ports import ServerPorts
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.cli.conftest import Cli
from tests.clickhouse.history import CHAIN, access, add, all_of, fill, row
from tests.migration.test_recounting import NEXT
from tests.waiting import wait_until

pytestmark = pytest.mark.system


class Verbs:
    """``llm-metrics-proxy migrate VERB`` of the made-up next version, over one server."""

    def __init__(self, cli: Cli, url: str, database: Path) -> None:
        self._cli, self._flags = cli, ("--store", url, "--db-path", str(database))

    def __call__(self, verb: str, *flags: str, code: int = 0) -> str:
        ran = self._cli("migrate", verb, *flags, *self._flags)
        assert ran.code == code, (ran.out, ran.err)
        return ran.out + ran.err

    def json(self, verb: str, *flags: str, code: int = 0) -> dict[str, Any]:
        ran = self._cli("migrate", verb, "--json", *flags, *self._flags)
        assert ran.code == code, (ran.out, ran.err)
        found: dict[str, Any] = json.loads(ran.out)
        return found


@pytest.fixture
def records(clickhouse_url: str) -> Iterator[Connection]:
    """800 of them, of 5.x."""
    connection = Connection(access(clickhouse_url))
    fill(connection)
    yield connection
    connection.close()


@pytest.fixture
def verbs(cli: Cli, records: Connection, clickhouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verbs:
    monkeypatch.setattr(migrate, "open_migrations", lambda there, _: ServerMigrations(there, CHAIN, NEXT))
    monkeypatch.setattr(migrate, "MIGRATIONS", CHAIN)
    SqliteStore(tmp_path / "m.db").close()
    return Verbs(cli, clickhouse_url, tmp_path / "m.db")


def test_the_way_there_and_back_by_the_verbs(verbs: Verbs, records: Connection) -> None:
    before = all_of(records)
    found = verbs.json("status")
    assert (found["has_work"], found["pending"]) == (True, {NEXT: 800})
    assert "800" in verbs("status")
    planned = verbs.json("plan")
    assert (planned["records"], planned["refusal"], [step["version"] for step in planned["steps"]]) == (
        800, None, [NEXT]
    )  # fmt: skip
    assert "--dry-run" not in verbs("run", "--dry-run")
    assert all_of(records) == before
    (pending,) = verbs.json("notices")["notices"]
    assert (pending["kind"], pending["attention"]) == ("problem", True)

    done = verbs.json("run")
    assert (done["ended"], done["run"]["records_changed"]) == ("done", 800)
    assert verbs.json("run")["ended"] == "nothing_to_do"
    assert verbs.json("verify") == verbs.json("verify") | {"ok": True, "faults": []}
    (ran,) = verbs.json("history")["migrations"]
    assert (ran["to_version"], ran["state"], ran["records_changed"]) == (NEXT, "done", 800)
    assert NEXT in verbs("history")
    status = verbs.json("status")
    assert (status["has_work"], status["last"]["state"]) == (False, "done")

    back = verbs.json("undo")
    assert back["ended"] == "undone"
    assert all_of(records) == before
    assert "no migration that could be taken back" in verbs("undo", code=3)


def test_notices_are_the_servers_and_stay_until_they_are_dismissed(verbs: Verbs, records: Connection) -> None:
    verbs("run")
    (notice,) = verbs.json("notices")["notices"]
    assert (notice["kind"], notice["run_id"]) == ("done", 1)
    assert "800 records were carried over" in verbs("notices")
    dismissed = verbs.json("notices", "--dismiss")
    assert (dismissed["dismissed"], dismissed["notices"]) == (1, [])
    assert verbs.json("notices", "--dismiss")["dismissed"] == 0
    assert "No notices." in verbs("notices")
    assert "The table from before the last migration is gone" in verbs("forget")
    assert "There is nothing to delete" in verbs("forget")
    assert "was deleted" in verbs("undo", code=3)
    assert records.query("SHOW TABLES LIKE 'completion_requests%'") == [("completion_requests",)]


def test_what_differs_from_its_formula_is_named(verbs: Verbs, records: Connection) -> None:
    verbs("run")
    records.command(
        "ALTER TABLE completion_requests UPDATE prompt_tokens = 1 WHERE host = 'one' AND arrival = 17",
        settings={"mutations_sync": 2},
    )
    found = verbs.json("verify", code=1)
    assert [(fault["check"], fault["record_id"]) for fault in found["faults"]] == [("oracle", 17)]
    assert "of one" in verbs("verify", code=1)


def test_a_run_has_its_time_and_goes_on_with_the_same_command(verbs: Verbs, records: Connection) -> None:
    stopped = verbs.json("run", "--max-seconds", "0.1")
    assert stopped["ended"] == "stopped"
    assert verbs.json("run")["ended"] == "done"
    assert len(all_of(records)) == 800


def test_records_of_a_newer_program_are_refused_by_every_verb_that_would_write(
    verbs: Verbs, records: Connection
) -> None:
    add(records, "one", 401, [row(401, 4, "7.0.0")])
    before = all_of(records)
    assert verbs.json("status", code=3)["newer"] == ["7.0.0"]
    assert "7.0.0" in verbs.json("plan", code=3)["refusal"]
    assert "has records of version 7.0.0" in verbs("run", code=3)
    assert all_of(records) == before


def test_while_another_process_changes_records_a_run_is_refused(
    verbs: Verbs, clickhouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_PATIENCE", 0.1)
    with claiming(access(clickhouse_url), CHANGES) as held:
        assert held.wait(20)
        assert "Another process migrates or reprices" in verbs("run", code=3)


def test_a_server_that_is_away_is_told_without_a_traceback(cli: Cli, tmp_path: Path) -> None:
    SqliteStore(tmp_path / "m.db").close()
    for verb in ("status", "plan", "run", "undo", "forget", "verify", "history", "notices"):
        ran = cli("migrate", verb, "--store", "clickhouse+http://u@127.0.0.1:1/d", "--db-path", str(tmp_path / "m.db"))
        assert (ran.code, "cannot be reached" in ran.err) == (1, True), (verb, ran)


def a_thread(url: str, *, leads: bool = True, allowed: bool = True, undo_days: int = 0) -> MigrationThread:
    return MigrationThread(
        ServerMigrations(access(url), CHAIN, NEXT), lambda: leads, allowed=allowed, undo_days=undo_days
    )


def test_the_thread_migrates_by_itself_and_says_how_far_it_is(records: Connection, clickhouse_url: str) -> None:
    thread = a_thread(clickhouse_url)
    seen: list[Progress] = []
    thread.start()
    try:
        assert thread.pending

        def done() -> bool:
            seen.append(thread.progress)
            return len(records.query("SELECT 1 FROM completion_requests WHERE app_version = '6.0.0'")) == 800 and (
                thread.run_id is not None
            )

        wait_until(done, "every record is carried over", 90)
        wait_until(lambda: not thread.pending, "the thread has looked again", 60)
        assert (thread.problem, thread.progress.phase, thread.run_id) == ("", WorkPhase.IDLE, 1)
        assert {one.phase for one in seen} & {WorkPhase.MIGRATING, WorkPhase.VERIFYING}
    finally:
        thread.stop()


@pytest.mark.parametrize(("allowed", "leads", "problem"), [(False, True, "auto_migrate is false"), (True, False, "")])
def test_the_thread_leaves_records_alone_where_it_may_not_or_does_not_lead(
    records: Connection, clickhouse_url: str, *, allowed: bool, leads: bool, problem: str
) -> None:
    before = all_of(records)
    thread = a_thread(clickhouse_url, allowed=allowed, leads=leads)
    thread.start()
    thread.stop()  # after the first look
    assert (thread.pending, problem in thread.problem, bool(problem)) == (True, True, bool(thread.problem))
    assert all_of(records) == before


def test_the_thread_tells_of_newer_records_and_of_a_server_that_is_away(
    records: Connection, clickhouse_url: str
) -> None:
    add(records, "one", 401, [row(401, 4, "7.0.0")])
    thread = a_thread(clickhouse_url)
    thread.start()
    thread.stop()
    assert thread.problem == "Records of version 7.0.0 are newer than this program."
    away = a_thread("clickhouse+http://u@127.0.0.1:1/d")
    away.start()
    away.stop()
    assert "Older records wait: ClickHouse at" in away.problem


def test_the_thread_drops_what_an_undo_would_need_after_its_days(records: Connection, clickhouse_url: str) -> None:
    migrations = ServerMigrations(access(clickhouse_url), CHAIN, NEXT)
    assert migrations.migrate().ended is Ended.DONE
    tables = "SHOW TABLES LIKE 'completion_requests%'"
    early = a_thread(clickhouse_url, undo_days=1)
    early.start()
    early.stop()
    assert len(records.query(tables)) == 2
    (run,) = migrations.history()
    assert (run.state, run.old_table is None) == (RunState.DONE, False)
    assert migrations.forget(finished_before=run.finished_at or "") is False
    assert migrations.forget(finished_before="2100-01-01T00:00:00.000000Z") is True
    assert len(records.query(tables)) == 1


def test_the_metrics_process_shows_the_servers_migration(
    records: Connection, clickhouse_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.db"
    SqliteStore(path).close()
    service = MigrationService(path, Options(backup_dir=tmp_path / "backups"), migrations=MIGRATIONS, allowed=False)
    migrations = ServerMigrations(access(clickhouse_url), CHAIN, NEXT)
    thread = a_thread(clickhouse_url, allowed=False)
    ports = ServerPorts(thread, migrations, service, path, undo_days=7)
    assert (ports.pending(), ports.problem(), list(ports.runs())) == (True, None, [])
    thread.start()
    thread.stop()
    assert "auto_migrate is false" in (ports.problem() or "")
    assert not ports.blocks_store()
    assert migrations.migrate().ended is Ended.DONE
    thread = a_thread(clickhouse_url, allowed=False)
    ports = ServerPorts(thread, migrations, service, path, undo_days=7)
    thread.start()
    thread.stop()
    assert (ports.pending(), ports.problem(), ports.run_id()) == (False, None, 1)
    assert ports.progress().phase is WorkPhase.IDLE
    (shown,) = ports.runs()
    assert (shown.to_version, shown.state, shown.records_changed) == (NEXT, "done", 800)
