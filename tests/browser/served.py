"""The metrics process on a database, and nothing else: ``llm-metrics-proxy metrics``."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.processes import answers, child, wait_until

_PROGRAM: Final = Path(sys.executable).with_name("llm-metrics-proxy")
_START_LIMIT_S: Final = 60.0


@contextlib.contextmanager
def served(folder: Path, *flags: str, token: str | None = None, program: Path = _PROGRAM) -> Iterator[str]:
    """Its address, while it runs on ``folder / "metrics.db"``; ``program`` names another installation."""
    log = folder / "metrics.log"
    command = [
        *(str(program), "metrics", "--data-dir", str(folder / "data"), "--db-path", str(folder / "metrics.db")),
        *("--metrics-port", "0", *flags),
    ]
    environment = {} if token is None else {"LLM_METRICS_PROXY_METRICS_TOKEN": token}
    with child(command, log, environment=environment) as process:
        found: list[str] = []

        def announced() -> bool:
            found[:] = re.findall(r"Metrics (http://[^;\s]+)", log.read_text(errors="replace"))
            return bool(found) and answers(urlsplit(found[0]).netloc, "/ready")

        wait_until(announced, "the metrics process answers", _START_LIMIT_S, process=process, log=log)
        yield found[0]


def chromium_path() -> str:
    """Where the browser is. Raises ``FileNotFoundError``."""
    for folder in os.get_exec_path():
        for name in filter(None, (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")):
            path = Path(folder, name)
            if path.is_file():
                return str(path)
    raise FileNotFoundError("the tests of the dashboard need Chromium: sh tools/install-chromium.sh")
