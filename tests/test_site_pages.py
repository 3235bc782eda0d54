"""How-to pages whose commands and code are run as they stand: upgrade and undo, coding agents."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from llm_metrics_proxy.analytics.filters import stored_time
from tests.analytics.database import Database, a_record
from tests.migration.databases import content, execute
from tests.walks import Block, follow, walk

pytestmark = pytest.mark.system

ROOT: Final = Path(__file__).parents[1]
HOWTO: Final = ROOT / "docs" / "howto"
GOLDEN: Final = ROOT / "tests" / "fixtures" / "databases" / "1.0.0.db"


def page(name: str) -> str:
    return (HOWTO / name).read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path


def test_an_upgrade_is_looked_at_done_checked_and_undone(folder: Path) -> None:
    database = folder / "data" / "metrics.db"
    shutil.copy(GOLDEN, database)
    look, by_hand, check, run, undo, listed = walk(page("upgrade-and-undo.md"))
    assert "Nothing was written" in follow(look, folder, {})
    follow(by_hand, folder, {})
    assert content(database) == content(GOLDEN)
    follow(Block("llm-metrics-proxy migrate run", None), folder, {})  # as the start of the new program does
    follow(check, folder, {})
    assert execute(database, "SELECT DISTINCT app_version FROM completion_requests") != [("1.0.0",)]
    assert "nothing" in follow(run, folder, {}).lower()
    follow(undo, folder, {})
    names = [name for (name,) in execute(GOLDEN, "SELECT name FROM pragma_table_info('completion_requests')")]
    assert content(database, names) == content(GOLDEN, names)
    assert "metrics" in follow(listed, folder, {})


@pytest.fixture
def recorded(folder: Path) -> Iterator[Database]:
    """Some records of today."""
    opened = Database(folder / "data")
    now = stored_time(datetime.now(UTC))
    opened.add(*(a_record(number, timestamp=now, session_id="one", app="Codex") for number in range(5)))
    yield opened
    opened.close()


def test_questions_about_agents_can_be_asked_as_they_stand(folder: Path, recorded: Database) -> None:
    said = [follow(block, folder, {}) for block in walk(page("coding-agents.md"))]
    assert "one" in said[0]
    assert "Codex" in said[0]
