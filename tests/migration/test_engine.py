"""The engine from end to end on real files: what it carries over, proves, resumes, refuses, and takes back."""

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from semver import Version

from llm_metrics_proxy.errors import MigrationRefusedError, NewerDatabaseError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.history import ALL_OF_TIME
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.migration.model import ColumnChange, Ended, Migration, Progress, RunState, WorkPhase
from llm_metrics_proxy.migration.retire import drop_some
from llm_metrics_proxy.safe_migrations import MIGRATIONS, migrate_to_version_2_0_0
from llm_metrics_proxy.storage.carried import CarriedCounts, read_carried
from tests.migration.databases import content, execute, make, options

NEWEST = MIGRATIONS[-1].version
ASIDE = f"completion_requests_before_{NEWEST.replace('.', '_')}"


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    return make(tmp_path / "metrics.db")


def _carried(path: Path) -> CarriedCounts | None:
    with closing(apsw.Connection(str(path))) as connection:
        return read_carried(connection)


def _at(phase: WorkPhase, act: Callable[[], object]) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.phase is phase:
            act()

    return report


def test_records_are_carried_over_recomputed_stamped_and_verified(legacy: Path) -> None:
    before = content(legacy)
    result = engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert result.ended is Ended.DONE, result
    assert result.run is not None
    assert (result.run.records_total, result.run.records_changed, result.run.bound_id) == (1000, 1000, 1000)
    assert result.run.gaps == {"error_without_words": 50}, "of two reasons the last one is kept"
    assert (result.run.from_versions, result.run.old_table) == ({"1.0.0": 1000}, ASIDE)
    assert result.run.busy_ms >= result.run.largest_lock_ms > 0
    rows = execute(legacy, "SELECT total_tokens, response_time_ms, tokens_per_second FROM completion_requests")
    assert all(rate == (None if tokens is None else tokens * 1000 / ms) for tokens, ms, rate in rows)
    assert execute(legacy, "SELECT DISTINCT app_version FROM completion_requests") == [(NEWEST,)]
    assert _aside(legacy) == before, "the old table was written to"
    assert _carried(legacy) is None, "all of history is there"
    assert execute(legacy, "SELECT next FROM arrivals") == [(1001,)]
    assert engine.verify(legacy, migrations=MIGRATIONS) == ()
    assert engine.migrate(legacy, options(legacy), migrations=MIGRATIONS).ended is Ended.NOTHING_TO_DO
    assert len(engine.history(legacy)) == 1


def _aside(path: Path) -> dict[int, tuple[Any, ...]]:
    copy = path.with_name("aside.db")
    copy.unlink(missing_ok=True)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    execute(copy, "DROP TABLE completion_requests")
    execute(copy, f"ALTER TABLE {ASIDE} RENAME TO completion_requests")
    return content(copy)


def test_while_it_is_carried_over_the_newest_is_there_first_and_readers_know_from_when_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    make(path, 0)
    row = "('2025-06-' || printf('%02d', 1 + i / 1000) || 'T12:00:00.' || printf('%06d', i), 1, 5, 250.0, '1.0.0')"
    numbers = "WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 25999)"
    execute(
        path,
        "INSERT INTO completion_requests (timestamp, success, total_tokens, response_time_ms, app_version) "
        f"{numbers} SELECT {row.strip('()')} FROM n",
    )
    seen: list[CarriedCounts] = []

    def report(progress: Progress) -> None:
        if progress.phase is WorkPhase.MIGRATING and (carried := _carried(path)) is not None:
            there = "SELECT count(*), min(arrival) FROM completion_requests WHERE arrival <= 26000"
            ((records, least),) = execute(path, there)
            if carried == _carried(path) and records == carried.records:
                assert least is None or least == 26001 - records, "newest first, without a gap"
                seen.append(carried)

    result = engine.migrate(path, options(path, batch_lock_ms=4, pause_ms=1), report=report, migrations=MIGRATIONS)
    assert result.ended is Ended.DONE, result
    assert len(seen) > 4
    assert {each.of_records for each in seen} == {26000}
    ends = [each.complete_from for each in seen]
    assert ends[0] == "2025-06-26T12:00:00.026000Z", "just behind the newest of all"
    assert ends == sorted(map(str, ends), reverse=True)
    assert str(ends[-1]) < str(ends[0])
    assert any("2025-06-20T12:00:00.019999Z" < end < "2025-06-21" for end in map(str, ends)) or ends[-1] == ALL_OF_TIME


def test_what_an_older_program_writes_between_the_look_and_the_backup_is_carried_over_too(legacy: Path) -> None:
    """With a stamp that the look did not see."""
    insert = (
        "INSERT INTO completion_requests (timestamp, total_tokens, response_time_ms, success, app_version) "
        "VALUES ('2025-06-01T12:00:00', 50, 250.0, 1, '1.7.3')"
    )
    late = iter([insert])
    result = engine.migrate(
        legacy,
        options(legacy),
        report=_at(WorkPhase.CHECKING, lambda: execute(legacy, next(late, "SELECT 1")) and None),
        migrations=MIGRATIONS,
    )
    assert result.ended is Ended.DONE, result
    assert result.run is not None
    assert (result.run.records_total, result.run.from_versions) == (1001, {"1.0.0": 1000, "1.7.3": 1})
    last = "SELECT app_version, tokens_per_second FROM completion_requests ORDER BY arrival DESC LIMIT 1"
    assert execute(legacy, last) == [(NEWEST, 200.0)]


def test_what_a_newer_program_writes_between_the_look_and_the_backup_refuses_the_run(legacy: Path) -> None:
    insert = "INSERT INTO completion_requests (timestamp, success, app_version) VALUES ('x', 1, '99.0.0')"
    report = _at(WorkPhase.CHECKING, lambda: execute(legacy, insert) and None)
    with pytest.raises(NewerDatabaseError, match=r"99\.0\.0"):
        engine.migrate(legacy, options(legacy), report=report, migrations=MIGRATIONS)
    assert engine.history(legacy) == []
    assert execute(legacy, "SELECT count(*) FROM completion_requests WHERE app_version = '1.0.0'") == [(1000,)]


def test_an_automatic_look_counts_only_what_came_since(legacy: Path) -> None:
    engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert engine.status(legacy, MIGRATIONS, quick=True).counted_above == 1000
    execute(legacy, f"INSERT INTO completion_requests (arrival, app_version) VALUES (1001, '{NEWEST}')")
    assert engine.status(legacy, MIGRATIONS, quick=True).records_by_version == {NEWEST: 1}
    assert engine.migrate(legacy, options(legacy, automatic=True), migrations=MIGRATIONS).ended is Ended.NOTHING_TO_DO
    assert engine.status(legacy, MIGRATIONS, quick=True).counted_above == 1001


def test_a_stop_is_obeyed_after_a_batch_and_the_next_call_goes_on(tmp_path: Path) -> None:
    stop = threading.Event()

    def report(progress: Progress) -> None:
        if progress.phase is WorkPhase.MIGRATING and progress.done:
            stop.set()

    legacy = make(tmp_path / "larger.db", 4000)
    options_ = options(legacy, batch_lock_ms=1, pause_ms=50)
    result = engine.migrate(legacy, options_, report=report, stop=stop, migrations=MIGRATIONS)
    assert result.ended is Ended.STOPPED
    assert result.run is not None
    carried = _carried(legacy)
    assert carried is not None
    assert 0 < carried.records < 4000
    again = engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert again.run is not None
    assert (again.ended, again.run.id, again.run.records_changed) == (Ended.DONE, result.run.id, 4000)


def test_a_stop_while_verifying_verifies_again(legacy: Path) -> None:
    stop = threading.Event()
    report = _at(WorkPhase.VERIFYING, stop.set)
    result = engine.migrate(legacy, options(legacy), report=report, stop=stop, migrations=MIGRATIONS)
    assert result.run is not None
    assert (result.ended, result.run.state) == (Ended.STOPPED, RunState.VERIFYING)
    assert engine.migrate(legacy, options(legacy), migrations=MIGRATIONS).ended is Ended.DONE


def test_no_time_at_all_stops_before_the_first_batch_and_new_records_can_be_stored(legacy: Path) -> None:
    assert engine.migrate(legacy, options(legacy, max_seconds=0), migrations=MIGRATIONS).ended is Ended.STOPPED
    assert _carried(legacy) == CarriedCounts(0, 1000, None)
    execute(legacy, f"INSERT INTO completion_requests (arrival, app_version) VALUES (1001, '{APP_VERSION}')")
    assert engine.migrate(legacy, options(legacy), migrations=MIGRATIONS).ended is Ended.DONE
    assert execute(legacy, "SELECT count(*) FROM completion_requests") == [(1001,)]


def _spoilt(expression: str) -> Migration:
    good = migrate_to_version_2_0_0()
    return good._replace(changes=(ColumnChange("tokens_per_second", expression), *good.changes[1:]), distrusted="0")


@pytest.mark.parametrize(
    ("expression", "check"),
    [
        ("CASE WHEN total_tokens IS NOT NULL THEN total_tokens * 1000.0 / response_time_ms + 1e-9 END", "oracle"),
        ("CASE WHEN timestamp NOT LIKE '%000333%' THEN total_tokens * 1000.0 / response_time_ms END", "oracle"),
        ("CASE WHEN timestamp LIKE '%000333%' THEN abs(-9223372036854775808) ELSE 1.0 END", "formula"),
    ],
)
def test_a_wrong_formula_is_caught_and_taken_back_and_new_records_stay(
    legacy: Path, expression: str, check: str
) -> None:
    before = content(legacy)
    insert = f"INSERT OR IGNORE INTO completion_requests (arrival, app_version) VALUES (1001, '{APP_VERSION}')"
    report = _at(WorkPhase.MIGRATING, lambda: execute(legacy, insert) and None)
    result = engine.migrate(legacy, options(legacy), report=report, migrations=(_spoilt(expression),))
    assert result.ended is Ended.ROLLED_BACK
    assert result.faults[0].check == check
    assert result.faults[0].record_id is not None
    assert result.run is not None
    assert str(result.faults[0].record_id) in (result.run.error or "")
    assert execute(legacy, "SELECT arrival FROM completion_requests") == [(1001,)]
    carried = _carried(legacy)
    assert carried is not None
    assert (carried.records, carried.of_records) == (0, 1000)
    automatic = options(legacy, automatic=True)
    held = engine.migrate(legacy, automatic, migrations=(_spoilt(expression),))
    assert held.ended is Ended.HELD, "tried for ever"
    again = engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert again.ended is Ended.DONE, "the right formula is another migration"
    assert execute(legacy, "SELECT count(*) FROM completion_requests") == [(1001,)]
    assert engine.undo(legacy, options(legacy), migrations=MIGRATIONS).ended is Ended.UNDONE
    assert content(legacy, through_id=1000) == before


def test_what_the_engine_took_back_a_person_can_undo(legacy: Path) -> None:
    before = content(legacy)
    assert engine.migrate(legacy, options(legacy), migrations=(_spoilt("1.0"),)).ended is Ended.ROLLED_BACK
    assert engine.undo(legacy, options(legacy), migrations=MIGRATIONS).ended is Ended.UNDONE
    assert content(legacy) == before


def test_a_run_that_other_code_began_is_taken_back_and_done_by_this_code(legacy: Path) -> None:
    wrong = (_spoilt("42.0"),)
    assert engine.migrate(legacy, options(legacy, max_seconds=0), migrations=wrong).ended is Ended.STOPPED
    result = engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert result.ended is Ended.DONE, result
    assert [run.state for run in engine.history(legacy)] == [RunState.ROLLED_BACK, RunState.DONE]
    assert engine.verify(legacy, migrations=MIGRATIONS) == ()


def test_a_run_that_an_unknown_version_began_is_left_to_it(legacy: Path) -> None:
    unknown = (*MIGRATIONS[:-1], MIGRATIONS[-1]._replace(version="99.0.0"))
    engine.migrate(legacy, options(legacy, max_seconds=0), migrations=unknown, app_version="99.0.0")
    with pytest.raises(MigrationRefusedError, match=r"99\.0\.0 was begun by 99\.0\.0"):
        engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)


def test_what_a_person_took_back_is_left_alone_until_a_person_asks(legacy: Path) -> None:
    engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    with pytest.raises(MigrationRefusedError, match="without --to"):
        engine.undo(legacy, options(legacy), to_version="3.0.0", migrations=MIGRATIONS)
    engine.undo(legacy, options(legacy), migrations=MIGRATIONS)
    assert engine.migrate(legacy, options(legacy, automatic=True), migrations=MIGRATIONS).ended is Ended.HELD
    with pytest.raises(MigrationRefusedError, match="no migration that could be taken back"):
        engine.undo(legacy, options(legacy), migrations=MIGRATIONS)
    assert engine.migrate(legacy, options(legacy), migrations=MIGRATIONS).ended is Ended.DONE


def test_a_newer_record_that_the_old_table_refuses_is_named_and_kept_beside(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    execute(
        path,
        "CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, timestamp TEXT NOT NULL, model TEXT "
        "CHECK (model <> 'refused'), total_tokens INTEGER, note TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'chat')",
    )
    execute(path, "INSERT INTO completion_requests VALUES (5, '2025-01-01', 'm', 1, 'n', 'k')")
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    for arrival, model in ((6, "taken"), (7, "refused"), (8, None)):
        execute(
            path,
            "INSERT INTO completion_requests (arrival, timestamp, model, app_version) VALUES (?, ?, ?, ?)",
            (arrival, None if arrival == 8 else "2026-01-01T00:00:00.000000Z", model, APP_VERSION),
        )
    result = engine.undo(path, options(path), migrations=MIGRATIONS)
    assert (result.ended, result.conflicts) == (Ended.UNDONE, (7,))
    assert execute(path, "SELECT id, timestamp, model, note, kind FROM completion_requests") == [
        (5, "2025-01-01", "m", "n", "k"),
        (6, "2026-01-01T00:00:00.000000Z", "taken", "", "chat"),
        (8, "", None, "", "chat"),
    ]
    assert execute(path, f"SELECT count(*) FROM completion_requests_of_{APP_VERSION.replace('.', '_')}") == [(4,)]


def test_the_old_table_goes_in_small_steps_when_its_time_is_over(legacy: Path) -> None:
    engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    execute(legacy, "CREATE TABLE migration_undo_3_4_0_0 (id INTEGER PRIMARY KEY, x)")
    with closing(apsw.Connection(str(legacy))) as connection:
        assert drop_some(connection, 300, finished_before="2026-01-01T00:00:00Z"), "its time is not over"
        steps = 0
        while not drop_some(connection, 300, finished_before="2999-01-01T00:00:00Z"):
            steps += 1
        assert steps == 5, "four of a thousand rows, one of none"
    assert execute(legacy, f"SELECT name FROM sqlite_schema WHERE name IN ('{ASIDE}', 'migration_undo_3_4_0_0')") == []
    assert execute(legacy, "SELECT count(*) FROM completion_requests") == [(1000,)]
    with pytest.raises(MigrationRefusedError, match="the table from before is not there"):
        engine.undo(legacy, options(legacy), migrations=MIGRATIONS)


@pytest.mark.parametrize("stamp", ["10.0.0", str(Version.parse(APP_VERSION).bump_minor()), "6.0.0-rc.1"])
def test_a_newer_stamp_is_refused_and_the_file_stays_as_it_is(tmp_path: Path, stamp: str) -> None:
    script = f"UPDATE completion_requests SET app_version = '{stamp}' WHERE id = 9"
    path = make(tmp_path / "metrics.db", 50, script=script)
    before = path.read_bytes()
    with pytest.raises(NewerDatabaseError, match=stamp):
        engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.db"]


def test_numbers_that_no_program_can_count_on_from_are_given_anew(tmp_path: Path) -> None:
    path = make(tmp_path / "metrics.db", 20, script="UPDATE completion_requests SET id = 9223372036854775807 - id % 2 "
                "WHERE id > 18; UPDATE completion_requests SET id = -9223372036854775808 WHERE id = 1")  # fmt: skip
    before = content(path)
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    assert execute(path, "SELECT min(arrival), max(arrival), count(*) FROM completion_requests") == [(1, 20, 20)]
    assert engine.undo(path, options(path), migrations=MIGRATIONS).ended is Ended.UNDONE
    assert content(path) == before


def test_a_table_of_another_program_in_the_way_is_named(tmp_path: Path) -> None:
    path = make(tmp_path / "metrics.db", 20, script="CREATE TABLE counters (mine)")
    before = content(path)
    with pytest.raises(MigrationRefusedError, match="a table counters of another program"):
        engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert content(path) == before
    assert execute(path, "SELECT name FROM sqlite_schema WHERE name GLOB '*before*'") == []


def test_views_and_triggers_of_others_stay_as_they_are(tmp_path: Path) -> None:
    script = (
        "CREATE TABLE seen (id); CREATE VIEW broken AS SELECT * FROM nowhere; "
        "CREATE VIEW named AS SELECT id FROM completion_requests; "
        "CREATE TRIGGER met AFTER INSERT ON completion_requests BEGIN INSERT INTO seen VALUES (new.id); END; "
        "CREATE VIEW completion_requests_before_5_0_0 AS SELECT 1; CREATE INDEX records_by_timestamp ON seen (id)"
    )
    path = make(tmp_path / "metrics.db", 20, script=script)
    others = "SELECT name, sql FROM sqlite_schema WHERE name IN ('broken', 'named', 'seen', 'records_by_timestamp')"
    before, schema = execute(path, others), execute(path, "SELECT type, name, sql FROM sqlite_schema ORDER BY rowid")
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    assert execute(path, others) == before
    assert engine.undo(path, options(path), migrations=MIGRATIONS).ended is Ended.UNDONE
    after = execute(path, "SELECT type, name, sql FROM sqlite_schema ORDER BY rowid")
    assert after[: len(schema)] == schema
    assert execute(path, "SELECT count(*) FROM seen") == [(0,)], "carrying over fires no trigger"


def test_bytes_that_are_no_text_are_kept_and_their_records_migrated(tmp_path: Path) -> None:
    broken = "CAST(x'ff30' AS TEXT)"
    script = (
        f"UPDATE completion_requests SET app_version = {broken} WHERE id IN (5, 6); "
        f"UPDATE completion_requests SET timestamp = {broken} WHERE id IN (6, 7); "
        f"UPDATE completion_requests SET total_tokens = {broken}, model = {broken} WHERE id = 8"
    )
    path = make(tmp_path / "metrics.db", 60, script=script)
    as_bytes = "SELECT id, CAST(timestamp AS BLOB), CAST(model AS BLOB), CAST(app_version AS BLOB), tokens_per_second "
    before = execute(path, f"{as_bytes} FROM completion_requests")
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert (result.ended, result.faults) == (Ended.DONE, ()), result
    assert result.run is not None
    assert result.run.from_versions == {"1.0.0": 58, "b'\\xff0'": 2}
    assert engine.undo(path, options(path), migrations=MIGRATIONS).ended is Ended.UNDONE
    assert execute(path, f"{as_bytes} FROM completion_requests") == before


def test_the_last_of_many_disks_is_measured_first(legacy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free, total = 1000, 100_000

    before = legacy.read_bytes()
    monkeypatch.setattr("llm_metrics_proxy.storage.disk_space.shutil.disk_usage", lambda _path: Usage())
    with pytest.raises(MigrationRefusedError, match=r"are needed in .*, where 1.0 kB are free \(.*roll-ups"):
        engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert legacy.read_bytes() == before


def test_an_empty_table_and_no_file(tmp_path: Path) -> None:
    path = make(tmp_path / "metrics.db", 0)
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.NOTHING_TO_DO
    none = tmp_path / "none.db"
    assert engine.migrate(none, options(none), migrations=MIGRATIONS).ended is Ended.NOTHING_TO_DO
    assert not none.exists()


def test_two_links_to_a_database_are_one_lock(legacy: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(legacy)
    with migration_lock(link), pytest.raises(MigrationRefusedError, match=r"holds metrics\.db\.migration-lock"):
        engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
