"""The screen on a wall: big numbers that renew themselves, for days, without anybody who signs in or reloads."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import ViewportSize, expect

from tests.browser.browsing import PATIENCE_MS, overflow_px
from tests.browser.conftest import Open
from tests.browser.records import a_day, write
from tests.browser.served import served

ALL: Final = "all"
SCREEN: Final[ViewportSize] = {"width": 1920, "height": 1080}
TOKEN: Final = "a-token-of-this-test"
HOUR_MS: Final = 3_600_000
LEAST_PX: Final = 48  # read across a room
MOST_GROWTH_BYTES: Final = 6 * 1024**2


def test_it_shows_big_numbers_and_nothing_to_press(open_at: Open, site: str) -> None:
    page = open_at(site, viewport=SCREEN).go("/", range=ALL, kiosk="1")
    for gone in (".side", ".head", ".menu", ".chips"):
        expect(page.locator(gone).locator("visible=true")).to_have_count(0)
    expect(page.locator("html[data-theme=dark]")).to_be_visible()
    sizes = page.locator(".stat .value").evaluate_all(
        "(all) => all.map((one) => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert len(sizes) >= 7
    assert len(set(sizes)) == 1
    assert min(sizes) >= LEAST_PX
    cut = page.locator(".stat .value").evaluate_all(
        "(all) => all.filter((one) => one.scrollWidth > one.clientWidth).length"
    )
    assert cut == 0
    height: int = page.evaluate("document.documentElement.scrollHeight")
    assert height <= SCREEN["height"]
    assert overflow_px(page) == 0


def test_a_theme_that_was_chosen_stays_and_it_is_left_by_a_key(open_at: Open, site: str) -> None:
    page = open_at(site).go("/settings")
    page.get_by_label("Theme").select_option("light")
    page.goto(f"{site}/?kiosk=1&range=all")
    expect(page.locator(".wall")).to_be_visible()
    expect(page.locator("html[data-theme=light]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".side")).to_be_visible()
    assert "kiosk" not in page.url


def test_it_is_one_click_from_the_overview(open_at: Open, site: str) -> None:
    page = open_at(site).go("/", range=ALL)
    page.get_by_label("More", exact=True).click()
    page.get_by_role("button", name="Wall view").click()
    expect(page.locator(".wall .stat")).not_to_have_count(0)


def test_it_renews_itself_and_keeps_its_session_without_growing(open_at: Open, tmp_path: Path) -> None:
    """Hours pass by the page's own clock: it asks for numbers and for its session again, and holds on to nothing."""
    write(tmp_path / "metrics.db", a_day(300, datetime.now(UTC)))
    with served(tmp_path, token=TOKEN) as address:
        visit = open_at(address, tolerates=lambda text: "401" in text)
        page, renewed = visit.page, []

        def asked(request: Any) -> None:
            if request.url.endswith("/session") and request.method == "PUT":
                renewed.append(request.url)

        page.on("request", asked)
        inspected = page.context.new_cdp_session(page)  # the page's own `performance` goes by the clock of the test
        page.clock.install()
        page.goto(f"{address}/?kiosk=1&range=24h")
        page.locator(".signin input").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator(".wall .stat .value").first).to_have_text("300")

        def hours(many: int) -> int:
            for _hour in range(many):
                before = visit.requested.count("/api/v1/query")
                page.clock.fast_forward(HOUR_MS)
                for look in range(1, PATIENCE_MS // 50):
                    if visit.requested.count("/api/v1/query") > before:
                        break
                    page.wait_for_timeout(50)
                    if look % 10 == 0:  # a page whose answers were still on their way asks at the next minute
                        page.clock.fast_forward(61_000)
                assert visit.requested.count("/api/v1/query") > before
            page.clock.fast_forward(120_000)  # what is no longer shown is let go after a minute
            inspected.send("HeapProfiler.collectGarbage")
            return int(inspected.send("Runtime.getHeapUsage")["usedSize"])

        first = hours(6)
        last = hours(18)
        assert last - first < MOST_GROWTH_BYTES
        assert len(renewed) >= 20
        expect(page.locator(".wall .stat")).not_to_have_count(0)
