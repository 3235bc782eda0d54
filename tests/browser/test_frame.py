"""The frame around every view: room for the numbers, nothing out of sight, nothing cut."""

import re
from typing import Final

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.browsing import VIEWS, Visit, overflow_px
from tests.browser.conftest import Open

ALL: Final = "all"
WIDTHS: Final = (320, 375, 768, 1024, 1280, 1440, 1920)
PHONE: Final[ViewportSize] = {"width": 375, "height": 812}
MOST_BEFORE_THE_FIRST_NUMBER_PX: Final = 120

# Rows of cards or tiles that leave room at their end: [container, row, how many pixels are empty].
_HOLES: Final = """() => {
  const holes = [];
  for (const box of document.querySelectorAll(".grid, .stats")) {
    const edge = box.getBoundingClientRect();
    const rows = new Map();
    for (const one of box.children) {
      const at = one.getBoundingClientRect();
      if (at.width === 0) continue;
      const row = rows.get(Math.round(at.top)) ?? { left: Infinity, right: 0, width: 0, bottoms: new Set(), n: 0 };
      row.left = Math.min(row.left, at.left);
      row.right = Math.max(row.right, at.right);
      row.width += at.width;
      row.n += 1;
      row.bottoms.add(Math.round(at.bottom));
      rows.set(Math.round(at.top), row);
    }
    const gap = parseFloat(getComputedStyle(box).columnGap);
    for (const [top, row] of rows) {
      const empty = edge.width - row.width - (row.n - 1) * gap;
      if (Math.abs(empty) > 2 || row.bottoms.size > 1) holes.push(`${box.className} at ${top}: ${empty} px`);
    }
  }
  return holes;
}"""


@pytest.mark.parametrize("path", VIEWS)
def test_a_view_draws_what_it_has_and_fits_at_any_width(visit: Visit, path: str) -> None:
    page = visit.go(path, range=ALL)
    expect(page.locator(f'.nav a[aria-current=page][href^="{path}"]')).to_be_visible()
    assert page.locator(".card").count() > 0
    assert page.get_by_role("alert").count() == 0
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert (width, overflow_px(page), page.evaluate(_HOLES)) == (width, 0, [])
        expect(page.locator("h1")).to_be_in_viewport()


def test_a_telephone_says_where_one_is_in_every_view_even_far_down(open_at: Open, site: str) -> None:
    visit = open_at(site, viewport=PHONE)
    for path in VIEWS:
        page = visit.go(path, range=ALL)
        name = page.locator("h1").inner_text()
        page.mouse.wheel(0, 4000)
        expect(page.locator("h1")).to_be_in_viewport()
        page.get_by_role("button", name="Menu").click()
        expect(page.locator(".nav a[aria-current=page]")).to_be_in_viewport()
        expect(page.locator(".nav a[aria-current=page]")).to_have_text(name)
        page.keyboard.press("Escape")
        expect(page.locator(".nav")).to_be_hidden()
        expect(page.get_by_role("button", name="Menu")).to_be_focused()


def test_a_telephone_goes_to_another_view_in_two_touches(open_at: Open, site: str) -> None:
    page = open_at(site, viewport=PHONE, has_touch=True).go("/", range=ALL)
    page.get_by_role("button", name="Menu").tap()
    page.get_by_role("link", name="Errors").tap()
    expect(page.locator("h1")).to_have_text("Errors")
    expect(page.locator(".nav")).to_be_hidden()


def test_the_first_number_is_near_the_top_of_a_telephone(open_at: Open, site: str) -> None:
    page = open_at(site, viewport=PHONE).go("/", range=ALL)
    box = page.locator(".stat .value").first.bounding_box()
    assert box is not None
    assert box["y"] <= MOST_BEFORE_THE_FIRST_NUMBER_PX


def test_no_range_is_lost_where_there_is_only_a_menu(open_at: Open, site: str) -> None:
    page = open_at(site, viewport=PHONE).go("/")
    menu = page.locator(".range-menu")
    expect(menu.locator("summary")).to_have_text("24 hours")
    menu.locator("summary").click()
    menu.get_by_role("button", name="7 days").click()
    expect(menu.locator("summary")).to_have_text("7 days")
    assert "range=7d" in page.url


def test_a_fixed_range_says_that_it_is_one(visit: Visit) -> None:
    page = visit.go("/requests", range="2026-01-01T00:00:00Z..2099-01-01T00:00:00Z")
    expect(page.locator(".requests")).to_be_visible()
    status = page.get_by_role("status").filter(has_text="loaded")
    expect(status).to_contain_text("Fixed range")
    expect(status).not_to_contain_text("Paused")


def test_a_chip_keeps_its_words_whole(open_at: Open, site: str) -> None:
    page = open_at(site, viewport=PHONE).go("/models", range=ALL, model="qwen2.5-coder:32b", user="W" * 256)
    for label in page.locator(".chip > span").all():
        box = label.bounding_box()
        assert box is not None
        assert box["height"] < 30  # one line


def test_what_is_stale_ends_without_two_stops(open_at: Open, site: str) -> None:
    visit = open_at(site, tolerates=lambda text: "503" in text, locale="en-US")
    page = visit.go("/", range=ALL)
    page.route("**/health", lambda route: route.fulfill(status=503, body=""))
    note = page.get_by_role("alert").filter(has_text="does not answer")
    expect(note).to_be_visible()
    assert re.search(r"[AP]M: the metrics process does not answer$", note.inner_text())


def headings(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".nav p").all_inner_texts()]


def test_the_navigation_is_in_groups(visit: Visit) -> None:
    page = visit.go("/", range=ALL)
    assert headings(page) == ["Usage", "Performance", "System"]
    assert page.locator(".nav section").count() == 4
    page.set_viewport_size({"width": 1280, "height": 720})
    expect(page.locator(".preferences")).to_be_in_viewport(ratio=1)  # a laptop's height has room for all of it
