"""Pictures of every view for the docs, in light and dark, over the day of traffic that the browser tests use.

    .venv/bin/python -m tools.dashboard_pictures docs/images

They are as the browser takes them. Those in the docs were brought to a palette of 250 colours afterwards, by any
program that can, so that each stays below 120 kB.
"""

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, ViewportSize, sync_playwright
from tests.browser.browsing import VIEWS, Visit
from tests.browser.records import a_day, write
from tests.browser.served import chromium_path, served

_SIZE: Final[ViewportSize] = {"width": 1280, "height": 880}
_THEMES: Final = ("light", "dark")
_RECORDS: Final = 6_000
# What a view is shown with, where its own choice says less.
_SEARCH: Final = {"/explore": {"metric": "requests", "as": "bar", "by": "model"}}


_SETTINGS: Final = """
[[slos]]
name = "answered"
objective = 0.97
window = "2d"

[[slos]]
name = "fast-first-token"
require = "time_to_first_token_ms < 1000"
objective = 0.99
window = "2d"
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
"""


def _picture(browser: Browser, address: str, path: str, theme: str, target: Path) -> None:
    context = browser.new_context(viewport=_SIZE, locale="en-US", timezone_id="Europe/Berlin")
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    visit = Visit(context, address)
    page = visit.go(path, **_SEARCH.get(path, {}))
    page.wait_for_timeout(500)  # a chart is drawn some frames after its numbers are there
    page.screenshot(path=target)
    visit.assert_blameless()
    context.close()


def main(folder: Path) -> None:
    """Into ``folder``, by the names of the views."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="llm-metrics-proxy-") as made, sync_playwright() as playwright:
        now = datetime.now(UTC)
        write(Path(made) / "metrics.db", a_day(_RECORDS - 800, now - timedelta(days=1), seed=8))
        write(Path(made) / "metrics.db", a_day(_RECORDS, now))
        (Path(made) / "settings.toml").write_text(_SETTINGS)
        with served(Path(made), "--config", str(Path(made) / "settings.toml")) as address:
            browser = playwright.chromium.launch(
                executable_path=chromium_path(), args=["--no-sandbox", "--disable-gpu"]
            )
            for path in VIEWS:
                for theme in _THEMES:
                    name = path.removeprefix("/") or "overview"
                    _picture(browser, address, path, theme, folder / f"dashboard-{name}-{theme}.png")
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
