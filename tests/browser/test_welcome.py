"""A new installation: what a newcomer sees first, with the demo's traffic and with none at all."""

import contextlib
import http.client
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.browsing import NARROW, overflow_px
from tests.browser.conftest import Open
from tests.browser.served import served
from tests.browser.test_looks import AXE, RULES
from tests.child_processes import answers, child
from tests.waiting import wait_until

_PROGRAM: Final = Path(sys.executable).with_name("llm-metrics-proxy")


@contextlib.contextmanager
def demonstrated(folder: Path) -> Iterator[tuple[str, str]]:
    """The addresses of the page and of the proxy, while the demo runs and its clients have sent some requests."""
    log = folder / "serve.log"
    command = [
        *(str(_PROGRAM), "serve", "--backend", "demo", "--workers", "1", "--port", "0", "--metrics-port", "0"),
        *("--data-dir", str(folder / "data"), "--db-path", str(folder / "metrics.db")),
    ]
    with child(command, log) as process:
        found: dict[str, str] = {}

        def told() -> bool:
            found.update(re.findall(r"(?m)^\s+(Proxy|Metrics)\s+(http://\S+)", log.read_text(errors="replace")))
            return len(found) == 2 and answers(urlsplit(found["Metrics"]).netloc, "/ready") and priced(found["Metrics"])

        wait_until(told, "the demo has answered a request", process=process, log=log)
        yield found["Metrics"], found["Proxy"]


def priced(address: str) -> bool:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/api/v1/query?metrics=cost_usd")
        return bool(json.loads(connection.getresponse().read())["rows"][0]["values"]["cost_usd"]["n"])


def ask(proxy: str) -> int:
    """A request of one's own."""
    connection = http.client.HTTPConnection(urlsplit(proxy).netloc, timeout=30)
    with contextlib.closing(connection):
        body = {"model": "demo-small", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"x-demo-fault": "none"})
        return connection.getresponse().status


def test_the_demo_shows_numbers_and_says_that_they_are_simulated(tmp_path: Path, open_at: Open) -> None:
    with demonstrated(tmp_path) as (address, proxy):
        visit = open_at(address)
        page = visit.go("/")
        expect(page.get_by_text("These numbers are simulated.")).to_be_visible()
        expect(page).to_have_url(re.compile("range=15m"))
        expect(page.get_by_text("There are only recent requests so far, so the range is 15 minutes.")).to_be_visible()
        expect(page.locator(".stat", has_text="Cost").locator(".value")).to_contain_text("$")
        guide = page.get_by_role("region", name="Connect a client")
        expect(guide.get_by_text(proxy, exact=True)).to_be_visible()
        guide.get_by_role("button", name="Claude Code").click()
        expect(guide.locator("pre")).to_have_text(f"ANTHROPIC_BASE_URL={proxy} claude")
        assert ask(proxy) == 200
        expect(page.get_by_text("Your first request is here.")).to_be_visible()
        expect(guide).to_have_count(0)
        expect(page.get_by_text("These numbers are simulated.")).to_be_visible()  # as long as it is true
        page.get_by_role("button", name="Show 24 hours").click()
        expect(page).not_to_have_url(re.compile("range="))
        visit.go("/requests")
        page.locator("summary[aria-label='More']").click()
        page.get_by_role("button", name="Connect a client").click()
        expect(page.get_by_role("dialog", name="Connect a client").get_by_text(proxy, exact=True)).to_be_visible()


@pytest.mark.parametrize("options", [{}, {"viewport": NARROW}])
def test_without_a_record_the_page_says_how_to_send_the_first(
    tmp_path: Path, open_at: Open, options: dict[str, object]
) -> None:
    with served(tmp_path) as address:
        page = open_at(address, **options).go("/")
        guide = page.get_by_role("region", name="Connect a client")
        expect(guide.get_by_text("No requests yet.")).to_be_visible()
        expect(page.locator(".stats")).to_have_count(0)
        expect(page.get_by_text("These numbers are simulated.")).to_have_count(0)
        assert overflow_px(page) == 0
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("(rules) => axe.run({ runOnly: rules }).then((result) => result.violations)", RULES)
        assert [one["id"] for one in found] == []
