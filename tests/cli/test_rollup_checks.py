from pathlib import Path
from random import Random

import apsw
import pytest
from tools.fingerprint import GOLDEN

from llm_metrics_proxy.cli.finding import CheckStatus
from llm_metrics_proxy.cli.rollup_checks import rollups
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.rollups.state import NOTHING
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.rollup_state import reset
from llm_metrics_proxy.storage.sqlite import SqliteStore
from llm_metrics_proxy.upkeep import Retention, Upkeep, Worked
from tests.rollups.records import a_row_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path, random = tmp_path / "metrics.db", Random(6)
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[a_row_of(random) for _ in range(100)]))
    store.close()
    upkeep = Upkeep(path, Retention(), batch_lock_ms=50, unix_s=lambda: 0.0)
    while upkeep.step(leftovers=True) is not Worked.NOTHING:
        pass
    upkeep.close()
    return path


def settings_of(path: Path) -> Settings:
    return Settings(db_path=path)


def execute(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


def test_roll_ups_are_what_the_records_say(path: Path) -> None:
    found = rollups(settings_of(path))
    assert found.status is CheckStatus.OK
    assert "2026-03-28, 2026-03-29" in found.found


def test_those_of_an_older_version_are_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    path.write_bytes((GOLDEN / "4.4.0.db").read_bytes())
    found = rollups(settings_of(path))
    assert (found.status, "an older version" in found.found) == (CheckStatus.OK, True)


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("UPDATE rollups SET requests = requests + 1 WHERE grain = 1", "counts differ"),
        ("UPDATE completion_requests SET response_time_ms = response_time_ms * 2", "differ"),
        ("UPDATE rollups SET ones = x'' WHERE grain = 11", "sums differ"),
        ("DELETE FROM rollups WHERE grain = 5 AND level = 1", "0 rows are stored"),
        ("DELETE FROM rollup_sketches WHERE grain = 2", "sketches differ"),
        ("DELETE FROM completion_requests WHERE arrival = 50", "differ|should be"),
        ("DELETE FROM rollups WHERE bucket >= 1774742400", "2026-03-29: grain 0, level 0: 0 rows are stored"),
        ("DELETE FROM completion_requests WHERE timestamp >= '2026-03-29T'", "rows are stored, and no record is"),
    ],
)
def test_whatever_is_wrong_is_found(path: Path, sql: str, word: str) -> None:
    execute(path, sql)
    found = rollups(settings_of(path))
    assert found.status is CheckStatus.FAILED
    assert any(each in found.found for each in word.split("|")), found.found


def test_while_they_are_being_made_there_is_nothing_to_compare(path: Path) -> None:
    connection = apsw.Connection(str(path))
    reset(connection)
    connection.close()
    found = rollups(settings_of(path))
    assert found.status is CheckStatus.OK
    assert "being made" in found.found
    upkeep = Upkeep(path, Retention(), batch_lock_ms=50, unix_s=lambda: 0.0)
    while upkeep.step(leftovers=True) is Worked.CLEARED:
        pass  # the last step rolls up the first records again
    upkeep.close()
    execute(path, f"UPDATE rollup_state SET cursor_id = {NOTHING}; DELETE FROM rollups; DELETE FROM rollup_sketches")
    assert "being made" in rollups(settings_of(path)).found


def test_a_file_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert rollups(settings_of(tmp_path / "none.db")).status is CheckStatus.OK


def test_a_foreign_file_is_the_business_of_another_check(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database")
    assert rollups(settings_of(tmp_path / "text.db")).status is CheckStatus.WARNING
