"""The engine from end to end on real files: what it writes, proves, resumes, refuses, and takes back."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.errors import MigrationRefusedError, NewerDatabaseError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.migration.model import ColumnChange, Ended, Migration, Progress, RunState, WorkPhase
from llm_metrics_proxy.safe_migrations import MIGRATIONS, migrate_to_version_2_0_0
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.migration.chain import CHAIN
from tests.migration.databases import content, execute, make, options

NEWEST = MIGRATIONS[-1].version  # to which records come, whatever version the program has
NAMES = ("timestamp", "success", "response_time_ms", "model", "total_tokens", "extra", "is_streaming", "finish_reason")
ALL = (*NAMES, "tokens_per_second", "app_version", "timestamp_original", "recompute_reason")


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    return make(tmp_path / "metrics.db")


def test_records_are_recomputed_stamped_and_verified(legacy: Path) -> None:
    before = content(legacy, NAMES)
    result = engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert result.ended is Ended.DONE, result
    assert result.run is not None
    assert (result.run.records_total, result.run.records_changed) == (1000, 1000 * len(MIGRATIONS))
    assert result.run.gaps == {"no_total_tokens": 50, "error_without_words": 50}
    assert result.run.from_versions == {"1.0.0": 1000}
    rows = execute(
        legacy, "SELECT total_tokens, response_time_ms, tokens_per_second, recompute_reason FROM completion_requests"
    )
    for tokens, duration_ms, rate, reason in rows:
        wanted = (None, "error_without_words") if tokens is None else (tokens * 1000 / duration_ms, None)
        assert (rate, reason) == wanted, "those without tokens failed, too, and the last reason is kept"
    assert execute(legacy, "SELECT DISTINCT app_version FROM completion_requests") == [(NEWEST,)]
    ended = "SELECT DISTINCT success, outcome, error_category, error_type FROM completion_requests ORDER BY success"
    assert execute(legacy, ended) == [(0, "upstream_error", "unknown", "unknown"), (1, "completed", None, None)]
    after = content(legacy, ("timestamp_original", *NAMES[1:]))
    assert after == before, "a raw fact changed"
    assert execute(legacy, "SELECT count(*) FROM completion_requests WHERE timestamp <> timestamp_original || 'Z'") == [
        (0,)
    ]
    assert engine.verify(legacy, migrations=MIGRATIONS) == ()


def test_what_an_older_program_writes_between_the_look_and_the_backup_is_migrated_too(legacy: Path) -> None:
    """With a stamp that the look did not see."""
    insert = (
        "INSERT INTO completion_requests (timestamp, total_tokens, response_time_ms, success, app_version) "
        "VALUES ('2025-06-01T12:00:00', 50, 250.0, 1, '1.7.3')"
    )
    late = iter([insert])

    def report(progress: Progress) -> None:
        if progress.phase is WorkPhase.CHECKING:
            execute(legacy, next(late, "SELECT 1"))

    result = engine.migrate(legacy, options(legacy), report=report, migrations=MIGRATIONS)
    assert result.ended is Ended.DONE, result
    assert result.run is not None
    assert (result.run.records_total, result.run.from_versions) == (1001, {"1.0.0": 1000, "1.7.3": 1})
    last = execute(legacy, "SELECT app_version, tokens_per_second FROM completion_requests ORDER BY id DESC LIMIT 1")
    assert last == [(NEWEST, 200.0)]
    assert engine.undo(legacy, options(legacy), migrations=MIGRATIONS).ended is Ended.UNDONE
    assert execute(legacy, "SELECT DISTINCT app_version FROM completion_requests") == [("1.0.0",), ("1.7.3",)]


def test_what_a_newer_program_writes_between_the_look_and_the_backup_refuses_the_run(legacy: Path) -> None:
    def report(progress: Progress) -> None:
        if progress.phase is WorkPhase.CHECKING:
            execute(
                legacy, "INSERT INTO completion_requests (timestamp, success, app_version) VALUES ('x', 1, '99.0.0')"
            )

    with pytest.raises(NewerDatabaseError, match=r"99\.0\.0"):
        engine.migrate(legacy, options(legacy), report=report, migrations=MIGRATIONS)
    assert execute(legacy, "SELECT app_version, count(*) FROM completion_requests GROUP BY 1") == [
        ("1.0.0", 1000), ("99.0.0", 1)
    ]  # fmt: skip
    assert engine.history(legacy) == []


def test_how_long_one_batch_took_is_stored_too(legacy: Path) -> None:
    run = engine.migrate(legacy, options(legacy, batch_lock_ms=10_000), migrations=MIGRATIONS).run
    assert run is not None
    assert run.busy_ms >= run.largest_lock_ms > 0


def test_running_it_again_changes_nothing(legacy: Path) -> None:
    engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    before = content(legacy)
    for automatic in (False, True):
        assert (
            engine.migrate(legacy, options(legacy, automatic=automatic), migrations=MIGRATIONS).ended
            is Ended.NOTHING_TO_DO
        )
    assert content(legacy) == before
    assert len(engine.history(legacy)) == 1


def test_an_automatic_look_counts_only_what_came_since(legacy: Path) -> None:
    engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert engine.status(legacy, MIGRATIONS, quick=True).counted_above_id == 1000
    execute(legacy, "INSERT INTO completion_requests (app_version, total_tokens) VALUES ('1.0.0', 5)")
    assert engine.status(legacy, MIGRATIONS, quick=True).records_by_version == {"1.0.0": 1}
    result = engine.migrate(legacy, options(legacy, automatic=True), migrations=MIGRATIONS)
    assert result.run is not None
    assert (result.ended, result.run.records_changed) == (Ended.DONE, len(MIGRATIONS))


def test_a_start_does_not_count_again_what_was_cleared_and_a_person_does(legacy: Path) -> None:
    engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    execute(legacy, "UPDATE completion_requests SET app_version = '1.0.0' WHERE id = 5")
    execute(legacy, f"INSERT INTO completion_requests (app_version) VALUES ('{APP_VERSION}')")
    assert engine.migrate(legacy, options(legacy, automatic=True), migrations=MIGRATIONS).ended is Ended.NOTHING_TO_DO
    assert engine.status(legacy, MIGRATIONS, quick=True).counted_above_id == 1001
    result = engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert result.run is not None
    assert (result.ended, result.run.records_changed) == (Ended.DONE, len(MIGRATIONS))


def test_undo_gives_every_bit_back_and_keeps_what_came_since(legacy: Path) -> None:
    names = [name for (name,) in execute(legacy, "SELECT name FROM pragma_table_info('completion_requests')")]
    before = content(legacy)
    engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    execute(legacy, "INSERT INTO completion_requests (app_version, model) VALUES ('2.1.0', 'later')")
    later = content(legacy)[1001]
    result = engine.undo(legacy, options(legacy), migrations=MIGRATIONS)
    assert (result.ended, result.faults, result.conflicts) == (Ended.UNDONE, (), ())
    assert content(legacy, names, through_id=1000) == before
    assert content(legacy)[1001] == later
    assert execute(legacy, "SELECT count(*) FROM completion_requests WHERE timestamp_original IS NOT NULL") == [(0,)]
    assert execute(legacy, "SELECT count(*) FROM completion_requests WHERE recompute_reason IS NOT NULL") == [(0,)]


def test_what_a_person_took_back_is_left_alone_until_a_person_asks(legacy: Path) -> None:
    engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    engine.undo(legacy, options(legacy), migrations=MIGRATIONS)
    assert engine.migrate(legacy, options(legacy, automatic=True), migrations=MIGRATIONS).ended is Ended.HELD
    with pytest.raises(MigrationRefusedError, match="no migration that could be taken back"):
        engine.undo(legacy, options(legacy), migrations=MIGRATIONS)
    assert engine.migrate(legacy, options(legacy), migrations=MIGRATIONS).ended is Ended.DONE
    assert engine.verify(legacy, migrations=MIGRATIONS) == ()


def test_undo_leaves_what_somebody_changed_since_and_names_it(legacy: Path) -> None:
    before = content(legacy, ("tokens_per_second", "app_version", "timestamp"))
    engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    execute(legacy, "UPDATE completion_requests SET tokens_per_second = 1 WHERE id IN (7, 500)")
    result = engine.undo(legacy, options(legacy), migrations=MIGRATIONS)
    assert (result.ended, result.conflicts) == (Ended.UNDONE, (7, 500))
    after = content(legacy, ("tokens_per_second", "app_version", "timestamp"))
    assert {key for key in before if before[key] != after[key]} == {7, 500}


def test_a_chain_equals_its_steps_one_after_the_other(tmp_path: Path) -> None:
    direct, stepped = make(tmp_path / "direct.db"), make(tmp_path / "stepped.db")
    assert engine.migrate(direct, options(direct), migrations=CHAIN, app_version="4.0.0").ended is Ended.DONE
    for count in (1, 2, 3):
        result = engine.migrate(stepped, options(stepped), migrations=CHAIN[:count], app_version=f"{count + 1}.0.0")
        assert result.ended is Ended.DONE, result
    assert content(direct, ALL) == content(stepped, ALL)
    assert engine.verify(direct, migrations=CHAIN, app_version="4.0.0") == ()


def test_a_chain_is_undone_whole_or_down_to_a_version(legacy: Path) -> None:
    at_2 = make(legacy.parent / "two.db")
    engine.migrate(at_2, options(at_2), migrations=CHAIN[:1], app_version="2.0.0")
    for to_version in ("2.0.0", None):
        engine.migrate(legacy, options(legacy), migrations=CHAIN, app_version="4.0.0")
        result = engine.undo(legacy, options(legacy), to_version=to_version, migrations=CHAIN, app_version="4.0.0")
        assert (result.ended, result.conflicts, result.faults) == (Ended.UNDONE, (), ())
        if to_version:
            assert content(legacy, ALL) == content(at_2, ALL)
            assert result.run is not None
            assert (result.run.to_version, list(result.run.checksums)) == ("2.0.0", ["2.0.0"])
    assert content(legacy, ALL) == content(at_2, ALL), "the second run began at 2.0.0, and went back to it"


def test_mixed_versions_take_only_the_steps_they_lack(tmp_path: Path) -> None:
    path = make(tmp_path / "metrics.db", 100)
    engine.migrate(path, options(path), migrations=CHAIN[:2], app_version="3.0.0")
    execute(
        path,
        "INSERT INTO completion_requests (timestamp, total_tokens, response_time_ms, app_version) "
        "VALUES ('2025-01-01', 10, 100.0, '1.9.9'), ('2025-01-01T00:00:00.000000Z', 10, 100.0, '4.0.0')",
    )
    result = engine.migrate(path, options(path), migrations=CHAIN, app_version="4.0.0")
    assert result.run is not None
    assert (result.ended, result.run.records_changed) == (Ended.DONE, 103), "one step for 100, three for the old one"
    assert execute(path, "SELECT tokens_per_second FROM completion_requests WHERE id > 100") == [(10.0,), (None,)]


def test_a_stop_is_obeyed_after_a_batch_and_the_next_call_goes_on(tmp_path: Path) -> None:
    stop = threading.Event()

    def report(progress: Progress) -> None:
        if progress.phase is WorkPhase.MIGRATING and progress.done:
            stop.set()

    legacy = make(tmp_path / "larger.db", 4000)
    result = engine.migrate(
        legacy, options(legacy, batch_lock_ms=1, pause_ms=150), report=report, stop=stop, migrations=MIGRATIONS
    )
    assert result.ended is Ended.STOPPED
    versions = dict(execute(legacy, "SELECT app_version, count(*) FROM completion_requests GROUP BY 1"))
    assert set(versions) == {"1.0.0", NEWEST}
    assert result.run is not None
    again = engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert again.run is not None
    assert (again.ended, again.run.id, again.run.records_changed) == (Ended.DONE, result.run.id, 4000 * len(MIGRATIONS))
    assert engine.verify(legacy, migrations=MIGRATIONS) == ()


def test_no_time_at_all_stops_before_the_first_batch(legacy: Path) -> None:
    assert engine.migrate(legacy, options(legacy, max_seconds=0), migrations=MIGRATIONS).ended is Ended.STOPPED
    assert engine.migrate(legacy, options(legacy), migrations=MIGRATIONS).ended is Ended.DONE


@pytest.mark.parametrize(
    ("trigger", "check", "record_id"),
    [
        ("BEFORE UPDATE ON completion_requests WHEN old.id = 77 BEGIN SELECT RAISE(IGNORE); END", "left behind", 77),
        (
            "AFTER UPDATE OF app_version ON completion_requests WHEN old.id = 78 BEGIN "  # noqa: ISC004 -- one script
            "UPDATE completion_requests SET total_tokens = total_tokens + 1 WHERE id = 78; END",
            "raw",
            78,
        ),
        ("BEFORE UPDATE ON completion_requests WHEN old.id = 79 BEGIN SELECT RAISE(ABORT, 'no'); END", "formula", 79),
    ],
)
def test_a_file_that_interferes_is_caught_and_taken_back(
    tmp_path: Path, trigger: str, check: str, record_id: int
) -> None:
    path = make(tmp_path / "metrics.db", 300, script=f"CREATE TRIGGER meddler {trigger}")
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert result.ended is Ended.ROLLED_BACK
    assert (check, record_id) in {(fault.check, fault.record_id) for fault in result.faults}
    assert result.run is not None
    assert result.run.state is RunState.ROLLED_BACK
    assert str(record_id) in (result.run.error or "")
    assert engine.migrate(path, options(path, automatic=True), migrations=MIGRATIONS).ended is Ended.HELD, (
        "tried for ever"
    )


def _spoilt(expression: str) -> Migration:
    good = migrate_to_version_2_0_0()
    changes = (ColumnChange("tokens_per_second", expression), *good.changes[1:])
    return good._replace(changes=changes, distrusted="0")


@pytest.mark.parametrize(
    ("expression", "check"),
    [
        ("CASE WHEN total_tokens IS NOT NULL THEN total_tokens * 1000.0 / response_time_ms + 1e-9 END", "oracle"),
        ("CASE WHEN timestamp NOT LIKE '%000333%' THEN total_tokens * 1000.0 / response_time_ms END", "oracle"),
        ("CASE WHEN timestamp LIKE '%000333%' THEN abs(-9223372036854775808) ELSE 1.0 END", "formula"),
    ],
)
def test_a_wrong_formula_is_caught_and_every_bit_put_back(legacy: Path, expression: str, check: str) -> None:
    before = content(legacy)
    names = [name for (name,) in execute(legacy, "SELECT name FROM pragma_table_info('completion_requests')")]
    result = engine.migrate(legacy, options(legacy), migrations=(_spoilt(expression),))
    assert result.ended is Ended.ROLLED_BACK
    assert result.faults[0].check == check
    assert result.faults[0].record_id is not None
    assert content(legacy, names) == before
    assert engine.migrate(legacy, options(legacy), migrations=MIGRATIONS).ended is Ended.DONE, (
        "the right formula is another migration"
    )


def test_a_run_that_other_code_began_is_taken_back_and_done_by_this_code(legacy: Path) -> None:
    wrong = (_spoilt("42.0"),)
    assert engine.migrate(legacy, options(legacy, max_seconds=0), migrations=wrong).ended is Ended.STOPPED
    result = engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert result.ended is Ended.DONE
    assert [run.state for run in engine.history(legacy)] == [RunState.ROLLED_BACK, RunState.DONE]
    assert engine.verify(legacy, migrations=MIGRATIONS) == ()


def test_verify_names_a_record_that_does_not_follow_its_stamp(legacy: Path) -> None:
    engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    execute(legacy, "UPDATE completion_requests SET tokens_per_second = tokens_per_second * 2 WHERE id = 321")
    faults = engine.verify(legacy, migrations=MIGRATIONS)
    assert [(fault.check, fault.record_id) for fault in faults] == [("oracle", 321)]


def test_an_edited_migration_is_reported(legacy: Path) -> None:
    engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert engine.status(legacy, MIGRATIONS).edited == []
    assert engine.status(legacy, (_spoilt("1.0"),)).edited == ["2.0.0"]
    with pytest.raises(MigrationRefusedError, match="restore its backup"):
        engine.undo(legacy, options(legacy), migrations=(_spoilt("1.0"),))


@pytest.mark.parametrize("stamp", ["10.0.0", "2.1.1", "3.0.0-rc.1"])
def test_a_newer_stamp_is_refused_and_the_file_stays_as_it_is(tmp_path: Path, stamp: str) -> None:
    path = make(
        tmp_path / "metrics.db", 50, script=f"UPDATE completion_requests SET app_version = '{stamp}' WHERE id = 9"
    )
    before = path.read_bytes()
    with pytest.raises(NewerDatabaseError, match=stamp):
        engine.migrate(path, options(path), app_version="2.1.0", migrations=MIGRATIONS)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.db"]


def test_stamps_of_a_legacy_file_prove_nothing(tmp_path: Path) -> None:
    right = "tokens_per_second = total_tokens * 1000.0 / response_time_ms, timestamp = timestamp || 'Z'"
    path = make(
        tmp_path / "metrics.db",
        100,
        stamp="2.0.0",
        script=f"UPDATE completion_requests SET {right} WHERE id <= 40; UPDATE completion_requests SET "
        "app_version = CASE id % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'garbage' ELSE ' 2.0.0 ' END "
        "WHERE id > 80",
    )
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert result.run is not None
    assert result.ended is Ended.DONE
    tables = [f"migration_undo_{result.run.id}_{m.version.replace('.', '_')}" for m in MIGRATIONS]
    taken = [execute(path, f"SELECT count(*) FROM {table}") for table in tables]
    assert taken == [[(60,)], *[[(100,)]] * (len(MIGRATIONS) - 1)], "40 follow 2.0.0 as they say"
    assert result.run.records_changed == 100 * len(MIGRATIONS) - 40
    assert engine.verify(path, migrations=MIGRATIONS) == ()
    assert execute(path, "SELECT DISTINCT app_version FROM completion_requests") == [(NEWEST,)]


def test_a_writer_beside_it_keeps_its_records(legacy: Path) -> None:
    stop, written, failures = threading.Event(), [0], []

    def write() -> None:
        connection = apsw.Connection(str(legacy))
        connection.set_busy_timeout(30_000)
        try:
            while not stop.is_set():
                connection.execute("INSERT INTO completion_requests (model, app_version) VALUES ('beside', '2.1.0')")
                written[0] += 1
        except apsw.Error as error:  # told to the test below
            failures.append(error)
        finally:
            connection.close()

    def start(progress: Progress) -> None:
        if progress.phase is WorkPhase.MIGRATING and not thread.is_alive() and not stop.is_set():
            thread.start()

    thread = threading.Thread(target=write)
    try:
        result = engine.migrate(legacy, options(legacy, batch_lock_ms=1), report=start, migrations=MIGRATIONS)
    finally:
        stop.set()
        thread.join()
    assert (result.ended, failures) == (Ended.DONE, [])
    beside = execute(
        legacy, "SELECT count(*), count(DISTINCT app_version) FROM completion_requests WHERE model = 'beside'"
    )
    assert beside == [(written[0], 1)]
    assert written[0] > 0


def test_the_undo_entries_of_older_runs_are_dropped(legacy: Path) -> None:
    engine.migrate(legacy, options(legacy), migrations=CHAIN[:1], app_version="2.0.0")
    engine.migrate(legacy, options(legacy), migrations=CHAIN[:2], app_version="3.0.0")
    tables = [name for (name,) in execute(legacy, "SELECT name FROM sqlite_schema WHERE name GLOB 'migration_undo_*'")]
    assert tables == ["migration_undo_2_3_0_0"]


def test_the_last_of_many_disks_is_measured_first(legacy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = legacy.read_bytes()
    monkeypatch.setattr("llm_metrics_proxy.storage.disk_space.shutil.disk_usage", _nearly_full)
    needed = r"[\d.]+ [kM]B are needed in .*, where 1.0 kB are free \(.*roll-ups"
    with pytest.raises(MigrationRefusedError, match=needed):
        engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)
    assert legacy.read_bytes() == before


def _nearly_full(_path: Any) -> Any:
    class Usage:
        free, total = 1000, 100_000

    return Usage()


def test_an_empty_table_is_adopted_too(tmp_path: Path) -> None:
    path = make(tmp_path / "metrics.db", 0)
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.NOTHING_TO_DO


def test_no_file_is_nothing_to_do(tmp_path: Path) -> None:
    assert (
        engine.migrate(tmp_path / "none.db", options(tmp_path / "none.db"), migrations=MIGRATIONS).ended
        is Ended.NOTHING_TO_DO
    )
    assert list(tmp_path.iterdir()) == []


def _at(phase: WorkPhase, act: Callable[[], None]) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.phase is phase:
            act()

    return report


def test_a_stop_while_verifying_verifies_again(legacy: Path) -> None:
    stop = threading.Event()
    result = engine.migrate(
        legacy, options(legacy), report=_at(WorkPhase.VERIFYING, stop.set), stop=stop, migrations=MIGRATIONS
    )
    assert result.run is not None
    assert (result.ended, result.run.state) == (Ended.STOPPED, RunState.VERIFYING)
    assert engine.migrate(legacy, options(legacy), migrations=MIGRATIONS).ended is Ended.DONE


def test_bytes_that_are_no_text_are_kept_and_their_records_migrated(tmp_path: Path) -> None:
    broken = "CAST(x'ff30' AS TEXT)"
    path = make(
        tmp_path / "metrics.db",
        60,
        script=f"UPDATE completion_requests SET app_version = {broken} WHERE id IN (5, 6); "
        f"UPDATE completion_requests SET timestamp = {broken} WHERE id IN (6, 7); "
        f"UPDATE completion_requests SET total_tokens = {broken}, model = {broken} WHERE id = 8",
    )
    as_bytes = "SELECT id, CAST(timestamp AS BLOB), CAST(model AS BLOB), CAST(app_version AS BLOB), tokens_per_second "
    before = execute(path, f"{as_bytes} FROM completion_requests")
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert (result.ended, result.faults) == (Ended.DONE, ())
    assert result.run is not None
    assert result.run.from_versions == {"1.0.0": 58, "b'\\xff0'": 2}
    assert result.run.gaps == {"no_total_tokens": 3, "not_a_number": 1, "error_without_words": 3}
    assert engine.verify(path, migrations=MIGRATIONS) == ()
    assert engine.undo(path, options(path), migrations=MIGRATIONS).ended is Ended.UNDONE
    assert execute(path, f"{as_bytes} FROM completion_requests") == before


def test_an_undone_file_of_another_program_is_distrusted_again(tmp_path: Path) -> None:
    path = make(tmp_path / "metrics.db", 40, stamp="2.0.0")
    for _attempt in range(2):
        result = engine.migrate(path, options(path), migrations=MIGRATIONS)
        assert result.run is not None
        assert (result.ended, result.run.records_changed) == (Ended.DONE, 40 * len(MIGRATIONS))
        assert engine.verify(path, migrations=MIGRATIONS) == ()
        assert engine.undo(path, options(path), migrations=MIGRATIONS).ended is Ended.UNDONE
        assert engine.migrate(path, options(path, automatic=True), migrations=MIGRATIONS).ended is Ended.HELD


def test_an_origin_is_filled_from_text_alone(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    execute(path, "CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, timestamp, model, user, total_tokens)")
    execute(
        path, "INSERT INTO completion_requests (timestamp, user) VALUES ('2025-01-01', 'ann'), (NULL, 5), (1, x'00')"
    )
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert (result.ended, result.faults) == (Ended.DONE, ())
    assert execute(path, "SELECT origin, user FROM completion_requests") == [("ann", "ann"), (None, 5), (None, b"\0")]


def test_a_generated_column_may_follow_what_is_calculated(tmp_path: Path) -> None:
    more = "ALTER TABLE completion_requests ADD COLUMN doubled AS (tokens_per_second * 2)"
    path = make(tmp_path / "metrics.db", 20, script=more)
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    assert engine.undo(path, options(path), migrations=MIGRATIONS).faults == ()


def test_columns_in_capitals_are_the_same_columns(tmp_path: Path) -> None:
    path = make(tmp_path / "metrics.db", 20)
    execute(path, "UPDATE completion_requests SET app_version = '2.0.0' WHERE id > 10")
    for (name,) in execute(path, "SELECT name FROM pragma_table_info('completion_requests')"):
        execute(path, f'ALTER TABLE completion_requests RENAME COLUMN "{name}" TO "{name.upper()}"')
    names = ("timestamp", "success", "response_time_ms", "model", "tokens_per_second", "app_version", "extra")
    before = content(path, names)
    assert engine.status(path, MIGRATIONS, app_version=APP_VERSION).records_by_version == {"1.0.0": 10, "2.0.0": 10}
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    assert engine.verify(path, migrations=MIGRATIONS) == ()
    assert engine.undo(path, options(path), migrations=MIGRATIONS).faults == ()
    assert content(path, names) == before


def test_what_columns_make_text_of_is_calculated_with_and_kept_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    execute(
        path,
        "CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, timestamp TEXT, model NUM, success TEXT, "
        "total_tokens TEXT, response_time_ms TEXT, tokens_per_second TEXT)",
    )
    execute(
        path,
        "INSERT INTO completion_requests (timestamp, model, success, total_tokens, response_time_ms, "
        "tokens_per_second) VALUES ('2025-03-01T12:00:00', '007', 1, 100, 300.75, 0.1), "
        "('2025-03-01T12:00:01', 'm', 1, 'many', 300, NULL)",
    )
    kept = ("model", "success", "total_tokens", "response_time_ms")
    before, raw = content(path), content(path, kept)
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    reader = SqliteReader(path)
    rates = reader.query("SELECT model, tokens_per_second, recompute_reason FROM completion_requests ORDER BY id")
    reader.close()
    assert rates == [("7", 100 * 1000 / 300.75, None), ("m", None, "not_a_number")]
    assert content(path, kept) == raw
    assert engine.verify(path, migrations=MIGRATIONS) == ()
    assert engine.undo(path, options(path), migrations=MIGRATIONS).faults == ()
    names = ("id", "timestamp", *kept, "tokens_per_second")
    assert content(path, names) == before


def test_a_run_that_an_unknown_version_began_is_left_to_it(legacy: Path) -> None:
    unknown = (*CHAIN[:-1], CHAIN[-1]._replace(version="99.0.0"))
    engine.migrate(legacy, options(legacy, max_seconds=0), migrations=unknown, app_version="99.0.0")
    with pytest.raises(MigrationRefusedError, match=r"Run 1 to 99\.0\.0 was begun by 99\.0\.0"):
        engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)


def test_two_links_to_a_database_are_one_lock(legacy: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(legacy)
    with migration_lock(link), pytest.raises(MigrationRefusedError, match=r"holds metrics\.db\.migration-lock"):
        engine.migrate(legacy, options(legacy), migrations=MIGRATIONS)


def test_values_that_break_their_tables_rules_are_odd_but_no_damage(tmp_path: Path) -> None:
    script = (
        "PRAGMA ignore_check_constraints = 1; CREATE TABLE checked (x CHECK (x > 0)); INSERT INTO checked VALUES (-1)"
    )
    path = make(tmp_path / "metrics.db", 20, script=script)
    assert execute(path, "PRAGMA integrity_check") == [("CHECK constraint failed in checked",)]
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    assert engine.undo(path, options(path), migrations=MIGRATIONS).faults == ()
