"""What the API tells of migrations: before, while and after they run, here or elsewhere."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import apsw
import msgspec
import pytest

from llm_metrics_proxy.api.health import Health
from llm_metrics_proxy.api.migrations import MigrationNow, in_words
from llm_metrics_proxy.api.schemas import Versions
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.model import Progress, RunState, WorkPhase
from llm_metrics_proxy.storage.carried import CarriedCounts, write_carried
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics.database import Database, a_record
from tests.api.migrations import WORKING, Ports, a_run
from tests.api.service import client

DATA_PATHS = ["/api/v1/requests", "/api/v1/requests/1", "/api/v1/summary", "/api/v1/errors"]


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
    assert answer.text == "carrying older records over, 45 %, about 2 min left, 100/s"


def test_a_pause_says_until_when(database: Database) -> None:
    until = datetime(2026, 3, 1, 22, tzinfo=UTC)
    answer = now(database, Ports(now=Progress(phase=WorkPhase.PAUSED, done=1, total=4), until=until))
    assert (answer.phase, answer.paused_until) == ("paused", "2026-03-01T22:00:00Z")


def test_a_run_of_the_command_line_is_seen_in_the_database(database: Database) -> None:
    number = a_run(database.path, state=RunState.MIGRATING, records_changed=400, finished_at=None, busy_ms=2000.0)
    answer = now(database, Ports(holder=77, path=database.path))
    assert (answer.phase, answer.run_id, answer.done, answer.total) == ("migrating", number, 400, 1005)
    assert (answer.per_s, answer.eta_s) == (200.0, 3.025)
    assert not answer.runs_here
    assert answer.lock_holder_pid == 77


def test_a_run_that_nobody_goes_on_with_is_idle_and_said(database: Database) -> None:
    a_run(database.path, state=RunState.MIGRATING, finished_at=None)
    answer = now(database, Ports(path=database.path))
    assert answer.phase == "idle"
    assert "not finished" in answer.text


def test_a_database_that_is_not_there_stops_no_word_about_migrations(database: Database, tmp_path: Path) -> None:
    http = client(database, reader=SqliteReader(tmp_path / "absent.db"), migrations=Ports())
    assert http.get("/api/v1/migrations/current").json()["phase"] == "idle"


@pytest.mark.parametrize("path", DATA_PATHS)
def test_until_an_older_table_is_set_aside_data_are_503_with_the_progress(database: Database, path: str) -> None:
    backing_up = Progress(phase=WorkPhase.BACKING_UP, done=30, total=40, eta_s=7.4)
    response = client(database, migrations=Ports(now=backing_up, blocked=True)).get(path)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "7"
    error = response.json()["error"]
    assert error["type"] == "migrating"
    assert "backing up the database, 75 %, about 7 s left" in error["message"]


def test_what_a_person_took_back_answers_503_and_says_so(database: Database) -> None:
    http = client(database, migrations=Ports(blocked=True, trouble="migration 1 was taken back by a person"))
    for path in ("/api/v1/summary", "/ready"):
        response = http.get(path)
        assert (response.status_code, "taken back by a person" in response.text) == (503, True)
    assert http.get("/api/v1/summary").headers["retry-after"] == "60"
    versions = http.get("/api/v1/versions").json()
    assert (versions["records_by_version"], versions["history"] != []) == ({}, True)
    assert "taken back by a person" in str(versions["notices"])


@pytest.mark.parametrize(("eta_s", "retry"), [(None, "1"), (0.0, "1"), (0.3, "1"), (20_000.0, "60")])
def test_the_time_to_ask_again_is_sensible(database: Database, eta_s: float | None, retry: str) -> None:
    progress = Progress(phase=WorkPhase.BACKING_UP, eta_s=eta_s)
    response = client(database, migrations=Ports(now=progress, blocked=True)).get("/api/v1/summary")
    assert response.headers["retry-after"] == retry


def test_while_an_older_table_is_set_aside_health_and_readiness_say_so_and_answer(database: Database) -> None:
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


ANSWERS = [
    "/api/v1/requests",
    "/api/v1/summary",
    "/api/v1/errors",
    "/api/v1/query?metrics=requests",
    "/api/v1/timeseries?metrics=requests",
    "/api/v1/breakdown?by=model",
    "/api/v1/distribution?metric=response_time_ms",
    "/api/v1/heatmap?metric=requests",
    "/api/v1/report?format=json",
    "/api/v1/migrations/current",
]


def carry(database: Database, carried: CarriedCounts | None) -> None:
    with closing(apsw.Connection(str(database.path))) as connection:
        write_carried(connection, carried)


@pytest.mark.parametrize("path", ANSWERS)
def test_every_answer_says_what_history_it_lacks(database: Database, path: str) -> None:
    database.add(a_record())
    http = client(database, migrations=Ports())
    assert http.get(path).json()["history"] is None
    carry(database, CarriedCounts(250, 1000, "2026-02-01T00:00:00.000000Z"))
    history = http.get(path).json()["history"]
    assert {name: history[name] for name in ("carried", "records", "share", "complete_from", "stopped")} == {
        "carried": 250, "records": 1000, "share": 0.25, "complete_from": "2026-02-01T00:00:00.000000Z", "stopped": None,
    }  # fmt: skip
    assert "250 of 1,000 (25%) are in the answers; answers are complete from 2026-02-01T00:00:00Z on" in history["text"]


def test_an_export_says_in_a_header_what_history_it_lacks(database: Database) -> None:
    database.add(a_record())
    http = client(database, migrations=Ports())
    assert "x-llm-metrics-history" not in http.get("/api/v1/export?format=jsonl").headers
    carry(database, CarriedCounts(250, 1000, None))
    history = msgspec.json.decode(http.get("/api/v1/export?format=jsonl").headers["x-llm-metrics-history"])
    assert (history["carried"], history["records"], history["stopped"]) == (250, 1000, None)


def test_after_a_run_that_failed_answers_say_why_history_is_missing_and_what_to_run(database: Database) -> None:
    a_run(database.path, state=RunState.ROLLED_BACK, error="record 5 differs")
    carry(database, CarriedCounts(0, 1005, None))
    history = client(database, migrations=Ports()).get("/api/v1/summary").json()["history"]
    assert (history["share"], history["complete_from"]) == (0.0, None)
    assert "record 5 differs" in history["stopped"]
    assert "1,005 older records are not in the answers" in history["text"]
    assert "migrate run" in history["text"]


def test_runs_are_told_with_their_figures_and_notices(database: Database) -> None:
    a_run(database.path, checksums={"2.0.0": "edited since"}, dismissed_at="2026-03-02T00:00:00.000000Z")
    a_run(database.path)
    body = client(database, migrations=Ports(path=database.path)).get("/api/v1/versions").content
    answer = msgspec.json.decode(body, type=Versions)
    newest, oldest = answer.migrations
    assert (newest.id, newest.state, newest.duration_ms, newest.records_per_s) == (2, "done", 5500.0, 251.25)
    assert newest.backup == "metrics-20260301.db"
    assert [(gap.reason, gap.meaning, gap.n) for gap in newest.gaps] == [
        ("odd_code", None, 9),
        ("no_total", "there is no total", 7),
    ]
    assert (newest.checksum_mismatches, oldest.checksum_mismatches) == ([], ["2.0.0"])
    (notice,) = answer.notices  # the other one was dismissed
    assert (notice.kind, notice.run_id, notice.attention) == ("done", 2, False)
    assert "1,005 records were carried over" in notice.text[0]
    assert any("2.0.0: tokens_per_second is lower" in sentence for sentence in notice.text)
    assert "9: odd_code; 7: there is no total" in notice.text[-2]
    assert "unfit_values" in notice.text[-1]
    assert "(model 3)" in notice.text[-1]
    assert "stays until 2026-03-31, as completion_requests_before_2_0_0" in notice.to_do
    assert (newest.kept_table, newest.kept_until) == (
        "completion_requests_before_2_0_0",
        "2026-03-31T12:00:05.500000Z",
    )


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
    http = client(database, migrations=Ports(trouble="told by the run", path=database.path))
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
    ports = Ports(path=database.path)
    (notice,) = client(database, migrations=ports).get("/api/v1/versions").json()["notices"]
    assert (notice["kind"], notice["run_id"]) == ("done", 3)


def test_a_run_under_way_asks_for_nothing(database: Database) -> None:
    a_run(database.path, state=RunState.MIGRATING, finished_at=None)
    ports = Ports(holder=9, path=database.path)
    (notice,) = client(database, migrations=ports).get("/api/v1/versions").json()["notices"]
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
            "carrying older records over, 100 %, about 1 h 2 min left",
        ),
    ],
)
def test_progress_in_words(progress: Progress, text: str) -> None:
    assert in_words(progress).startswith(text)
