"""A database that is being migrated says so in every view, with how far it is."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.records import a_day, write
from tests.browser.served import served

RECORDS: Final = 4_000
_SLOW: Final = ("--migration-batch-lock-ms", "1", "--migration-pause-ms", "2000")  # minutes: it does not end under us


@pytest.fixture
def migrating(tmp_path: Path) -> Iterator[str]:
    """Over records of 2.0.0, which this program brings to its own version as slowly as it can."""
    path = tmp_path / "metrics.db"
    write(path, a_day(RECORDS, datetime.now(UTC)))
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE completion_requests SET app_version = '2.0.0'")
    connection.close()
    with served(tmp_path, *_SLOW) as address:
        yield address


def not_yet(text: str) -> bool:
    """What Chromium says of answers while the database is being opened for the migration; the page asks again."""
    return "503" in text


def test_a_migration_in_progress_is_shown_and_numbers_are_marked(open_at: Open, migrating: str) -> None:
    visit = open_at(migrating, tolerates=not_yet)
    page = visit.go("/", range="all")
    note = page.locator(".note[data-phase=migrating]")
    expect(note).to_contain_text("Meanwhile requests pass and are recorded")
    expect(note.locator("progress")).to_be_visible()
    expect(note).to_contain_text("Older records are being carried over, the newest first")
    page.get_by_role("link", name="Versions").click()
    expect(note).to_be_visible()
