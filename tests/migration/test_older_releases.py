"""After an undo, the release that wrote a file opens it again, and answers of old records and of those since.

The releases run from their own source (``tests/older_releases.py``); a checkout without that history skips them.
"""

import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
from semver import Version

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests.analytics.database import Database, a_record
from tests.migration.databases import execute, options
from tests.older_releases import DATABASES, Release, ReleaseMissingError

pytestmark = pytest.mark.system

VERSIONS: Final = sorted(
    (
        path.stem
        for path in DATABASES.glob("*.db")
        if re.fullmatch(r"[0-9.]+", path.stem) and Version.parse(path.stem).major < 5  # those of an older layout
    ),
    key=Version.parse,
)
NOT_OURS: Final = frozenset({"1.0.0"})  # another code base, of which there is no history here
NEW_RECORDS: Final = 3


@pytest.fixture
def release(version: str, tmp_path: Path) -> Release:
    if version in NOT_OURS:
        pytest.skip(f"{version} was another code base, whose source is not in this history")
    try:
        return Release(version, tmp_path / "release")
    except ReleaseMissingError as error:
        pytest.skip(str(error))


@pytest.fixture
def copy(version: str, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return shutil.copyfile(DATABASES / f"{version}.db", folder / "metrics.db")


def schema(path: Path) -> list[Any]:
    """Everything that the file defines, to the letter."""
    return execute(path, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")


def rows(path: Path) -> dict[int, tuple[Any, ...]]:
    """Every record by its id: each value as SQL writes it, which tells storage classes and bits apart."""
    names = [name for (name,) in execute(path, "SELECT name FROM pragma_table_info('completion_requests')")]
    values = ", ".join(f"""typeof("{name}"), quote("{name}")""" for name in names)
    return {found[0]: tuple(found[1:]) for found in execute(path, f"SELECT id, {values} FROM completion_requests")}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_release_answers_after_an_undo(version: str, release: Release, copy: Path) -> None:
    layout, values = schema(copy), rows(copy)
    before, summary_before = release.records(copy), release.summary(copy)
    layout_as_opened = schema(copy)  # readers of a release leave a file as it is
    assert layout_as_opened == layout
    assert engine.migrate(copy, options(copy), migrations=MIGRATIONS).ended is Ended.DONE
    new = [a_record(number, model="new-one") for number in range(NEW_RECORDS)]
    database = Database(copy.parent)
    database.add(*new, app_version=APP_VERSION)
    database.reader.close()
    database.store.close()
    assert engine.undo(copy, options(copy), migrations=MIGRATIONS).ended is Ended.UNDONE

    after, summary_after = release.records(copy), release.summary(copy)
    arrived = {record.request_id for record in new}
    assert [record for record in after if record["request_id"] not in arrived] == before
    assert {record["request_id"] for record in after if record["model"] == "new-one"} == arrived
    assert summary_after["requests"] == summary_before["requests"] + NEW_RECORDS
    assert {id_: found for id_, found in rows(copy).items() if id_ in values} == values
    assert set(layout) <= set(schema(copy))
    wanted = {"prompt_tokens": 10, "completion_tokens": 101, "response_time_ms": 1125.0, "outcome": "completed"}
    for record in after:
        if record["request_id"] in arrived:
            assert {name: record[name] for name in wanted} == wanted
