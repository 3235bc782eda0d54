"""Databases that released programs left behind: this program carries their records over, and proves it.

``test_there_and_back`` undoes it again.

``tests/fixtures/databases/README.md`` says how each was made. They are never made anew: what was released, was.
"""

import json
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
from tests.migration.databases import execute, options

FOLDER: Final = Path(__file__).parents[1] / "fixtures" / "databases"
GOLDEN: Final = sorted(FOLDER.glob("*.db"))
_MACHINE: Final = re.compile(r"(?:^|[\s\"'=(:])/(?:home|root|tmp|usr|var|opt|mnt|srv|Users|work)/")

OLDER: Final = [path for path in GOLDEN if int(path.stem[0]) < 5]  # of an older layout

each = pytest.mark.parametrize("golden", GOLDEN, ids=[path.stem for path in GOLDEN])
each_older = pytest.mark.parametrize("golden", OLDER, ids=[path.stem for path in OLDER])


@pytest.fixture
def copy(golden: Path, tmp_path: Path) -> Path:
    """The golden database as a user has it: a file named metrics.db that may be written to."""
    return shutil.copyfile(golden, tmp_path / "metrics.db")


@each_older
def test_every_record_follows_the_formulas_of_this_program(copy: Path) -> None:
    records = execute(copy, "SELECT count(*) FROM completion_requests")
    result = engine.migrate(copy, options(copy), migrations=MIGRATIONS)
    assert result.ended is Ended.DONE, result
    assert result.faults == ()
    assert engine.verify(copy, migrations=MIGRATIONS) == ()
    assert not engine.status(copy, MIGRATIONS).has_work
    rows = execute(
        copy,
        "SELECT total_tokens, response_time_ms, tokens_per_second, app_version, unfit_values FROM completion_requests",
    )
    assert len(rows) == records[0][0]
    for stored, duration_ms, rate, stamp, unfit in rows:
        # a formula sees what the older table held, also where that does not fit the column here
        tokens = _meant(json.loads(unfit).get("total_tokens")) if unfit and stored is None else stored
        assert stamp in {*fingerprint.released(), APP_VERSION}
        assert not is_older(stamp, MIGRATIONS[-1].version)
        assert rate == _expected(tokens, duration_ms), (tokens, duration_ms)


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


def _meant(literal: str | None) -> float | None:
    """The number that a literal of SQL is."""
    try:
        return None if literal is None else float(literal)
    except ValueError:
        return None


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


@each_older
def test_a_plan_says_beforehand_how_many_records_the_run_carries_over(copy: Path) -> None:
    found = plan(copy, backup_dir=copy.parent / "backups", migrations=MIGRATIONS)
    assert (found.refusal, found.faults, found.nothing_to_do) == (None, (), False)
    result = engine.migrate(copy, options(copy), migrations=MIGRATIONS)
    assert result.run is not None
    assert found.records == result.run.records_changed == result.run.records_total
