"""``python -m bench.dashboard``: what the dashboard costs the one who looks, over a million records of 90 days.

    first      a browser without any cache: when something is painted, when every number is there, what jumped
    tail       frames a second while 200 records a second come, in the list of requests
    memory     the page's heap, after a collection each minute, of as many minutes of that tail

The database ends now, so that ranges hold what they would. Its roll-ups are made as in real use, by the metrics
process, before anything is measured.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import apsw
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from tests.browser.browsing import DESKTOP
from tests.browser.served import CHROMIUM_FLAGS, chromium_path, served

from bench.analytics_data import DAYS, PIECE, Traffic, rows_of
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.rollup_state import read_state
from llm_metrics_proxy.storage.sqlite import SqliteStore

PER_SECOND: Final = 200
RANGES: Final = ("24h", "1h", "7d", "30d", "90d", "all")
_LIMIT_S: Final = 900.0
# Looks at every frame: the first in which all figures of the overview have a number and nothing is loading.
_WATCH: Final = """
globalThis.seen = { shifted: 0, moved: [], ready: null, shell: null };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    seen.shifted += entry.value;
    for (const source of entry.sources) seen.moved.push(source.node?.outerHTML?.slice(0, 80) ?? "");
  }
}).observe({ type: "layout-shift", buffered: true });
const look = () => {
  if (seen.shell === null && document.querySelector("h1") !== null) seen.shell = performance.now();
  const figures = [...document.querySelectorAll(".stat .value")];
  const all = figures.length === 8 && figures.every((each) => /\\d/.test(each.textContent));
  if (all && document.querySelector("[aria-busy=true]") === null && document.querySelectorAll("canvas").length >= 3) {
    seen.ready = performance.now();
  } else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
_FRAMES: Final = """(seconds) => new Promise((resolve) => {
  const gaps = [];
  let last = performance.now();
  const end = last + seconds * 1000;
  const frame = (now) => {
    gaps.push(now - last);
    last = now;
    if (now < end) requestAnimationFrame(frame); else resolve(gaps);
  };
  requestAnimationFrame(frame);
})"""


def make(path: Path, records: int, days: int = DAYS) -> None:
    """Write the file, without roll-ups; its last record is of now."""
    end = datetime.now(UTC)
    traffic, random, first = Traffic(records, end=end, days=days), np.random.default_rng(3), 1
    store = SqliteStore(path)
    waiting: list[Any] = []
    hours = traffic.hours()
    for index, (begin, count) in enumerate(hours):
        waiting.append(np.sort(begin + random.random(count) * 3600))
        if sum(map(len, waiting)) < PIECE and index + 1 < len(hours):
            continue
        rows = rows_of(traffic.piece(np.concatenate(waiting), first))
        waiting.clear()
        store.append(IngestBatch(rows=rows))
        first += len(rows)
    store.close()


def wait_until_rolled_up(path: Path) -> float:
    """Seconds that the metrics process took. Raises ``TimeoutError``."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(10_000)
    ((last,),) = connection.execute("SELECT max(arrival) FROM completion_requests")
    begun = time.monotonic()
    while read_state(connection).cursor_id < last:
        if time.monotonic() - begun > _LIMIT_S:
            raise TimeoutError(f"roll-ups are not complete after {_LIMIT_S:.0f} s")
        time.sleep(0.5)
    connection.close()
    return time.monotonic() - begun


@contextlib.contextmanager
def traffic(journal: Path) -> Iterator[None]:
    """Records of this moment, at a steady rate."""
    child = subprocess.Popen([sys.executable, "-m", "bench.analytics_traffic", str(journal), str(PER_SECOND), "now"])
    try:
        yield
    finally:
        child.kill()
        child.wait()


@contextlib.contextmanager
def a_page(browser: Browser, script: str = "") -> Iterator[Page]:
    """In a context of its own: nothing is cached."""
    context = browser.new_context(viewport=DESKTOP, locale="en-GB", timezone_id="Europe/Berlin")
    context.set_default_timeout(120_000)
    if script:
        context.add_init_script(script)
    yield context.new_page()
    context.close()


def first_view(browser: Browser, address: str, chosen: str, turns: int) -> dict[str, list[float]]:
    """Milliseconds since the address was entered, and how much of the page jumped (Cumulative Layout Shift)."""
    found: dict[str, list[float]] = {"painted": [], "frame": [], "ready": [], "shifted": []}
    for _turn in range(turns):
        with a_page(browser, _WATCH) as page:
            page.goto(f"{address}/?range={chosen}")
            _until(page, "seen.ready !== null")
            page.wait_for_timeout(300)  # what jumps late jumps, too
            paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            seen = page.evaluate("seen")
        for name, value in (
            ("painted", paint), ("frame", seen["shell"]), ("ready", seen["ready"]), ("shifted", seen["shifted"])
        ):  # fmt: skip
            found[name].append(value)
        if seen["moved"]:
            sys.stderr.write(f"moved: {sorted(set(seen['moved']))}\n")
    return found


def _until(page: Page, words: str) -> None:
    """The page's policy forbids what the browser's own waiting would evaluate there. Raises ``TimeoutError``."""
    deadline = time.monotonic() + _LIMIT_S
    while not page.evaluate(words):
        if time.monotonic() > deadline:
            raise TimeoutError(words)
        page.wait_for_timeout(50)


def _following(page: Page, address: str) -> None:
    page.goto(f"{address}/requests?range=1h")
    _until(page, "document.querySelectorAll('.requests .body .tr').length > 5")
    page.wait_for_timeout(3000)


def tail(browser: Browser, address: str, seconds: int) -> tuple[list[float], float]:
    """Milliseconds between frames, and how many records a second came to the list meanwhile."""
    with a_page(browser) as page:
        _following(page, address)
        before = _stored(page)
        gaps: list[float] = page.evaluate(_FRAMES, seconds)
        return gaps, (_stored(page) - before) * 1000 / sum(gaps)


def _stored(page: Page) -> int:
    found: int = page.evaluate("fetch('/api/v1/query?metrics=requests').then((r) => r.json()).then((r) => r.records)")
    return found


def memory(browser: Browser, address: str, minutes: int, told: Callable[[str], object]) -> list[float]:
    """MiB of the page's heap after a collection, at the start and then every minute."""
    found = []
    with a_page(browser) as page:
        _following(page, address)
        protocol = page.context.new_cdp_session(page)
        protocol.send("Performance.enable")
        for minute in range(minutes + 1):
            protocol.send("HeapProfiler.collectGarbage")
            metrics = {one["name"]: one["value"] for one in protocol.send("Performance.getMetrics")["metrics"]}
            found.append(metrics["JSHeapUsedSize"] / 1024**2)
            told(
                f"minute {minute}: {found[-1]:.1f} MiB, {metrics['Nodes']:.0f} nodes, "
                f"{metrics['JSEventListeners']:.0f} listeners"
            )
            if minute < minutes:
                page.wait_for_timeout(60_000)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the file if it is not there, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("what", choices=("first", "tail", "memory"))
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=DAYS, help="over which the records are spread")
    parser.add_argument("--turns", type=int, default=5, help="how often the first view is opened over each range")
    parser.add_argument("--ranges", nargs="+", choices=RANGES, default=RANGES)
    parser.add_argument("--seconds", type=int, default=20, help="of watching frames")
    parser.add_argument("--minutes", type=int, default=30, help="of watching memory")
    parser.add_argument("--folder", type=Path, help="keep the database here, and take it from here within the day")
    given = parser.parse_args(arguments)
    out = Console(width=150)
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "metrics.db"
        if not path.exists() or datetime.fromtimestamp(path.stat().st_mtime, UTC) < datetime.now(UTC) - timedelta(1):
            path.unlink(missing_ok=True)
            make(path, given.records, given.days)
        address = stack.enter_context(served(folder, "--log-level", "info"))
        out.print(f"all records are rolled up ({wait_until_rolled_up(path):.0f} s)")
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_FLAGS))
        out.print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        if given.what == "first":
            for chosen in given.ranges:
                found = first_view(browser, address, chosen, given.turns)
                words = ", ".join(
                    f"{name} {statistics.median(values):,.0f} ms (at most {max(values):,.0f})"
                    for name, values in found.items()
                    if name != "shifted"
                )
                out.print(f"{chosen}: {words}, layout shift {max(found['shifted']):.4f}")
        else:
            stack.enter_context(traffic(folder / "data" / "journal"))
            if given.what == "tail":
                gaps, per_second = tail(browser, address, given.seconds)
                slow = sum(gap > 50 for gap in gaps)
                out.print(f"{per_second:.0f} records a second, {1000 * len(gaps) / sum(gaps):.1f} frames a second")
                out.print(f"the longest of {len(gaps)} frames took {max(gaps):.0f} ms, {slow} more than 50 ms")
            else:
                memory(browser, address, given.minutes, out.print)
        browser.close()


if __name__ == "__main__":
    main()
