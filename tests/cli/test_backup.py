"""``backup`` on real databases: what a person sees, what a script gets, and the exit codes of both."""

import json
import os
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests import legacy
from tests.cli.conftest import Cli
from tests.migration.databases import content, execute


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of an older program with records of both formulas."""
    path = tmp_path / "old.db"
    legacy.make(path, "2.0", 200)
    return path


def answer(cli: Cli, verb: str, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The JSON of a verb that ends with ``code``; nothing else is printed, and in a pipe no progress."""
    ran = cli("backup", verb, *arguments, "--json")
    assert (ran.code, ran.err) == (code, "")
    document: dict[str, Any] = json.loads(ran.out)
    assert document["app_version"] == APP_VERSION
    return document


def test_a_script_makes_checks_and_restores_backups(cli: Cli, old: Path) -> None:
    before = content(old)
    made = answer(cli, "create", "--db", str(old))
    assert (made["records"], made["reason"], made["database"]) == (200, "manual", str(old))
    assert made["records_by_version"] == {"1.0.0": 100, "2.0.0": 100}
    assert Path(made["path"]).stat().st_size == made["bytes"]
    execute(old, "UPDATE completion_requests SET model = 'other'")

    listed = answer(cli, "list")
    assert [each["name"] for each in listed["backups"]] == [made["name"]]
    assert listed["folder"] == str(Path("data/backups").absolute())
    assert answer(cli, "verify")["ok"] is True
    assert answer(cli, "verify", made["name"])["backups"] == [{"name": made["name"], "ok": True, "problem": None}]

    done = answer(cli, "restore", made["name"], "--db", str(old))
    assert content(old) == before
    assert (done["restored"]["name"], done["moved_aside"], done["next_start_migrates"]) == (made["name"], None, True)
    assert [each["name"] for each in answer(cli, "list")["backups"]] == [done["safety_backup"], made["name"]]
    assert answer(cli, "list")["backups"][0]["reason"] == "before_restore"


def test_a_person_reads_what_happened_and_what_to_do(cli: Cli, old: Path) -> None:
    assert "No backups in" in cli("backup", "list").out
    assert cli("backup", "verify").out.startswith("No backups in")
    out = cli("backup", "create", "--db", str(old)).out
    assert out.startswith("Done. The backup old-")
    assert "every record was compared" in out
    name = out.split()[3]
    (titles, row) = cli("backup", "list").out.splitlines()
    assert titles.split()[0] == "name"
    assert row.split()[0] == name
    assert "by hand" in row
    assert "1.0.0: 100, 2.0.0: 100" in row
    assert cli("backup", "verify").out == f"{name} is whole.\n"
    out = cli("backup", "restore", name, "--db", str(old)).out
    assert out.startswith(f"Done. {old} is what it was when {name} was made.")
    assert "What it was before is the backup old-" in out
    assert "--no-auto-migrate" in out
    assert "`migrate undo`" in out


def test_a_database_that_is_up_to_date_needs_no_warning(cli: Cli, store: SqliteStore) -> None:
    made = answer(cli, "create")
    store.close()
    out = cli("backup", "restore", made["name"]).out
    assert "--no-auto-migrate" not in out
    assert answer(cli, "restore", made["name"])["next_start_migrates"] is False


@pytest.mark.system
def test_a_restore_is_refused_while_the_database_is_in_use(cli: Cli, store: SqliteStore) -> None:
    made = answer(cli, "create")
    ran = cli("backup", "restore", made["name"])
    assert (ran.code, ran.out) == (3, "")
    assert "Stop `serve` or `metrics`" in ran.err
    store.close()
    assert cli("backup", "restore", made["name"]).code == 0


def test_a_restore_is_refused_while_a_migration_runs(cli: Cli, old: Path) -> None:
    made = answer(cli, "create", "--db", str(old))
    with migration_lock(old):
        assert cli("backup", "restore", made["name"], "--db", str(old)).code == 3
        assert cli("backup", "create", "--db", str(old)).code == 0


def test_a_backup_of_a_newer_program_is_refused(cli: Cli, old: Path) -> None:
    execute(old, "UPDATE completion_requests SET app_version = '10.0.0' WHERE id = 1")
    made = answer(cli, "create", "--db", str(old))
    ran = cli("backup", "restore", made["name"], "--db", str(old))
    assert (ran.code, ran.out) == (3, "")
    assert "10.0.0" in ran.err


def test_without_room_nothing_begins(cli: Cli, old: Path) -> None:
    os.truncate(old, 8 << 40)  # sparse: it takes no room by itself
    ran = cli("backup", "create", "--db", str(old))
    assert (ran.code, ran.out) == (3, "")
    assert "bytes are free" in ran.err or "are free" in ran.err


def test_a_damaged_backup_is_told_and_the_others_are_checked(cli: Cli, old: Path) -> None:
    bad, good = (answer(cli, "create", "--db", str(old)) for _each in range(2))
    path = Path(bad["path"])
    path.write_bytes(path.read_bytes()[:-1])
    checked = answer(cli, "verify", code=1)
    assert checked["ok"] is False
    assert {each["name"]: each["ok"] for each in checked["backups"]} == {bad["name"]: False, good["name"]: True}
    ran = cli("backup", "verify")
    assert (ran.code, ran.err) == (1, "")
    assert f"{good['name']} is whole." in ran.out
    assert f"The backup {bad['name']} has" in ran.out
    assert cli("backup", "restore", bad["name"], "--db", str(old)).code == 1
    assert "has no backup nothing" in cli("backup", "verify", "nothing").out


def test_what_is_no_database_is_kept_and_named(cli: Cli, old: Path) -> None:
    made = answer(cli, "create", "--db", str(old))
    old.write_bytes(b"not a database")
    out = cli("backup", "restore", made["name"], "--db", str(old)).out
    (kept,) = old.parent.glob("old.db.damaged-*")
    assert kept.read_bytes() == b"not a database"
    assert f"it is kept as {kept.name}" in out
    assert cli("backup", "restore", made["name"], "--db", str(old.with_name("new.db"))).code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["create", "--db", "missing.db"], 2),
        (["restore"], 2),
        (["restore", "nothing"], 1),
        (["restore", "../nothing"], 1),
        (["list", "--backup-dir"], 2),
        (["remove"], 2),
    ],
)
def test_wrong_use_is_one_line(cli: Cli, arguments: list[str], code: int) -> None:
    ran = cli("backup", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("llm-metrics-proxy: ")


def test_backups_can_be_elsewhere(cli: Cli, old: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere" / "deep"
    made = answer(cli, "create", "--db", str(old), "--backup-dir", str(folder))
    assert Path(made["path"]).parent == folder
    assert apsw.Connection(made["path"]).execute("SELECT count(*) FROM completion_requests").fetchall() == [(200,)]
