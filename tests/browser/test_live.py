"""Records as they come, 200 a second: shown, paused, and forgotten again."""

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import CDPSession, Page, expect

from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.browser.browsing import PATIENCE_MS
from tests.browser.conftest import Open
from tests.browser.records import a_day, write
from tests.browser.served import served
from tests.cli.conftest import make_record

BATCH, EVERY_S = 50, 0.25  # 200 a second
MOST_ROWS: Final = 2_000  # that the page keeps, see state/tail.ts
MB: Final = 1024 * 1024


class Traffic:
    """Appends records to a database until it is told to stop; ``sent`` counts them."""

    def __init__(self, path: Path) -> None:
        self.sent = 0
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        store = SqliteStore(self._path)
        while not self._stop.wait(EVERY_S):
            now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            numbers = range(self.sent, self.sent + BATCH)
            rows = [
                to_row(make_record(0, timestamp=now, request_id=f"live{n:028d}", model=f"model-{n}")) for n in numbers
            ]
            store.append(IngestBatch(rows=rows))
            self.sent += BATCH
        store.close()


@pytest.fixture
def moving(tmp_path: Path) -> Iterator[tuple[str, Traffic]]:
    """An address, and the traffic that it will see."""
    write(tmp_path / "metrics.db", a_day(50, datetime.now(UTC)))
    with served(tmp_path) as address, Traffic(tmp_path / "metrics.db") as traffic:
        yield address, traffic


def newest(page: Page) -> int:
    """The number of the newest record shown that this traffic sent; 0: none is."""
    text = page.locator(".requests .body .tr").first.locator("[role=cell]").nth(1).inner_text()
    return int(text.removeprefix("model-")) if text.startswith("model-") else 0


def until(page: Page, reached: object, what: str) -> None:
    """Look again and again, while the page goes on."""
    assert callable(reached)
    for _look in range(PATIENCE_MS // 100):
        if reached():
            return
        page.wait_for_timeout(100)
    raise AssertionError(what)


def heap_bytes(session: CDPSession) -> int:
    """What is still in use after everything that nobody holds was thrown away."""
    session.send("HeapProfiler.collectGarbage")
    found: int = session.send("Runtime.getHeapUsage")["usedSize"]
    return found


def test_the_tail_follows_pauses_and_catches_up(open_at: Open, moving: tuple[str, Traffic]) -> None:
    address, traffic = moving
    page = open_at(address).go("/requests")
    until(page, lambda: newest(page) > 200, "the list follows")
    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Paused")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Paused")).to_be_visible()
    for _attempt in range(3):  # the list may still be reading what was stored when it was paused
        held, sent = newest(page), traffic.sent
        until(page, lambda sent=sent: traffic.sent > sent + 400, "traffic goes on")
        if newest(page) == held:
            break
    assert newest(page) == held
    page.keyboard.press("p")
    until(page, lambda: newest(page) > sent + 400, "the list catches up")


def test_memory_stays_as_it_is_under_the_tail(open_at: Open, moving: tuple[str, Traffic]) -> None:
    address, _traffic = moving
    page = open_at(address).go("/requests")
    session = page.context.new_cdp_session(page)
    until(page, lambda: newest(page) > MOST_ROWS + 200, "the page keeps as many as it ever will")
    before, first = heap_bytes(session), newest(page)
    until(page, lambda: newest(page) > first + MOST_ROWS // 2, "many more have come")
    assert heap_bytes(session) - before < 20 * MB
    expect(page.get_by_role("status").filter(has_text="until you pause")).to_be_visible()
    page.keyboard.press("p")
    rows = page.get_by_role("table", name="Requests")
    expect(
        page.get_by_role("status").filter(has_text=re.compile(r"Paused · [246]00 loaded$"))
    ).to_be_visible()  # the stored pages, from the first
    page.locator(".requests").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    expect(page.get_by_role("status").filter(has_text=re.compile(r"[46]00 loaded$"))).to_be_visible()
    expect(rows.locator("[role=row]").last).to_be_visible()
