"""What the API tells of migrations: before, while and after they run, here or elsewhere."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.analytics import Summary
from llm_metrics_proxy.api.health import Health
from llm_metrics_proxy.api.migrations import MigrationNow, in_words
from llm_metrics_proxy.api.schemas import RequestPage, Versions
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.model import Progress, RunState, WorkPhase
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics import odd
from tests.analytics.database import Database, a_record
from tests.api.migrations import WORKING, Ports, a_run
from tests.api.service import client

DATA_PATHS = ["/api/v1/requests", "/api/v1/requests/1", "/api/v1/summary", "/api/v1/versions"]


def now(database: Database, migrations: Ports | None) -> MigrationNow:
    response = client(database, migrations=migrations).get("/api/v1/migrations/current")
    assert response.status_code == 200
    return msgspec.json.decode(response.content, type=MigrationNow)


@pytest.mark.parametrize("migrations", [None, Ports()])
def test_nothing_runs_is_idle(database: Database, migrations: Ports | None) -> None:
    answer = now(database, migrations)
    assert (answer.phase, answer.app_version, answer.text) == ("idle", APP_VERSION, "no migration is running")
    assert (answer.run_id, answer.percent, answer.lock_holder_pid, answer.problem) == (None, None, None, None)
    assert not answer.runs_here
    assert not answer.blocks_data


def test_a_run_of_this_process_tells_how_far_it_is(database: Database) -> None:
    answer = now(database, Ports(now=WORKING, run=3, holder=42))
    assert (answer.phase, answer.run_id, answer.done, answer.total, answer.unit) == (
        "migrating",
        3,
        450,
        1000,
        "records",
    )
    assert (answer.percent, answer.per_s, answer.eta_s, answer.lock_holder_pid) == (45.0, 100.0, 130.0, 42)
    assert answer.runs_here
    assert answer.text == "recalculating records, 45 %, about 2 min left"


def test_a_pause_says_until_when(database: Database) -> None:
    until = datetime(2026, 3, 1, 22, tzinfo=UTC)
    answer = now(database, Ports(now=Progress(phase=WorkPhase.PAUSED, done=1, total=4), until=until))
    assert (answer.phase, answer.paused_until) == ("paused", "2026-03-01T22:00:00Z")


def test_a_run_of_the_command_line_is_seen_in_the_database(database: Database) -> None:
    number = a_run(database.path, state=RunState.MIGRATING, records_changed=400, finished_at=None, busy_ms=2000.0)
    answer = now(database, Ports(holder=77))
    assert (answer.phase, answer.run_id, answer.done, answer.total) == ("migrating", number, 400, 1005)
    assert (answer.per_s, answer.eta_s) == (200.0, 3.025)
    assert not answer.runs_here
    assert answer.lock_holder_pid == 77


def test_a_run_of_two_versions_is_told_in_records_though_it_changes_each_twice(database: Database) -> None:
    checksums = {"2.0.0": "a", "3.0.0": "b"}
    both = {"from_versions": {"1.1.0": 600, "2.1.0": 400}, "checksums": checksums, "to_version": "3.0.0"}
    a_run(database.path, state=RunState.MIGRATING, records_changed=800, finished_at=None, busy_ms=2000.0, **both)
    answer = now(database, Ports(holder=77))  # 1,600 changes in 1,000 records
    assert (answer.done, answer.total, answer.percent) == (500, 1000, 50.0)
    assert (answer.per_s, answer.eta_s) == (250.0, 2.0)


def test_a_run_that_nobody_goes_on_with_is_idle_and_said(database: Database) -> None:
    a_run(database.path, state=RunState.MIGRATING, finished_at=None)
    answer = now(database, Ports())
    assert answer.phase == "idle"
    assert "not finished" in answer.text


def test_a_database_that_is_not_there_stops_no_word_about_migrations(database: Database, tmp_path: Path) -> None:
    http = client(database, reader=SqliteReader(tmp_path / "absent.db"), migrations=Ports())
    assert http.get("/api/v1/migrations/current").json()["phase"] == "idle"


@pytest.mark.parametrize("path", DATA_PATHS)
def test_until_a_legacy_file_is_adopted_data_are_503_with_the_progress(database: Database, path: str) -> None:
    backing_up = Progress(phase=WorkPhase.BACKING_UP, done=30, total=40, eta_s=7.4)
    response = client(database, migrations=Ports(now=backing_up, blocked=True)).get(path)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "7"
    error = response.json()["error"]
    assert error["type"] == "migrating"
    assert "backing up the database, 75 %, about 7 s left" in error["message"]


@pytest.mark.parametrize(("eta_s", "retry"), [(None, "1"), (0.0, "1"), (0.3, "1"), (20_000.0, "60")])
def test_the_time_to_ask_again_is_sensible(database: Database, eta_s: float | None, retry: str) -> None:
    progress = Progress(phase=WorkPhase.BACKING_UP, eta_s=eta_s)
    response = client(database, migrations=Ports(now=progress, blocked=True)).get("/api/v1/summary")
    assert response.headers["retry-after"] == retry


def test_while_a_file_is_adopted_health_and_readiness_say_so_and_answer(database: Database) -> None:
    http = client(database, migrations=Ports(now=Progress(phase=WorkPhase.BACKING_UP, done=1, total=4), blocked=True))
    health = msgspec.json.decode(http.get("/health").content, type=Health)
    assert health.status == "degraded"
    assert "backing up the database, 25 %" in health.reasons[0]
    assert health.migration is not None
    assert (health.migration.unit, health.migration.percent, health.migration.blocks_data) == ("pages", 25.0, True)
    ready = http.get("/ready")
    assert ready.status_code == 503
    assert "backing up the database" in ready.json()["reasons"][0]
    assert http.get("/api/v1/migrations/current").json()["blocks_data"] is True


def test_a_migration_beside_the_service_is_no_fault(database: Database) -> None:
    http = client(database, migrations=Ports(now=WORKING, run=1))
    health = http.get("/health").json()
    assert (health["status"], health["reasons"]) == ("ok", [])
    assert (health["migration"]["done"], health["migration"]["run_id"]) == (450, 1)
    assert http.get("/ready").status_code == 200
    assert client(database, migrations=Ports()).get("/health").json()["migration"] is None


def test_what_keeps_records_old_is_a_reason_and_a_notice(database: Database) -> None:
    http = client(database, migrations=Ports(trouble="there is no room for a backup"))
    assert http.get("/health").json()["reasons"] == ["there is no room for a backup"]
    (notice,) = http.get("/api/v1/versions").json()["notices"]
    assert (notice["kind"], notice["attention"], notice["text"]) == ("problem", True, ["there is no room for a backup"])


def test_answers_count_older_records_of_their_range_while_some_may_be_there(database: Database) -> None:
    database.add(a_record(0), a_record(1, model="b"), app_version="1.0.0")
    database.add(a_record(2), app_version="")
    database.add(a_record(3), app_version="2.0.0")
    database.add(a_record(4), app_version="2.1.0")
    http = client(database, migrations=Ports(older=True))
    page = msgspec.json.decode(http.get("/api/v1/requests?limit=1").content, type=RequestPage)
    assert page.older_records == {"": 1, "1.0.0": 2, "2.0.0": 1, "2.1.0": 1}  # type: ignore[attr-defined]
    assert http.get("/api/v1/requests?model=b").json()["older_records"] == {"1.0.0": 1}
    summary = msgspec.json.decode(http.get("/api/v1/summary?start=2026-03-01T12:00:02").content, type=Summary)
    assert summary.older_records == {"": 1, "2.0.0": 1, "2.1.0": 1}
    assert summary.app_versions == {"": 1, "2.0.0": 1, "2.1.0": 1}


def test_nothing_is_counted_when_nothing_is_pending(database: Database) -> None:
    statements: list[str] = []

    class Watching:
        def query(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
            statements.append(sql)
            return database.reader.query(sql, parameters)

        def close(self) -> None:
            database.reader.close()

    database.add(a_record())
    for migrations in (None, Ports()):
        http = client(database, reader=Watching(), migrations=migrations)
        assert http.get("/api/v1/requests").json()["older_records"] == {}
    assert not [sql for sql in statements if "GROUP BY" in sql]


def test_runs_are_told_with_their_figures_and_notices(database: Database) -> None:
    a_run(database.path, checksums={"2.0.0": "edited since"}, dismissed_at="2026-03-02T00:00:00.000000Z")
    a_run(database.path)
    body = client(database, migrations=Ports()).get("/api/v1/versions").content
    answer = msgspec.json.decode(body, type=Versions)
    newest, oldest = answer.migrations
    assert (newest.id, newest.state, newest.duration_ms, newest.records_per_s) == (2, "done", 5500.0, 250.0)
    assert newest.backup == "metrics-20260301.db"
    assert [(gap.reason, gap.meaning, gap.n) for gap in newest.gaps] == [
        ("odd_code", None, 9),
        ("no_total", "there is no total", 7),
    ]
    assert (newest.checksum_mismatches, oldest.checksum_mismatches) == ([], ["2.0.0"])
    (notice,) = answer.notices  # the other one was dismissed
    assert (notice.kind, notice.run_id, notice.attention) == ("done", 2, False)
    assert "1,000 changes were made in 1,005 records" in notice.text[0]
    assert any("2.0.0: tokens_per_second is lower" in sentence for sentence in notice.text)
    assert "9: odd_code; 7: there is no total" in notice.text[-1]


@pytest.mark.parametrize(
    ("state", "kind", "words"),
    [
        (RunState.UNDONE, "undone", "migrate run"),
        (RunState.ROLLED_BACK, "rolled_back", "migrate run"),
        (RunState.MIGRATING, "unfinished", "next start"),
        (RunState.VERIFYING, "unfinished", "next start"),
        (RunState.UNDOING, "unfinished", "migrate undo"),
    ],
)
def test_what_a_person_may_have_to_do_is_said_first(database: Database, state: RunState, kind: str, words: str) -> None:
    a_run(database.path)
    a_run(database.path, state=state, error="record 5 differs", finished_at=None)
    http = client(database, migrations=Ports(trouble="told by the run"))
    told = http.get("/api/v1/versions").json()["notices"]
    assert [notice["kind"] for notice in told] == [*(["problem"] if kind == "unfinished" else []), kind, "done"]
    first = told[-2]
    assert (first["attention"], first["run_id"]) == (True, 2)
    assert words in first["to_do"]
    if state is RunState.ROLLED_BACK:
        assert "record 5 differs" in " ".join(first["text"])


def test_what_was_taken_back_and_then_done_again_is_no_news(database: Database) -> None:
    for state in (RunState.ROLLED_BACK, RunState.UNDONE, RunState.DONE):
        a_run(database.path, state=state)
    (notice,) = client(database, migrations=Ports()).get("/api/v1/versions").json()["notices"]
    assert (notice["kind"], notice["run_id"]) == ("done", 3)


def test_a_run_under_way_asks_for_nothing(database: Database) -> None:
    a_run(database.path, state=RunState.MIGRATING, finished_at=None)
    (notice,) = client(database, migrations=Ports(holder=9)).get("/api/v1/versions").json()["notices"]
    assert (notice["kind"], notice["attention"]) == ("unfinished", False)


def test_prometheus_has_the_phase_and_the_records(database: Database) -> None:
    lines = client(database, migrations=Ports(now=WORKING)).get("/metrics").text.splitlines()
    assert 'llm_proxy_migration_phase{phase="migrating"} 1.0' in lines
    assert "llm_proxy_migration_records_done 450.0" in lines
    assert "llm_proxy_migration_records 1000.0" in lines
    pages = Ports(now=Progress(phase=WorkPhase.BACKING_UP, done=1, total=4))
    lines = client(database, migrations=pages).get("/metrics").text.splitlines()
    assert "llm_proxy_migration_records_done 0.0" in lines  # pages are no records
    idle = client(database).get("/metrics").text.splitlines()
    assert 'llm_proxy_migration_phase{phase="idle"} 1.0' in idle


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(phase=WorkPhase.CHECKING), "checking the database"),
        (Progress(phase=WorkPhase.WAITING, detail="process 5 holds the lock"), "waiting: process 5 holds the lock"),
        (
            Progress(phase=WorkPhase.VERIFYING, done=999, total=1000, eta_s=59.4),
            "verifying every record, 99 %, about 59 s left",
        ),
        (
            Progress(phase=WorkPhase.MIGRATING, done=5, total=4, eta_s=3700),
            "recalculating records, 100 %, about 1 h 2 min left",
        ),
    ],
)
def test_progress_in_words(progress: Progress, text: str) -> None:
    assert in_words(progress).startswith(text)


@pytest.mark.parametrize("declared", odd.TYPES)
def test_no_value_of_an_adopted_file_makes_an_answer_fail(database: Database, tmp_path: Path, declared: str) -> None:
    odd.make(tmp_path / "odd.db", declared)
    http = client(database, reader=SqliteReader(tmp_path / "odd.db"), migrations=Ports(older=True))
    paths = ["/api/v1/requests?limit=1000", "/api/v1/summary", "/api/v1/versions", "/api/v1/migrations/current"]
    paths += [f"/api/v1/requests/{number}" for number in range(1, len(odd.VALUES) + 1)]
    for path in paths:
        response = http.get(path)
        assert response.status_code == 200, response.text
        assert "Infinity" not in response.text or "unfit" in response.text
        response.json()
