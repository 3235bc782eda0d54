"""From an address to the first chart: one request through the proxy, and the page with a point to draw.

    python -m tools.first_chart http://127.0.0.1:8001 http://127.0.0.1:8002

What the proofs of every way to install share. A server that was started on ports of the kernel's choice says them in
its start block.
"""

import json
import re
import sys
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.error import URLError
from urllib.parse import urlencode, urljoin

from tests.waiting import wait_until

MODEL: Final = "demo-small"
TOKEN: Final = "a-token-of-the-proof"  # noqa: S105 -- of a server that lives for a minute on loopback
_QUERY: Final = urlencode({"metrics": "requests", "group_by": "time", "bucket": "minute", "model": MODEL})


class Addresses(NamedTuple):
    """Of a server that runs."""

    proxy: str
    metrics: str


def announced(log: Path) -> Addresses | None:
    """What its start block says, if it has come to that; both on loopback, however they are reached by others."""
    words = log.read_text(errors="replace")
    found = dict(re.findall(r"^\s*(Proxy|Metrics)\s+http://[^:\s]+:(\d+)", words, re.MULTILINE))
    if len(found) < 2:
        return None
    return Addresses(f"http://127.0.0.1:{found['Proxy']}", f"http://127.0.0.1:{found['Metrics']}")


def first_chart(addresses: Addresses, log: Path | None = None) -> None:
    """Ask for an answer, and wait for its point on a chart. Raises ``AssertionError`` with the end of ``log``."""
    wait_until(partial(_ready, addresses.proxy), "the proxy is ready", log=log)
    wait_until(partial(_ready, addresses.metrics), "the metrics process is ready", log=log)
    said = _answer(
        f"{addresses.proxy}/v1/chat/completions",
        {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]},
    )
    assert json.loads(said)["choices"][0]["message"]["content"]
    wait_until(partial(_points, addresses.metrics), "a point on the chart", log=log)
    page = _answer(f"{addresses.metrics}/").decode()
    (script,) = re.findall(r'<script[^>]* src="([^"]+)"', page)
    assert len(_answer(urljoin(f"{addresses.metrics}/", script))) > 1000


def _points(metrics: str) -> int:
    answer = json.loads(_answer(f"{metrics}/api/v1/query?{_QUERY}"))
    return int(answer["records"]) if answer["rows"] else 0


def _ready(url: str) -> bool:
    try:
        return bool(_answer(f"{url}/ready"))
    except (OSError, URLError):
        return False


def _answer(url: str, body: dict[str, Any] | None = None) -> bytes:
    request = urllib.request.Request(  # noqa: S310 -- loopback, as `announced` says
        url,
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- as above
        data: bytes = answer.read()
        return data


if __name__ == "__main__":
    first_chart(Addresses(*sys.argv[1:3]))
