"""320 CSS pixels: what is long, and what opens, fits. Every view in every language is in ``test_words_fit``."""

from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browsing import NARROW, VIEWS, overflow_px, sideways
from tests.browser.conftest import Open
from tests.browser.records import a_day, hostile, write
from tests.browser.served import served
from tests.browser.test_looks import LANGUAGES

ALL: Final = "all"
# The drawer slides in: it is measured where it comes to rest.
_STANDS: Final = """() => document.querySelector(".side").getAnimations()
  .every((one) => one.playState !== "running")"""


def assert_fits(page: Page) -> None:
    assert (overflow_px(page), sideways(page)) == (0, [])


def test_names_and_ranges_that_are_long_fit(open_at: Open, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    write(tmp_path / "metrics.db", chain(a_day(50, now), hostile(now)))
    with served(tmp_path) as address:
        visit = open_at(address, viewport=NARROW)
        for path in VIEWS:
            assert_fits(visit.go(path, range=ALL, model="W" * 256, user="W" * 256))
            assert_fits(visit.go(path, range="2026-01-01T00:00:00Z..2026-12-31T23:59:59Z"))


@pytest.mark.parametrize("language", ["en", "de", "ja", "ru"])  # long words, and none that end
def test_everything_that_opens_fits(open_at: Open, site: str, language: str) -> None:
    visit = open_at(site, viewport=NARROW, locale=language)
    page = visit.go("/requests", range=ALL)
    for key in ("Control+k", "?"):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_visible()
        assert_fits(page)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator(".drawer-button").click()
    expect(page.locator(".side")).to_be_visible()
    page.wait_for_function(_STANDS)
    assert_fits(page)
    page.keyboard.press("Escape")
    page.locator(".range-menu summary").click()
    page.locator(".range-menu button").last.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_fits(page)
    page.keyboard.press("Escape")
    for menu in page.locator(".menu > summary").all():
        menu.click()
        assert_fits(page)
        menu.click()
    page.locator("#add-filter").click()
    expect(page.locator(".chips form")).to_be_visible()
    assert_fits(page)
    page.locator(".requests .body .link").first.click()
    expect(page.locator("dialog .facts")).to_be_visible()
    assert_fits(page)
    page.keyboard.press("Escape")
    visit.go("/", range=ALL)
    for menu in page.locator(".menu > summary").all():
        menu.click()
        assert_fits(page)
        menu.click()
    for kind in ("bar", "heatmap", "histogram", "ranking"):
        visit.go("/explore", range=ALL, metric="response_time_ms.p50", by="model", **{"as": kind})
        assert_fits(page)
    visit.go("/clients", range=ALL, by="tag:team")
    assert_fits(page)


def test_signing_in_fits_in_every_language(open_at: Open, tmp_path: Path) -> None:
    write(tmp_path / "metrics.db", a_day(5, datetime.now(UTC)))
    with served(tmp_path, token="a-token-of-this-test") as address:
        page = open_at(address, viewport=NARROW, tolerates=lambda text: "401" in text or "429" in text).page
        for language in LANGUAGES:
            page.add_init_script(f"localStorage.setItem('language', '{language}')")
            page.goto(address)
            expect(page.locator(f"html[lang={language}] .signin input")).to_be_visible()
            assert_fits(page)
            page.locator(".signin input").fill("wrong")
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert")).to_be_visible()
            assert_fits(page)


def test_the_page_of_the_api_fits(open_at: Open, site: str) -> None:
    page = open_at(site, viewport=NARROW).page
    page.goto(f"{site}/docs")
    expect(page.locator("h1").first).to_be_visible()
    assert_fits(page)
