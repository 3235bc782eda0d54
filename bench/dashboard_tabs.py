"""``python -m bench.dashboard_tabs``: what the proxy loses while twenty people look at the dashboard.

A browser opens the page once and its questions are noted; twenty clients then ask the same as often as the page does,
fifteen of them as the overview, five as the live list. They are no browsers, since those run on other machines. Turns
with and without them alternate, and wrk keeps the worker busy. The database begins with a million records.
"""

import argparse
import contextlib
import http.client
import os
import re
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import apsw
from playwright.sync_api import Request, sync_playwright
from rich.console import Console
from tests.browser.served import CHROMIUM_FLAGS, chromium_path

from bench.dashboard import make, wait_until_rolled_up
from bench.peers import nginx
from bench.peers import ours as proxy
from bench.processes import LOAD_CORE, TEST_CORE, cpu_s, pinned, settle
from bench.throughput import Wrk

CONNECTIONS: Final = 64
_OPENS_S: Final = 5.0
_WATCHED_S: Final = 60.0
_OPENED_S: Final = 3600.0  # what is not asked again meanwhile is asked when a page is opened
_SELDOM_S: Final = 300.0  # but for what changed, of a day: `everyMs` in dashboard/src/api/changes.ts
_SELDOM: Final = "/api/v1/changes"
_LIVE: Final = "/api/v1/live"
_QUERY: Final = "/api/v1/query"
_DAY: Final = timedelta(days=1)
_START: Final = re.compile(r"start=[^&]*")
_ASKED_ALONE: Final = 3  # times


class Question(NamedTuple):
    """One address, how often a page asks it, and how old it lets an answer be (``Cache-Control``, if it says)."""

    path: str
    every_s: float
    headers: dict[str, str]

    def at(self, unix_s: float) -> str:
        """The address at that moment: the page steps by minutes, or by as long as the question stays."""
        step = max(60.0, self.every_s)
        moment = datetime.fromtimestamp(unix_s // step * step, UTC)
        start = quote((moment - _DAY).isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        return _START.sub(f"start={start}", self.path)


def questions(port: int) -> list[Question]:
    """What the overview asks, and how often, from the page itself, watched for a while."""
    base, asked, headers = f"http://127.0.0.1:{port}", Counter[str](), dict[str, dict[str, str]]()

    def noted(request: Request) -> None:
        path = request.url.removeprefix(base)
        if path.startswith(("/api/", "/health")) and not path.startswith(_LIVE):
            path = _START.sub("start=", path)
            asked[path] += 1
            headers[path] = {name: value for name, value in request.headers.items() if name == "cache-control"}

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_FLAGS))
        page = browser.new_page()
        page.on("request", noted)
        page.goto(base)
        page.wait_for_timeout(_OPENS_S * 1000)
        paths = sorted(asked)
        asked.clear()
        page.wait_for_timeout((_WATCHED_S + 1) * 1000)
        browser.close()
    assert sum(path.startswith(_QUERY) for path in paths) >= 9, paths
    return [Question(path, _every_s(path, asked[path]), headers[path]) for path in paths]


def _every_s(path: str, times: int) -> float:
    return _SELDOM_S if path.startswith(_SELDOM) else _WATCHED_S / times if times else _OPENED_S


def costs(port: int, pids: Sequence[int], asked: Sequence[Question]) -> list[float]:
    """CPU seconds of the metrics process for one answer to each, asked alone, of which nothing was kept."""
    found, connection = [], http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for each in asked:
        settle(pids)
        before = cpu_s(pids)
        for _ in range(_ASKED_ALONE):
            connection.request("GET", each.at(time.time()))
            connection.getresponse().read()
        found.append((cpu_s(pids) - before) / _ASKED_ALONE)
    connection.close()
    return found


def tell_costs(out: Console, asked: Sequence[Question], each_s: Sequence[float], readers: int) -> None:
    """Of every question, and together; who takes an answer of some age shares it."""
    whole = 0.0
    for each, one_s in zip(asked, each_s, strict=True):
        times = 1 if each.headers else readers
        whole += times * one_s / each.every_s
        out.print(f"{one_s * 1000:8.1f} ms of CPU, {times:2} times every {each.every_s:6.1f} s: {each.path[:100]}")
    out.print(f"that is {whole:.1%} of a core")


class Tabs:
    """Twenty readers; they look between ``open`` and ``close``."""

    def __init__(self, port: int, asked: Sequence[Question], overviews: int, lists: int) -> None:
        self.answers = 0
        self._port, self._asked, self._overviews, self._lists = port, asked, overviews, lists
        self._stop = threading.Event()

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Inside, they look."""
        self._stop.clear()
        threads = [threading.Thread(target=self._overview, args=(number,)) for number in range(self._overviews)]
        threads += [threading.Thread(target=self._list) for _ in range(self._lists)]
        for thread in threads:
            thread.start()
        yield
        self._stop.set()
        for thread in threads:
            thread.join()

    def _overview(self, number: int) -> None:
        """One after the other when they are due. Every reader at another moment, so that a short turn has its share."""
        phase = number / self._overviews
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        due = [time.time() + each.every_s - (time.time() - phase * each.every_s) % each.every_s for each in self._asked]
        while not self._stop.wait(max(0.0, min(due) - time.time())):
            place = due.index(min(due))
            connection.request("GET", self._asked[place].at(time.time()), headers=self._asked[place].headers)
            response = connection.getresponse()
            response.read()
            assert response.status == 200, self._asked[place]
            self.answers += 1
            due[place] += self._asked[place].every_s
        connection.close()

    def _list(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request("GET", _LIVE)
        response = connection.getresponse()
        while not self._stop.is_set() and response.read1(65_536):
            pass
        connection.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the file if it is not there, measure in turns, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard_tabs", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--overviews", type=int, default=15, help="readers of the first view")
    parser.add_argument("--lists", type=int, default=5, help="readers of the live list")
    parser.add_argument("--database", type=Path, help="a file of `bench.dashboard`, which is copied")
    parser.add_argument("--same-core", action="store_true", help="the metrics process on the worker's core")
    given = parser.parse_args(arguments)
    out = Console(width=150)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        path = folder / "data" / "metrics.db"
        path.parent.mkdir()
        if given.database is None:
            make(path, given.records)
        else:
            source = apsw.Connection(str(given.database), flags=apsw.SQLITE_OPEN_READONLY)
            source.execute("VACUUM INTO ?", (str(path),))
            source.close()
        upstream = stack.enter_context(nginx.upstream(folder))
        ours = stack.enter_context(proxy.start(folder, upstream))
        wait_until_rolled_up(path)
        ours._replace(recorder_core=TEST_CORE if given.same_core else LOAD_CORE).place()
        assert ours.metrics_port is not None
        asked = questions(ours.metrics_port)
        wrk, tabs = Wrk(folder), Tabs(ours.metrics_port, asked, given.overviews, given.lists)
        wrk.run(ours, CONNECTIONS, 2.0)
        settle((*ours.pids, *ours.recorder_pids))
        rates: dict[str, list[float]] = {"alone": [], "watched": []}
        used = dict.fromkeys(rates, 0.0)
        out.print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        for turn in range(given.pairs):
            for kind in ("alone", "watched") if turn % 2 else ("watched", "alone"):
                before = cpu_s(ours.recorder_pids)
                with pinned(LOAD_CORE), tabs.looking() if kind == "watched" else contextlib.nullcontext():
                    rate = wrk.run(ours, CONNECTIONS, given.seconds)
                settle((*ours.pids, *ours.recorder_pids))
                used[kind] += cpu_s(ours.recorder_pids) - before
                rates[kind].append(rate)
        alone, watched = rates["alone"], rates["watched"]
        ratios = sorted(one / other for one, other in zip(watched, alone, strict=True))
        readers = given.overviews + given.lists
        out.print(
            f"{statistics.median(alone):,.0f} requests/s alone, {statistics.median(watched):,.0f} with {readers} "
            f"readers: {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
        )
        if len(ratios) > 1:  # what such a run can tell apart on this machine
            error = statistics.stdev(ratios) / len(ratios) ** 0.5
            out.print(f"mean {statistics.fmean(ratios):.3f} ± {1.96 * error:.3f} (95 %, {len(ratios)} pairs)")
        # More requests are more to store, too: what the readers cost is what is above that.
        stored_s = used["alone"] * sum(watched) / sum(alone)
        share = (used["watched"] - stored_s) / (given.pairs * given.seconds)
        out.print(
            f"{tabs.answers} answers to them; CPU of the metrics process {used['alone']:.1f} s alone, "
            f"{used['watched']:.1f} s with them, of which {stored_s:.1f} s for storing: {share:.1%} of a core for them"
        )
        tell_costs(out, asked, costs(ours.metrics_port, ours.recorder_pids, asked), given.overviews)


if __name__ == "__main__":
    main()
