"""``top``: traffic as it happens, in a terminal; or once, for scripts."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.cli.flags import with_settings
from llm_metrics_proxy.cli.keys import quit_key
from llm_metrics_proxy.cli.output import console, print_json
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.cli.top_feed import REPLAY, ApiFeed, DatabaseFeed, Feed, open_requests
from llm_metrics_proxy.cli.top_view import picture
from llm_metrics_proxy.cli.top_window import TopFrame, TrafficWindow
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import QueryError

_ONCE_HEIGHT: Final = 40


@with_settings("data_dir", "db_path", "metrics_token")
@with_selection
def top(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="A running metrics API, such as http://127.0.0.1:8002. [default: the database]"
        ),
    ] = None,
    window: Annotated[float, typer.Option(min=1, max=3600, metavar="SECONDS", help="How far back it looks.")] = 60,
    interval: Annotated[float, typer.Option(min=0.1, max=60, metavar="SECONDS", help="How often it looks again.")] = 1,
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="JSON, unrounded: one object with --once, else one per look.")
    ] = False,
) -> None:
    """Watch requests end: rate, open requests, and by model TTFT, output speed and errors. q or Ctrl-C ends it."""
    if not once and not json and not sys.stdout.isatty():
        raise QueryError("--once", "top draws on a terminal; for scripts there are --once and --json")
    with _feed(loaded, chosen, url) as feed:
        seen = TrafficWindow(window)
        now_s = time.monotonic()
        for update in feed.first(window):
            seen.add(now_s - update.age_s, update.records, update.requests)
        if once:
            _show_once(_snapshot(seen, feed), json=json)
        elif json:
            _print_on(seen, feed, interval)
        else:
            _draw_on(seen, feed, interval)


@contextmanager
def _feed(loaded: Loaded, chosen: RequestFilter, url: str | None) -> Iterator[Feed]:
    if url is None:
        with open_database(loaded) as (records, control):
            yield DatabaseFeed(records, lambda: open_requests(control), str(loaded.settings.db_path), chosen)
        return
    token = loaded.settings.metrics_token
    parameters = urlencode({"replay": REPLAY, **_parameters(chosen)}, doseq=True)
    with closing(ApiFeed(url, None if token is None else token.get_secret_value(), parameters)) as feed:
        yield feed


def _parameters(chosen: RequestFilter) -> dict[str, Any]:
    """A filter as the API takes it: a server of 5.0 knows one value of a column alone."""
    times = {name: stored_time(at) for name in ("start", "end") if (at := getattr(chosen, name)) is not None}
    own = [one for one in chosen.conditions if one not in chosen.where]
    named = {one.name: str(one).removeprefix(f"{one.name}=") for one in own}
    return {**times, **named, "where": [str(one) for one in chosen.where]}


def _snapshot(seen: TrafficWindow, feed: Feed) -> TopFrame:
    return seen.snapshot(time.monotonic(), source=feed.name, open_requests=feed.open_requests, problem=feed.problem)


def _look(seen: TrafficWindow, feed: Feed) -> TopFrame:
    for update in feed.poll():
        seen.add(time.monotonic(), update.records, update.requests)
    return _snapshot(seen, feed)


def _show_once(snapshot: TopFrame, *, json: bool) -> None:
    if json:
        print_json(msgspec.to_builtins(snapshot))
    else:
        out = console()
        height = out.height if out.is_terminal else _ONCE_HEIGHT
        out.print(picture(snapshot, out.width, height, snug=not out.is_terminal))


def _print_on(seen: TrafficWindow, feed: Feed, interval_s: float) -> None:
    while True:
        print_json(msgspec.to_builtins(_look(seen, feed)), indent=0)
        time.sleep(interval_s)


def _draw_on(seen: TrafficWindow, feed: Feed, interval_s: float) -> None:
    out = Console(highlight=False, emoji=False)
    with _terminated_in_order(), quit_key() as wants_to_leave:
        try:
            with Live(console=out, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
                while True:
                    live.update(picture(_look(seen, feed), out.width, out.height), refresh=True)
                    if wants_to_leave(interval_s):
                        return
        except KeyboardInterrupt:
            return


@contextmanager
def _terminated_in_order() -> Iterator[None]:
    """SIGTERM, too, leaves the terminal as it was."""

    def leave(signum: int, _frame: object) -> None:
        sys.exit(128 + signum)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
