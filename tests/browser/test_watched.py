"""Objectives and alerts: how they stand is in the settings, and what fires is on the first view."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import pytest
from playwright.sync_api import expect

from tests.browser.browsing import PHONE, Visit, overflow_px
from tests.browser.conftest import Open
from tests.browser.records import a_day, write
from tests.browser.served import served

_FILE: Final = """
watch_interval_s = 1

[[slos]]
name = "fast-first-token"
require = "time_to_first_token_ms < 60000"
objective = 0.5
window = "2d"
streaming = true

[[slos]]
name = "nobody-fails"
objective = 0.9999
window = "2d"

[[slos]]
name = "of-a-model-that-nobody-asks"
objective = 0.9
model = "none"

[[alerts]]
name = "somebody-asks"
metric = "requests"
threshold = 1
window = "2d"
for_duration = "0s"

[[alerts]]
name = "slow"
metric = "response_time_ms.p95"
threshold = 3600000
window = "2d"
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("watched")
    write(folder / "metrics.db", a_day(500, datetime.now(UTC)))
    (folder / "settings.toml").write_text(_FILE)
    with served(folder, "--config", str(folder / "settings.toml")) as address:
        yield address


def test_settings_say_how_objectives_stand_and_what_is_left_of_their_budgets(open_at: Open, watched: str) -> None:
    page = open_at(watched).go("/settings")
    rows = page.locator(".card", has=page.get_by_role("heading", name="Service level objectives")).locator("tbody tr")
    expect(rows).to_have_count(3)
    met, missed, unknown = (rows.nth(index) for index in range(3))
    expect(met).to_contain_text("Met")
    expect(met).to_contain_text("streaming=true")
    expect(met.locator("meter")).to_be_visible()
    expect(missed).to_contain_text("Missed")
    expect(missed.locator("td").nth(1)).to_contain_text("99.99%")
    expect(missed.locator("td").nth(3)).to_contain_text(re.compile(r"^-\d"))  # more than all of it was used
    expect(unknown).to_contain_text("Not known")
    expect(unknown.locator("td").nth(2)).to_contain_text("\u2013")
    page.set_viewport_size(PHONE)
    assert overflow_px(page) == 0


def test_what_fires_is_told_without_a_click(open_at: Open, watched: str) -> None:
    page = open_at(watched).go("/")
    expect(page.locator(".firing")).to_contain_text("somebody-asks")
    page.get_by_role("link", name="Settings").click()
    rows = page.locator(".card", has=page.get_by_role("heading", name="Alerts")).locator("tbody tr")
    expect(rows.nth(0)).to_contain_text("Firing")
    expect(rows.nth(0)).to_contain_text("requests > 1")
    expect(rows.nth(1)).to_contain_text("Quiet")
    expect(rows.nth(1)).to_contain_text("1 hr")


def test_where_nothing_is_watched_it_says_how_to(visit: Visit) -> None:
    page = visit.go("/settings")
    expect(page.get_by_role("region", name="Service level objectives")).to_contain_text("[[slos]]")
    expect(page.get_by_role("region", name="Alerts", exact=True)).to_contain_text("[[alerts]]")
