"""Pictures of every view for the docs, in light and dark, over some months of traffic.

    .venv/bin/python -m tools.dashboard_pictures docs/images

They are as the browser takes them. Those in the docs were brought to a palette of 250 colours afterwards, by any
program that can, so that each stays below 300 kB.
"""

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from tests.browser.browsing import PATIENCE_MS, VIEWS, Visit
from tests.browser.million import add_limits_and_samples, make
from tests.browser.served import CHROMIUM_FLAGS, chromium_path, served
from tests.servers import pages
from tests.servers.test_poller import page as text_page
from tests.servers.test_poller import serving
from tests.upstream.server import FakeUpstream

_SIZE: Final[ViewportSize] = {"width": 1280, "height": 880}
_WALL: Final[ViewportSize] = {"width": 1280, "height": 720}
_WEEKS: Final = 9  # before the last one
_THEMES: Final = ("light", "dark")
# What a view is shown with, where its own choice says less.
_SEARCH: Final = {
    "/explore": {"metric": "total_tokens", "as": "bar", "by": "model", "range": "7d"},
    "/servers": {"range": "1h"},
    "/requests": {"range": "24h"},
}
_SETTINGS: Final = """
[[slos]]
name = "answered"
objective = 0.97
window = "7d"

[[slos]]
name = "fast-first-token"
require = "time_to_first_token_ms < 5000"
objective = 0.95
window = "7d"
streaming = true

[[alerts]]
name = "many-errors"
metric = "error_rate"
threshold = 0.2
window = "15m"
min_requests = 10

[[alerts]]
name = "slow-answers"
metric = "response_time_ms.p95"
threshold = 60000
window = "1h"

[[budgets]]
name = "team"
usd = 400
per = "month"
each = "user"

[[budgets]]
name = "everything"
usd = 12000
per = "month"

[[backends]]
name = "a100"
"""


class _Shot(NamedTuple):
    """A picture: of which address, after what was done, and of which part."""

    name: str
    path: str
    search: dict[str, str]
    do: Callable[[Page], object] = lambda _: None
    part: str | None = None
    size: ViewportSize = _SIZE


def _opened(what: str) -> Callable[[Page], object]:
    return lambda page: page.locator(what).first.click()


def _shots() -> list[_Shot]:
    views = [_Shot(path.removeprefix("/") or "overview", path, _SEARCH.get(path, {"range": "7d"})) for path in VIEWS]
    return [
        *views,
        _Shot("what-changed", "/", {"range": "7d"}, part=".whatchanged"),
        _Shot("session", "/sessions", {"range": "7d"}, _opened(".sessions tbody button")),
        _Shot("request", "/requests", {"range": "24h", "order": "-cost_usd"}, _opened(".requests .body .link")),
        _Shot("wall", "/", {"kiosk": "1", "range": "24h"}, size=_WALL),
    ]


def _picture(browser: Browser, address: str, shot: _Shot, theme: str, target: Path) -> None:
    context = browser.new_context(viewport=shot.size, locale="en-US", timezone_id="Europe/Berlin")
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    visit = Visit(context, address)
    page = visit.page if "kiosk" in shot.search else visit.go(shot.path, **shot.search)
    if "kiosk" in shot.search:
        page.goto(f"{address}/?kiosk=1&range={shot.search['range']}")
        page.locator("[aria-busy=true]").first.wait_for(state="detached")
    shot.do(page)
    page.wait_for_timeout(1500)  # a chart is drawn some frames after its numbers are there
    (page.locator(shot.part) if shot.part else page).screenshot(path=target)
    visit.assert_blameless()
    context.close()


@contextlib.contextmanager
def traffic(weeks: int = _WEEKS) -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of a dashboard over so many weeks of traffic and a last one, while it is served."""
    expect.set_options(timeout=PATIENCE_MS)
    with (
        tempfile.TemporaryDirectory(prefix="llm-metrics-proxy-") as made,
        FakeUpstream(serving({"/metrics": text_page(pages.VLLM_V1)})) as vllm,
        sync_playwright() as playwright,
    ):
        now, path = datetime.now(UTC), Path(made) / "metrics.db"
        make(path, now, weeks)
        add_limits_and_samples(path, now)
        settings = Path(made) / "settings.toml"
        settings.write_text(f"server_metrics_interval_s = 1\n{_SETTINGS}url = {json.dumps(vllm.url)}\n")
        with served(Path(made), "--config", str(settings), "--watch-interval-s", "1") as address:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_FLAGS))
            yield browser, address
            browser.close()


def main(folder: Path, *names: str) -> None:
    """Into ``folder``, by the names of the views; all, or those of ``names``."""
    folder.mkdir(parents=True, exist_ok=True)
    with traffic() as (browser, address):
        for shot in _shots():
            for theme in _THEMES:
                if not names or shot.name in names:
                    _picture(browser, address, shot, theme, folder / f"dashboard-{shot.name}-{theme}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
