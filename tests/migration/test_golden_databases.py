"""Databases that released programs left behind: this program adopts them, migrates them, proves it, and goes back.

``tests/fixtures/databases/README.md`` says how each was made. They are never made anew: what was released, was.
"""

import re
import shutil
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, Final

import pytest
from tools import fingerprint

from llm_metrics_proxy.metrics_service import APP_VERSION, derive
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended
from llm_metrics_proxy.migration.planner import plan
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests.analytics.database import Database, a_record
from tests.migration.databases import content, execute, options

FOLDER: Final = Path(__file__).parents[1] / "fixtures" / "databases"
GOLDEN: Final = sorted(FOLDER.glob("*.db"))
CALCULATED: Final = {
    "tokens_per_second", "app_version", "recompute_reason", "success", "outcome", "error_type", "error_category",
    "error_phase",
}  # fmt: skip
_MACHINE: Final = re.compile(r"(?:^|[\s\"'=(:])/(?:home|root|tmp|usr|var|opt|mnt|srv|Users|work)/")

each = pytest.mark.parametrize("golden", GOLDEN, ids=[path.stem for path in GOLDEN])


@pytest.fixture
def copy(golden: Path, tmp_path: Path) -> Path:
    """The golden database as a user has it: a file named metrics.db that may be written to."""
    return shutil.copyfile(golden, tmp_path / "metrics.db")


@each
def test_every_record_follows_the_formulas_of_this_program(copy: Path) -> None:
    records = execute(copy, "SELECT count(*) FROM completion_requests")
    result = engine.migrate(copy, options(copy), migrations=MIGRATIONS)
    assert result.ended in {Ended.DONE, Ended.NOTHING_TO_DO}, result
    assert result.faults == ()
    assert engine.verify(copy, migrations=MIGRATIONS) == ()
    assert not engine.status(copy, MIGRATIONS).has_work
    rows = execute(
        copy, "SELECT total_tokens, response_time_ms, tokens_per_second, app_version FROM completion_requests"
    )
    assert len(rows) == records[0][0]
    for tokens, duration_ms, rate, stamp in rows:
        assert stamp in {*fingerprint.released(), APP_VERSION}
        assert not is_older(stamp, MIGRATIONS[-1].version)
        assert rate == _expected(tokens, duration_ms), (tokens, duration_ms)


@each
def test_a_migration_leaves_what_was_observed_as_it_was(copy: Path) -> None:
    names = [name for name in _columns(copy) if name not in CALCULATED | {"id", "timestamp", "timestamp_original"}]
    times = execute(copy, "SELECT id, timestamp FROM completion_requests ORDER BY id")
    before = content(copy, names)
    assert engine.migrate(copy, options(copy), migrations=MIGRATIONS).ended in {Ended.DONE, Ended.NOTHING_TO_DO}
    Database(copy.parent).store.close()  # a database that had nothing to do gets its newest columns here
    assert content(copy, names) == before
    kept = "SELECT id, iif(timestamp_original IS NULL, timestamp, timestamp_original) FROM completion_requests"
    assert execute(copy, f"{kept} ORDER BY id") == times


@each
def test_undo_gives_it_back_and_new_records_stay(copy: Path) -> None:
    names = [name for name in _columns(copy) if name != "id"]
    before = content(copy, names)
    ended = engine.migrate(copy, options(copy), migrations=MIGRATIONS).ended
    Database(copy.parent).add(a_record(), app_version=APP_VERSION)
    assert len(content(copy, ["model"])) == len(before) + 1
    if ended is Ended.DONE:
        assert content(copy, names, through_id=max(before)) != before
        result = engine.undo(copy, options(copy), migrations=MIGRATIONS)
        assert (result.ended, result.faults, result.conflicts) == (Ended.UNDONE, (), ())
    assert content(copy, names, through_id=max(before)) == before
    assert execute(copy, "SELECT app_version FROM completion_requests ORDER BY id DESC LIMIT 1") == [(APP_VERSION,)]


@each
def test_what_was_taken_back_can_be_done_again(copy: Path) -> None:
    first = engine.migrate(copy, options(copy), migrations=MIGRATIONS)
    after = content(copy, _columns(copy))
    if first.ended is Ended.DONE:
        engine.undo(copy, options(copy), migrations=MIGRATIONS)
        again = engine.migrate(copy, options(copy), migrations=MIGRATIONS)
        assert (again.ended, again.faults) == (Ended.DONE, ())
    assert content(copy, _columns(copy)) == after


@each
def test_it_says_nothing_of_the_machine_that_made_it(golden: Path, copy: Path) -> None:
    for text in _texts(copy):
        assert not _MACHINE.search(text), f"{golden.name}: {text!r}"
    if "backend" in _columns(copy):
        for (backend,) in execute(copy, "SELECT DISTINCT backend FROM completion_requests"):
            assert backend is None or re.fullmatch(r"127\.0\.0\.1:\d+", backend)
    assert not [path.name for path in FOLDER.iterdir() if path.suffix not in {".db", ".md"}], "side files"


def test_the_search_for_a_machine_s_paths_finds_them() -> None:
    found = [
        text for text in ("/root/x", "in /home/me/a.db", "file:/tmp/x", "/v1/models", "a/b/") if _MACHINE.search(text)
    ]
    assert found == ["/root/x", "in /home/me/a.db", "file:/tmp/x"]


def test_every_golden_database_is_explained() -> None:
    page = (FOLDER / "README.md").read_text()
    assert GOLDEN
    for path in GOLDEN:
        assert f"`{path.name}`" in page


def _expected(tokens: Any, duration_ms: Any) -> Any:
    """By the formula of this program; what is no number at all counts as missing."""
    if not isinstance(tokens, int | float) or not isinstance(duration_ms, int | float) or not isfinite(duration_ms):
        return None
    record = RequestRecord(request_id="", timestamp="", method="", endpoint="", response_time_ms=float(duration_ms))
    record.total_tokens = tokens  # type: ignore[assignment]  # older files hold fractions of tokens, too
    rate, *_ = derive(record)
    return pytest.approx(rate, rel=1e-15) if isinstance(rate, float) and isfinite(rate) else None


def _columns(path: Path) -> list[str]:
    """Their names, ready to stand between quotes: one of these programs' columns has a quote in its name."""
    names = execute(path, "SELECT name FROM pragma_table_info('completion_requests')")
    return [name.replace('"', '""') for (name,) in names]


def _texts(path: Path) -> Iterator[str]:
    for (table,) in execute(path, "SELECT name FROM sqlite_schema WHERE type = 'table'"):
        for row in execute(path, f'SELECT * FROM "{table}"'):
            for value in row:
                if isinstance(value, str | bytes):
                    yield value if isinstance(value, str) else value.decode(errors="replace")


@each
def test_a_plan_says_beforehand_how_many_records_the_run_changes(copy: Path) -> None:
    found = plan(copy, backup_dir=copy.parent / "backups", migrations=MIGRATIONS)
    assert (found.refusal, found.faults) == (None, ())
    result = engine.migrate(copy, options(copy), migrations=MIGRATIONS)
    changed = result.run.records_changed if result.run is not None else 0
    assert sum(step.records for step in found.steps) == changed
    assert found.nothing_to_do == (result.ended is Ended.NOTHING_TO_DO)
