"""``migrate`` on real databases: what a person sees, what a script gets, and the exit codes of both."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from rich.console import Console

from llm_metrics_proxy.cli import migrate_output, migrate_plan, migrate_reports
from llm_metrics_proxy.cli.migrate_progress import figures
from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.migration.model import Progress, WorkPhase
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests import legacy
from tests.cli.conftest import Cli, words
from tests.waiting import wait_until

VERBS = ("status", "plan", "run", "undo", "forget", "verify", "history", "notices")
SLOW = 12_000  # records: several batches, whatever the first one's size
NEWEST = MIGRATIONS[-1].version


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of an older program with records of both formulas."""
    path = tmp_path / "old.db"
    legacy.make(path, "2.0", 200)
    return path


def content(path: Path) -> list[tuple[Any, ...]]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('completion_requests')")}
    key = "arrival" if "arrival" in columns else "id"
    try:
        shown = f"{key}, timestamp, tokens_per_second, app_version"
        return list(connection.execute(f"SELECT {shown} FROM completion_requests"))
    finally:
        connection.close()


def answer(cli: Cli, verb: str, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The JSON of a verb that ends with ``code``; nothing else is printed, and in a pipe no progress."""
    ran = cli("migrate", verb, *arguments, "--json")
    assert (ran.code, ran.err) == (code, "")
    document: dict[str, Any] = json.loads(ran.out)
    assert document["app_version"] == APP_VERSION
    return document


def test_a_script_is_led_through_a_migration_and_back(cli: Cli, old: Path) -> None:
    before = content(old)
    status = answer(cli, "status", "--db", str(old))
    assert (status["has_work"], status["found"], status["is_older_layout"]) == (True, "legacy", True)
    plan = answer(cli, "plan", "--db", str(old))
    assert [step["version"] for step in plan["steps"]] == [migration.version for migration in MIGRATIONS]
    assert content(old) == before

    run = answer(cli, "run", "--db", str(old))
    assert (run["ended"], run["run"]["state"], run["run"]["records_total"]) == ("done", "done", 200)
    assert answer(cli, "status", "--db", str(old))["has_work"] is False
    assert {stamp for *_, stamp in content(old)} == {NEWEST}
    assert answer(cli, "verify", "--db", str(old)) == {
        "app_version": APP_VERSION, "database": str(old), "ok": True, "faults": [],
    }  # fmt: skip
    (entry,) = answer(cli, "history", "--db", str(old))["migrations"]
    assert (entry["id"], entry["state"], entry["checksum_mismatches"]) == (1, "done", [])
    assert Path("data/backups", entry["backup"]).exists()

    assert answer(cli, "run", "--db", str(old))["ended"] == "nothing_to_do"
    undone = answer(cli, "undo", "--db", str(old))
    assert (undone["ended"], undone["conflicts"]) == ("undone", [])
    assert content(old) == before


def test_a_person_reads_what_happened_and_what_to_do(cli: Cli, old: Path) -> None:
    out = cli("migrate", "status", "--db", str(old)).out
    assert "carry its records over: `migrate plan` shows how, `migrate run` does it" in out
    assert words(f"1.0.0 100 older: to be migrated to {NEWEST}") in [line.split() for line in out.splitlines()]

    out = cli("migrate", "plan", "--db", str(old)).out
    assert f"Nothing was written. To do it:  llm-metrics-proxy migrate run --db {old}" in out
    assert "before → after" in out

    out = cli("migrate", "run", "--db", str(old)).out
    assert out.startswith(f"Done. Records follow the formulas of version {NEWEST} now; every one was verified.")
    assert f"llm-metrics-proxy migrate undo --db {old}" in out
    assert "stays beside as completion_requests_before_5_0_0" in " ".join(out.split())
    for version in ("2.0.0", "3.0.0", "4.0.0", "5.0.0"):
        assert f"What {version} changed in how numbers are read" in out

    assert "done" in cli("migrate", "history", "--db", str(old)).out.splitlines()[1].split()
    assert cli("migrate", "verify", "--db", str(old)).out.startswith("Verified.")
    assert "Nothing to do" in cli("migrate", "run", "--db", str(old)).out
    out = cli("migrate", "undo", "--db", str(old)).out
    assert out.startswith("Taken back: the database is as it was before")
    assert f"llm-metrics-proxy migrate run --db {old}" in out


def test_the_plan_shows_what_becomes_of_each_type_of_error(cli: Cli, old: Path) -> None:
    connection = apsw.Connection(str(old))
    connection.execute(
        "UPDATE completion_requests SET success = 0, error_type = 'rate_limit_error', status_code = 429, "
        "error_message = 'slower' WHERE id BETWEEN 11 AND 17"
    )
    connection.execute("UPDATE completion_requests SET error_type = '[odd]\nname', success = 0 WHERE id = 30")
    connection.close()
    first, second, *others = answer(cli, "plan", "--db", str(old))["steps"]
    assert [step["types"] for step in (first, *others)] == [[], [], []]
    assert {"before": "rate_limit_error", "category": "limit", "type": "rate_limit", "records": 7} in second["types"]
    shown = [line.split() for line in cli("migrate", "plan", "--db", str(old)).out.splitlines()]
    assert words("7 rate_limit_error limit rate_limit") in shown
    assert any(line[:2] == ["1", "[odd]\N{REPLACEMENT CHARACTER}name"] for line in shown)


def test_a_plan_with_many_kinds_of_errors_names_the_most_frequent(cli: Cli, old: Path) -> None:
    connection = apsw.Connection(str(old))
    connection.execute("UPDATE completion_requests SET success = 0, error_type = 'word' || (id % 60)")
    connection.close()
    types = answer(cli, "plan", "--db", str(old))["steps"][1]["types"]
    assert len(types) == 60
    assert "… and 20 more combinations; --json has them all" in cli("migrate", "plan", "--db", str(old)).out


def test_a_dry_run_is_the_plan(cli: Cli, old: Path) -> None:
    plan = answer(cli, "plan", "--db", str(old))
    dry = answer(cli, "run", "--dry-run", "--db", str(old))
    for document in (plan, dry):
        del document["estimate_s"], document["disk"]  # a measurement, and what others do on the disk
    assert dry == plan


def test_notices_stay_until_they_are_dismissed(cli: Cli, old: Path) -> None:
    (pending,) = answer(cli, "notices", "--db", str(old))["notices"]
    assert (pending["kind"], pending["attention"]) == ("problem", True)
    assert answer(cli, "notices", "--dismiss", "--db", str(old))["dismissed"] == 0
    cli("migrate", "run", "--db", str(old))
    out = cli("migrate", "notices", "--db", str(old)).out
    assert f"Records follow the formulas of version {NEWEST} now" in out
    assert "200 records were carried over into a new table on " in out
    (notice,) = answer(cli, "notices", "--db", str(old))["notices"]
    assert (notice["kind"], notice["run_id"]) == ("done", 1)
    dismissed = answer(cli, "notices", "--dismiss", "--db", str(old))
    assert (dismissed["dismissed"], dismissed["notices"]) == (1, [])
    assert cli("migrate", "notices", "--db", str(old)).out == "No notices.\n"
    assert answer(cli, "notices", "--dismiss", "--db", str(old))["dismissed"] == 0


def test_what_was_taken_back_asks_for_attention_until_it_is_migrated_again(cli: Cli, old: Path) -> None:
    cli("migrate", "run", "--db", str(old))
    cli("migrate", "undo", "--db", str(old))
    (notice,) = answer(cli, "notices", "--db", str(old))["notices"]
    assert (notice["kind"], notice["attention"]) == ("undone", True)
    cli("migrate", "run", "--db", str(old))
    (notice,) = answer(cli, "notices", "--db", str(old))["notices"]
    assert (notice["kind"], notice["run_id"]) == ("done", 2)


@pytest.mark.parametrize("verb", VERBS)
def test_no_database_is_wrong_use(cli: Cli, tmp_path: Path, verb: str) -> None:
    ran = cli("migrate", verb, "--db", "absent.db")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"llm-metrics-proxy: no database at {tmp_path / 'absent.db'} (--db); name it with --db\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments", [("undo", "--to", "2.0.0"), ("run", "--max-seconds", "0"), ("run", "--pause-ms", "x"), ("walk",)]
)
def test_wrong_flags_are_wrong_use(cli: Cli, old: Path, arguments: tuple[str, ...]) -> None:
    ran = cli("migrate", *arguments, *(("--db", str(old)) if arguments != ("walk",) else ()))
    assert ran.code == 2
    assert ran.err.startswith("llm-metrics-proxy: ")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("verb", ["plan", "run", "verify", "history", "notices"])
def test_another_programs_file_is_refused(cli: Cli, tmp_path: Path, verb: str) -> None:
    connection = apsw.Connection(str(tmp_path / "foreign.db"))
    connection.execute("CREATE TABLE songs (title TEXT); CREATE TABLE migrations (name TEXT)")
    connection.close()
    before = (tmp_path / "foreign.db").read_bytes()
    ran = cli("migrate", verb, "--db", "foreign.db")
    assert ran.code == 3
    assert "songs" in ran.err
    status = answer(cli, "status", "--db", "foreign.db", code=3)
    assert (status["found"], status["has_work"]) == ("foreign", False)
    assert "left untouched" in cli("migrate", "status", "--db", "foreign.db").out
    assert (tmp_path / "foreign.db").read_bytes() == before


def test_records_of_a_newer_program_are_refused_and_named(cli: Cli, old: Path) -> None:
    connection = apsw.Connection(str(old))
    connection.execute("UPDATE completion_requests SET app_version = '77.0.0' WHERE id = 5")
    connection.close()
    before = old.read_bytes()
    ran = cli("migrate", "run", "--db", str(old))
    assert ran.code == 3
    assert "77.0.0" in ran.err
    assert old.read_bytes() == before
    assert "77.0.0" in answer(cli, "plan", "--db", str(old), code=3)["refusal"]
    for asked in (("plan",), ("run", "--dry-run")):
        planned = cli("migrate", *asked, "--db", str(old))
        assert (planned.code, planned.err) == (3, "")
        assert "Refused" in planned.out
    assert old.read_bytes() == before
    assert answer(cli, "status", "--db", str(old), code=3)["newer"] == ["77.0.0"]
    assert "nothing can be written: 77.0.0 is newer" in cli("migrate", "status", "--db", str(old)).out


def test_whoever_comes_second_is_refused_and_told_by_whom(cli: Cli, old: Path) -> None:
    with migration_lock(old):
        for verb in ("run", "undo"):
            ran = cli("migrate", verb, "--db", str(old))
            assert ran.code == 3
            assert f"process {os.getpid()}" in ran.err
        status = answer(cli, "status", "--db", str(old))
        assert status["lock_holder"] == os.getpid()
        assert f"held by process {os.getpid()}" in cli("migrate", "status", "--db", str(old)).out


def test_there_is_nothing_to_take_back_where_nothing_ran(cli: Cli, old: Path) -> None:
    assert cli("migrate", "undo", "--db", str(old)).code == 3
    assert cli("migrate", "history", "--db", str(old)).out == "No migration has run on this database.\n"


def test_a_wrong_formula_is_found_taken_back_and_ends_with_1(
    cli: Cli, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = MIGRATIONS[0]

    def oracle(timestamp: Any, tokens: Any, duration_ms: Any, user: Any) -> tuple[Any, ...]:
        rate, *others = right.oracle(timestamp, tokens, duration_ms, user)
        return (-1.0 if tokens == 150 else rate, *others)

    connection = apsw.Connection(str(old))
    connection.execute("UPDATE completion_requests SET total_tokens = 150 WHERE id = 7")
    connection.close()
    monkeypatch.setattr("llm_metrics_proxy.cli.migrate.MIGRATIONS", (right._replace(oracle=oracle), *MIGRATIONS[1:]))
    ran = cli("migrate", "run", "--db", str(old))
    assert ran.code == 1
    assert ran.out.startswith("Failed, and taken back")
    assert "record 7" in ran.out
    assert content(old) == []
    status = cli("migrate", "status", "--db", str(old)).out
    assert "0 of 200 records are in the answers" in status
    assert "carry the older records over; it failed before" in status
    summary = cli("summary", "--db-path", str(old))
    assert "200 older records are not in the answers" in " ".join(summary.err.split())
    (notice,) = answer(cli, "notices", "--db", str(old))["notices"]
    assert (notice["kind"], notice["attention"]) == ("rolled_back", True)
    assert "record 7" in notice["text"][-1]
    assert answer(cli, "undo", "--db", str(old))["ended"] == "undone"


def test_verification_names_a_record_that_was_tampered_with(cli: Cli, old: Path) -> None:
    cli("migrate", "run", "--db", str(old))
    connection = apsw.Connection(str(old))
    connection.execute("UPDATE completion_requests SET tokens_per_second = 1 WHERE arrival = 9")
    connection.close()
    ran = cli("migrate", "verify", "--db", str(old))
    assert ran.code == 1
    assert "record 9" in ran.out
    (fault,) = answer(cli, "verify", "--db", str(old), code=1)["faults"]
    assert fault["record_id"] == 9


def test_a_time_limit_stops_between_batches_and_the_next_run_goes_on(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    legacy.make(path, "1.1", SLOW)
    stopped = answer(cli, "run", "--db", str(path), "--max-seconds", "0.1", "--pause-ms", "200")
    assert (stopped["ended"], stopped["run"]["state"]) == ("stopped", "migrating")
    assert stopped["run"]["records_changed"] < SLOW
    (notice,) = answer(cli, "notices", "--db", str(path))["notices"]
    assert (notice["kind"], notice["attention"]) == ("unfinished", True)
    assert "finish run 1" in cli("migrate", "status", "--db", str(path)).out
    done = answer(cli, "run", "--db", str(path))
    assert (done["ended"], done["run"]["id"], done["run"]["records_changed"]) == ("done", 1, SLOW)


@pytest.mark.system
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_after_a_batch_and_tells_how_to_go_on(
    cli: Cli, tmp_path: Path, signum: signal.Signals, code: int
) -> None:
    path = tmp_path / "old.db"
    legacy.make(path, "1.1", SLOW)
    start = [sys.executable, "-c", "from llm_metrics_proxy.cli import main; main()"]
    command = [*start, "migrate", "run", "--db", str(path), "--pause-ms", "1000"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: any(run.records_changed for run in runs_of(path)), process=process)
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (code, "")
    assert out.startswith("Stopped after a whole batch: ")
    assert f"Go on with  llm-metrics-proxy migrate run --db {path}" in out
    assert answer(cli, "run", "--db", str(path))["run"]["records_changed"] == SLOW


def runs_of(path: Path) -> list[Any]:
    """The runs, as far as the database can be read at this moment."""
    try:
        return engine.history(path)
    except StoreError:  # its table is being set aside, or it is busy
        return []


def test_an_odd_file_is_migrated_shown_and_summed_up(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    legacy.make(path, "2.0", legacy.ODD_ROWS)
    for verb in ("requests", "summary"):
        ran = cli(verb, "--db-path", str(path))
        assert ran.code != 0
        assert "migrate run" in ran.err
    out = cli("migrate", "run", "--db", str(path)).out
    assert "text or bytes stand where a number belongs (not_a_number)" in out
    shown = [
        json.loads(line)
        for line in cli("requests", "--db-path", str(path), "--json", "--limit", "1000").out.splitlines()
    ]
    assert len(shown) == len(legacy.ODD_ROWS)
    assert any("unfit_values" in record for record in shown)
    assert len(cli("requests", "--db-path", str(path), "--limit", "1000").out.splitlines()) == len(shown) + 1
    summary = json.loads(cli("summary", "--db-path", str(path), "--json").out)
    assert (summary["requests"], summary["history"]) == (len(shown), None)
    assert cli("summary", "--db-path", str(path)).code == 0
    assert cli("migrate", "verify", "--db", str(path)).code == 0


def test_the_table_from_before_goes_when_it_is_told_to(cli: Cli, old: Path) -> None:
    assert answer(cli, "forget", "--db", str(old))["deleted"] is False
    cli("migrate", "run", "--db", str(old))
    (entry,) = answer(cli, "history", "--db", str(old))["migrations"]
    assert entry["kept_table"] == "completion_requests_before_5_0_0"
    assert entry["kept_until"] > entry["finished_at"]
    assert answer(cli, "forget", "--db", str(old))["deleted"] is True
    (entry,) = answer(cli, "history", "--db", str(old))["migrations"]
    assert (entry["state"], entry["kept_table"], entry["kept_until"]) == ("done", None, None)
    undone = cli("migrate", "undo", "--db", str(old))
    assert (undone.code, "backup list" in undone.err) == (3, True)
    assert cli("migrate", "forget", "--db", str(old)).out == "There is nothing to delete.\n"
    assert len(content(old)) == 200


def test_verbs_say_on_standard_error_what_history_their_numbers_lack(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    legacy.make(path, "1.1", SLOW)
    cli("migrate", "run", "--db", str(path), "--max-seconds", "0.1", "--pause-ms", "200")
    for verb in ("summary", "requests", "query"):
        ran = cli(verb, "--db-path", str(path), "--json")
        assert "Older records are being carried over, the newest first" in " ".join(ran.err.split()), verb
        for document in ran.out.splitlines() if verb == "requests" else [ran.out]:
            json.loads(document)
    cli("migrate", "run", "--db", str(path))
    assert cli("summary", "--db-path", str(path)).err == ""


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_everything_in_lines_that_it_has_room_for(
    cli: Cli, tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only commands to be copied may be longer. What Rich had cut would end in an ellipsis."""
    for module in (migrate_output, migrate_plan, migrate_reports):
        monkeypatch.setattr(module, "console", lambda: Console(width=columns, highlight=False, emoji=False))
    path = tmp_path / "old.db"
    legacy.make(path, "2.0 without stamps", 200)
    for verb in ("status", "plan", "run", "status", "history", "notices", "undo", "notices"):
        out = cli("migrate", verb, "--db", str(path)).out
        assert "…" not in out
        assert all(len(line) <= columns or "llm-metrics-proxy migrate" in line for line in out.splitlines())


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(), ""),
        (Progress(phase=WorkPhase.WAITING, detail="process 5 holds [the] lock"), r"process 5 holds \[the] lock"),
        (Progress(phase=WorkPhase.BACKING_UP, done=5, total=10), " 50 %  5/10 pages"),
        (
            Progress(phase=WorkPhase.MIGRATING, done=1500, total=3000, per_s=1234.5, eta_s=75.4),
            " 50 %  1,500/3,000 records  1,234/s  75 s left",
        ),
        (Progress(phase=WorkPhase.MIGRATING, done=1, total=3000, eta_s=7300), "  0 %  1/3,000 records  2 h 1 min left"),
        (Progress(phase=WorkPhase.VERIFYING, done=1, total=1, eta_s=0.0), "100 %  1/1 records  1 s left"),
    ],
)
def test_progress_tells_only_what_is_known(progress: Progress, text: str) -> None:
    assert figures(progress) == text


def test_a_stamp_that_cannot_be_seen_is_quoted() -> None:
    assert [migrate_output.stamp_text(stamp) for stamp in ("2.0.0", "", " 2.0.0 ", "a b")] == [
        "2.0.0", "''", "' 2.0.0 '", "a b",
    ]  # fmt: skip
