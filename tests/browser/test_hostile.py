"""Names that were chosen to do harm are text, everywhere, and break no layout."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Final

import pytest
from playwright.sync_api import expect

from tests.browser.browsing import DESKTOP, PHONE, VIEWS, overflow_px
from tests.browser.conftest import Open
from tests.browser.records import HOSTILE, a_day, hostile, write
from tests.browser.served import served

COLUMNS: Final = "timestamp,model,origin,user,error_message"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Over records of which some are hostile."""
    folder, now = tmp_path_factory.mktemp("hostile"), datetime.now(UTC)
    write(folder / "metrics.db", chain(a_day(20, now), hostile(now)))
    with served(folder) as found:
        yield found


def test_every_view_shows_them_as_text(open_at: Open, address: str) -> None:
    visit = open_at(address)
    for path in VIEWS:
        page = visit.go(path, range="all", **({"columns": COLUMNS} if path == "/requests" else {}))
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            assert overflow_px(page) == 0, (path, size)
            assert "taken" not in page.title()
            assert page.locator("img, .main script").count() == 0
            wide = page.evaluate(
                "[...document.querySelectorAll('.main *')].filter((one) => one.matches('.name, .chip, dt, h2')"
                " && one.getBoundingClientRect().width > document.documentElement.clientWidth).length"
            )
            assert wide == 0, (path, size)
        page.set_viewport_size(DESKTOP)


def test_they_can_be_filtered_by_and_looked_at(open_at: Open, address: str) -> None:
    visit = open_at(address)
    page = visit.go("/requests", range="all", columns=COLUMNS, model=HOSTILE[0])
    expect(page.locator(".chip b")).to_have_text(HOSTILE[0])
    rows = page.locator(".requests .body .tr")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text(HOSTILE[0])
    rows.first.get_by_role("button").click()
    expect(page.locator("dialog .facts")).to_contain_text(HOSTILE[0])
    assert "taken" not in page.title()


def test_a_direction_of_writing_ends_with_its_name(open_at: Open, address: str) -> None:
    page = open_at(address).go("/models", range="all")
    names = page.locator(".compared .name")
    assert names.count() > len(HOSTILE)
    assert set(names.evaluate_all("(found) => found.map((one) => getComputedStyle(one).unicodeBidi)")) == {"isolate"}
