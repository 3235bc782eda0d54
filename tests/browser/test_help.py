"""The documentation as an installation serves it: with search, from this host alone, under a strict policy."""

from typing import Final

import pytest
from playwright.sync_api import Page, expect

from llm_metrics_proxy import handbook
from tests.browser.browsing import NARROW, Visit
from tests.browser.conftest import Open
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(not (handbook.SITE / "index.html.gz").exists(), reason="make docs builds it")
PAGES: Final = ("index", "tutorial/first-hour", "settings", "reference/api", "howto/air-gapped")


def went_to_the_first(page: Page) -> bool:
    """Whether Enter leads to what was found, which it does once something was."""
    page.keyboard.press("Enter")
    return "air-gapped" not in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_read_and_searched(open_at: Open, site: str, scheme: str) -> None:
    page = open_at(site, color_scheme=scheme).page
    page.goto(f"{site}/help")
    assert page.url == f"{site}/help/"
    for name in PAGES:
        page.goto(f"{site}/help/{name}.html")
        expect(page.locator("h1")).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("parquet")
    wait_until(lambda: went_to_the_first(page), lambda: page.url)  # what was found stands in a closed shadow tree
    assert page.url.startswith(f"{site}/help/")


def test_pages_fit_a_screen_of_320_px(open_at: Open, site: str) -> None:
    page = open_at(site, viewport=NARROW).page
    for name in PAGES:
        page.goto(f"{site}/help/{name}.html")
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], name


def test_the_dashboard_links_to_it_and_settings_to_its_pages(visit: Visit, site: str) -> None:
    page = visit.go("/settings")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Help").click()
    expect(opened.value.locator("h1")).to_contain_text("LLM Metrics Proxy")
    links = page.locator('a[href*="/help/"]')
    targets: list[str] = links.evaluate_all("(links) => [...new Set(links.map((link) => link.href.split('#')[0]))]")
    assert f"{site}/help/topics/browsers.html" in targets
    for target in targets:
        assert page.context.request.get(target).ok, target
