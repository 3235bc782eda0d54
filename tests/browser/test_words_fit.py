"""Every label of every view has room for its words, in each language and at each width.

The narrowest is 320 CSS pixels, a desk's page at 400 %: nothing but tables is scrolled sideways (WCAG 2.2, 1.4.10).
"""

from typing import Final

import pytest
from playwright.sync_api import Page

from tests.browser.browsing import DESKTOP, NARROW, VIEWS, overflow_px, sideways
from tests.browser.conftest import Open
from tests.browser.test_looks import ALL, LANGUAGES
from tests.browser.test_watched import watched  # noqa: F401 -- a fixture

WIDTHS: Final = (320, 375, 1024, 1280, 1440)
# The page's own words; what records say (names of models, say) may end in an ellipsis. A label is cut if it has
# more text than room and hides the rest; two overlap if both are in one row, tile or bar and their texts share an
# area; a word is broken if its letters stand on two lines without a hyphen.
_FAULTS: Final = """(language) => {
  const LABELS = ".stat .value, .stat .beside > span, dt:not(.setting > *), button, a, thead th, "
    + "h1, h2, h3, summary, label, [role=tab], legend";
  const GROUPS = ".stat, nav, header, thead tr, .selection, .card > header, dl";
  const SPACED = !["ja", "ko", "zh"].includes(language);
  const forReaders = (one) => {  // a pixel that only a screen reader is told of
    for (let at = one; at !== null; at = at.parentElement) {
      const box = at.getBoundingClientRect();
      if (box.width <= 1 && getComputedStyle(at).position === "absolute") return true;
    }
    return false;
  };
  const known = new Map();
  const isSeen = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && one.closest(".skip, dialog:not([open]), td, .code, pre, .mono") === null && !forReaders(one);
  const seen = (one) => known.get(one) ?? known.set(one, isSeen(one)).get(one);
  const said = (one) => `${one.tagName.toLowerCase()}.${one.className} ${(one.textContent ?? "").slice(0, 60)}`;
  const texts = (one) => {
    const walker = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      if (walker.currentNode.data.trim() && seen(walker.currentNode.parentElement)) found.push(walker.currentNode);
    }
    return found;
  };
  const range = document.createRange();
  const boxes = (node, from = 0, to = node.data.length) => {
    range.setStart(node, from);
    range.setEnd(node, to);
    return [...range.getClientRects()].filter((box) => box.width > 1 && box.height > 1);
  };
  const faults = [];
  const labels = [...document.querySelectorAll(LABELS)].filter(seen);
  for (const one of labels) {
    for (const at of [one, ...one.querySelectorAll(":not(svg, svg *, .name)")]) {
      const hides = ["hidden", "clip"].includes(getComputedStyle(at).overflowX);
      if (hides && seen(at) && at.scrollWidth > at.clientWidth) faults.push(`cut: ${said(at)}`);
    }
    if (!SPACED) continue;
    for (const node of texts(one)) {
      if (new Set(boxes(node).map((box) => Math.round(box.top))).size < 2) continue;  // one line: no word is broken
      for (const word of node.data.matchAll(/[\\p{L}\\p{N}]+/gu)) {
        const tops = boxes(node, word.index, word.index + word[0].length).map((box) => Math.round(box.top));
        if (tops.length > 1 && tops[0] !== tops.at(-1)) faults.push(`broken: ${word[0]} in ${said(one)}`);
      }
    }
  }
  for (const group of document.querySelectorAll(GROUPS)) {
    if (!group.checkVisibility()) continue;
    const all = texts(group).map((node) => [node, boxes(node)]);
    for (const [index, [node, mine]] of all.entries()) {
      for (const [other, theirs] of all.slice(index + 1)) {
        const meet = mine.some((a) => theirs.some((b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
          && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3));
        if (meet) faults.push(`overlap: ${node.data.slice(0, 30)} and ${other.data.slice(0, 30)} in ${said(group)}`);
      }
    }
  }
  return [...new Set(faults)];
}"""


def faults(page: Page, language: str) -> list[str]:
    """What is cut, broken or overlaps on the page as it is."""
    found: list[str] = page.evaluate(_FAULTS, language)
    return found


@pytest.mark.parametrize("path", VIEWS)
def test_every_label_has_room_in_every_language_at_every_width(open_at: Open, watched: str, path: str) -> None:  # noqa: F811
    visit = open_at(watched, timezone_id="America/Argentina/ComodRivadavia")  # one of the longest names
    page = visit.go(path, range=ALL)
    found: list[str] = []
    for language in LANGUAGES:  # one load of the view for all of them: the widest width is the last, and has the choice
        visit.speak(language)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": DESKTOP["height"]})
            beyond_px = overflow_px(page)  # first of all: it waits until the page has come to rest
            here = faults(page, language)
            if beyond_px:
                here.append(f"the page reaches {beyond_px} px beyond its edge")
            if width == NARROW["width"]:
                here += [f"sideways: {one}" for one in sideways(page)]
            found += [f"{language} at {width}: {one}" for one in here]
    assert not found, "\n".join(found)
