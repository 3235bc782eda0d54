"""A tour of the dashboard, about 20 seconds, as an animated WebP: the real page over some weeks of simulated traffic.

    .venv/bin/python -m tools.dashboard_tour docs/images/tour.webp

A step says in words what is done, does it with the mouse as a person would, and is looked at for a while. What is drawn
over the page, the words and the pointer, is put there by scripts, which its policy allows no page to do by itself.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image
from playwright.sync_api import Locator, Page, ViewportSize
from tests.browser.browsing import Visit

from tools.dashboard_pictures import traffic

_SIZE: Final[ViewportSize] = {"width": 1120, "height": 700}
_SHOWN: Final = (896, 560)
_WEEKS: Final = 2
_MOVE_MS, _MOVES = 60, 6
_MOST_BYTES: Final = 2_000_000
_QUALITY: Final = 62
_OVERLAY: Final = """() => {
  const words = document.createElement("div"), pointer = document.createElement("div");
  Object.assign(words.style, {
    position: "fixed", left: "50%", bottom: "18px", transform: "translateX(-50%)", padding: "9px 18px", zIndex: 99999,
    borderRadius: "99px", background: "#10151dee", color: "#fff", font: "600 17px system-ui", whiteSpace: "nowrap",
    pointerEvents: "none",
  });
  Object.assign(pointer.style, {
    position: "fixed", width: "22px", height: "22px", margin: "-11px 0 0 -11px", borderRadius: "50%", zIndex: 99999,
    background: "#0a69c855", border: "2px solid #0a69c8", pointerEvents: "none", left: "560px", top: "350px",
  });
  words.id = "tour-words"; pointer.id = "tour-pointer";
  document.body.append(words, pointer);
}"""
_SAY: Final = "(text) => { document.getElementById('tour-words').textContent = text; }"
_POINT: Final = """([x, y]) => {
  Object.assign(document.getElementById("tour-pointer").style, { left: `${x}px`, top: `${y}px` });
}"""


class TourStep(NamedTuple):
    """``words`` are shown, ``target`` is clicked, if there is one, and the page is shown for ``ms`` after it."""

    words: str
    ms: int
    target: Callable[[Page], Locator] | None = None


def _first(what: str) -> Callable[[Page], Locator]:
    return lambda page: page.locator(what).first


def _view(path: str) -> Callable[[Page], Locator]:
    return _first(f'nav a[href$="{path}"], nav a[href*="{path}?"]')


STEPS: Final = (
    TourStep("One record per request, from any client to any LLM server", 2600),
    TourStep("What changed, and which model it was", 2000, _first(".whatchanged")),
    TourStep("Every request, with its tokens, times and cost", 1700, _view("requests")),
    TourStep("One request: where its time went", 2600, _first(".requests .body .link")),
    TourStep("Sessions of agents", 1700, _view("sessions")),
    TourStep("One session: context, cache, subagents, time and money", 3200, _first(".sessions tbody button")),
    TourStep("What it costs, and what the month will", 2000, _view("costs")),
    TourStep("What went wrong, and what to do about it", 2000, _view("errors")),
    TourStep("Any metric by anything; its link is the answer", 2200, _view("explore")),
)  # fmt: skip


class _Film:
    """Frames with how long each is shown."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.frames: list[Image.Image] = []
        self.durations_ms: list[int] = []
        self._at = (560.0, 350.0)

    def shoot(self, ms: int) -> None:
        """The page as it is, for so long."""
        shot = Image.open(io.BytesIO(self._page.screenshot())).convert("RGB")
        self.frames.append(shot.resize(_SHOWN, Image.Resampling.LANCZOS))
        self.durations_ms.append(ms)

    def step(self, step: TourStep) -> None:
        """Point, click and look."""
        page = self._page
        page.evaluate(_SAY, step.words)
        if step.target is not None:
            target = step.target(page)
            target.scroll_into_view_if_needed()
            box = target.bounding_box()
            assert box is not None, step.words
            to = (box["x"] + min(box["width"] / 2, 60), box["y"] + min(box["height"] / 2, 20))
            for move in range(1, _MOVES + 1):
                share = move / _MOVES
                here = [begin + (end - begin) * share for begin, end in zip(self._at, to, strict=True)]
                page.evaluate(_POINT, here)
                self.shoot(_MOVE_MS)
            self._at = to
            page.mouse.click(*to)
        page.locator("[aria-busy=true]").first.wait_for(state="detached")
        page.wait_for_timeout(1500)  # a chart is drawn some frames after its numbers are there
        self.shoot(step.ms)
        if page.locator("dialog[open]").count():
            page.keyboard.press("Escape")


def main(target: Path) -> None:
    """Write it. Raises ``ValueError`` if it is larger than a page of a repository should load."""
    with traffic(_WEEKS) as (browser, address):
        context = browser.new_context(viewport=_SIZE, locale="en-US", timezone_id="Europe/Berlin")
        context.add_init_script("localStorage.setItem('theme', 'light')")
        visit = Visit(context, address)
        page = visit.go("/", range="7d")
        page.wait_for_timeout(1500)
        page.evaluate(_OVERLAY)
        film = _Film(page)
        for step in STEPS:
            film.step(step)
        visit.assert_blameless()
        context.close()
    first, *others = film.frames
    first.save(
        target, save_all=True, append_images=others, duration=film.durations_ms, loop=0, quality=_QUALITY, method=4,
        allow_mixed=True,
    )  # fmt: skip
    size = target.stat().st_size
    sys.stderr.write(f"{len(film.frames)} frames, {sum(film.durations_ms) / 1000:.1f} s, {size:,} bytes\n")
    if size > _MOST_BYTES:
        raise ValueError(f"{target} has {size:,} bytes, more than {_MOST_BYTES:,}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
