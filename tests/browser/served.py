"""The metrics process on a database, and nothing else: ``llm-metrics-proxy metrics``."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.child_processes import answers, child
from tests.waiting import wait_until

# No service of the browser's maker is asked for anything, no sandbox is needed for pages of our own, and the popups of
# the address bar are not loaded: two pages for each window, which cost more than ours.
CHROMIUM_FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup,HttpsUpgrades,PaintHolding",
)  # fmt: skip
_PROGRAM: Final = Path(sys.executable).with_name("llm-metrics-proxy")


@contextlib.contextmanager
def served(
    folder: Path,
    *flags: str,
    token: str | None = None,
    port: int = 0,
    program: Path = _PROGRAM,
    sources: Path | None = None,
) -> Iterator[str]:
    """Its address, while it runs on ``folder / "metrics.db"``.

    ``program`` names another installation; ``sources``, those that this one is to run instead of its own.
    """
    log = folder / "metrics.log"
    command = [
        *(str(program), "metrics", "--data-dir", str(folder / "data"), "--db-path", str(folder / "metrics.db")),
        *("--metrics-port", str(port), *flags),
    ]
    environment = {} if token is None else {"LLM_METRICS_PROXY_METRICS_TOKEN": token}
    if sources is not None:
        environment["PYTHONPATH"] = str(sources)
    with child(command, log, environment=environment) as process:
        found: list[str] = []

        def announced() -> bool:
            found[:] = re.findall(r"Metrics (http://[^;\s]+)", log.read_text(errors="replace"))
            return bool(found) and answers(urlsplit(found[0]).netloc, "/ready")

        wait_until(announced, "the metrics process answers", process=process, log=log)
        yield found[0]


def chromium_path() -> str:
    """Where the browser is. Raises ``FileNotFoundError``."""
    for folder in os.get_exec_path():
        for name in filter(None, (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")):
            path = Path(folder, name)
            if path.is_file():
                return str(path)
    raise FileNotFoundError("the tests of the dashboard need Chromium: sh tools/install-chromium.sh")
