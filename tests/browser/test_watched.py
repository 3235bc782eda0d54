"""Objectives and alerts: how they stand is in the settings, and what fires is on the first view."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.browser.browsing import PHONE, Visit, overflow_px
from tests.browser.conftest import Open
from tests.browser.records import a_day, write
from tests.browser.served import served
from tests.browser.test_looks import LANGUAGES
from tests.messages import messages

ROOT: Final = Path(__file__).parents[2]
SLO: Final[dict[str, object]] = {
    "name": "new", "require": "completed", "objective": 0.9, "window_s": 60, "filter": {}, "burn_rate_1h": None,
}  # fmt: skip
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
    expect(unknown).to_contain_text("Unknown")
    expect(unknown.locator("td").nth(2)).to_contain_text("\u2013")
    page.set_viewport_size(PHONE)
    assert overflow_px(page) == 0


def test_what_fires_is_told_without_a_click(open_at: Open, watched: str) -> None:
    page = open_at(watched).go("/")
    expect(page.get_by_role("link", name="Firing: somebody-asks")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    rows = page.locator(".card", has=page.get_by_role("heading", name="Alerts")).locator("tbody tr")
    expect(rows.nth(0)).to_contain_text("Firing")
    expect(rows.nth(0)).to_contain_text("requests > 1")
    expect(rows.nth(1)).to_contain_text("Quiet")
    expect(rows.nth(1)).to_contain_text("1 hr")


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_well_while_an_objective_is_missed(open_at: Open, watched: str, language: str) -> None:
    """The worst of health, objectives and alerts stands above all numbers, with the way to it."""
    page = open_at(watched, locale=language).go("/")
    line = page.locator(".health")
    expect(line.locator(".dot.bad")).to_be_visible()
    expect(line.locator(".dot.good")).to_have_count(0)
    missed = line.get_by_role("link").filter(has_text="nobody-fails")
    expect(missed).to_be_visible()
    expect(line).not_to_contain_text("fast-first-token")
    expect(line).not_to_contain_text("of-a-model-that-nobody-asks")
    said = line.inner_text()
    missed.click()
    expect(page.locator(".watched").first).to_contain_text("nobody-fails")
    assert urlsplit(page.url).path == "/settings"
    assert well(language) not in said


def well(language: str) -> str:
    """What a language says where all is."""
    return messages()["health.ok"][language]


def test_nothing_is_well_before_objectives_were_measured_or_when_they_cannot_be(open_at: Open, watched: str) -> None:
    unmeasured = {"met": None, "measured_at": None, "good_ratio": None, "error_budget_left": None, "requests": 0}
    for error, seen in ((None, "Loading"), ("the database is locked", "Something needs attention")):
        page = open_at(watched).page
        page.route("**/api/v1/alerts", lambda route: route.fulfill(json={"alerts": []}))
        page.route("**/api/v1/slos", answering([{**SLO, **unmeasured, "error": error}]))
        page.goto(watched)
        expect(page.locator(".health")).to_contain_text(seen)
    page = open_at(watched, tolerates=lambda text: "500" in text).page
    page.route("**/api/v1/alerts", lambda route: route.fulfill(json={"alerts": []}))
    failed = {"error": {"type": "internal_error", "message": "no numbers"}}
    page.route("**/api/v1/slos", lambda route: route.fulfill(status=500, json=failed))
    page.goto(watched)
    expect(page.locator(".health")).to_contain_text("Something needs attention")
    expect(page.locator(".health")).to_contain_text("no numbers")


def answering(slos: list[dict[str, object]]) -> Callable[[Route], None]:
    """A route that gives these objectives."""
    return lambda route: route.fulfill(json={"slos": slos})


def test_where_nothing_is_watched_it_says_how_to(visit: Visit) -> None:
    page = visit.go("/settings")
    expect(page.get_by_role("region", name="Service level objectives")).to_contain_text("[[slos]]")
    expect(page.get_by_role("region", name="Alerts", exact=True)).to_contain_text("[[alerts]]")
