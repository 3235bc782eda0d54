"""What ``/api/v1/live`` sends, as server-sent events (WHATWG HTML, section 9.2): an event is lines and an empty one.

JSON has no line breaks of its own, so each event has one line of data.
"""

from collections.abc import Iterable
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.live import Sums
from llm_metrics_proxy.metrics_service import APP_VERSION

RETRY_MS: Final = 2_000  # how long a browser waits before it connects again
HEARTBEAT: Final = b": nothing new\n\n"  # a comment: keeps what stands between from closing an idle connection


class LiveStart(msgspec.Struct, frozen=True, kw_only=True):
    """The first event, ``start``. Records that arrive after those of ``newest`` follow."""

    app_version: str  # whose definitions this stream follows
    filter: RequestFilter
    newest: str  # of all records, selected or not; also the event's id, with which a stream can go on from here


class LiveSkipped(msgspec.Struct, frozen=True, kw_only=True):
    """Event ``skipped``: of the selected records that arrived after ``after`` and up to ``through``, as ids of events
    say it, these were too many to be sent."""

    after: str
    through: str
    arrived: int  # records that arrived in between, selected or not
    records: int | None  # of them, how many were selected; none: not counted


class LiveTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens added up over the ``n`` records that report them; ``None`` if none did."""

    n: int
    sum: int | None


class LiveCost(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars over the ``n`` records whose cost is known; ``None`` if none is."""

    n: int
    sum: float | None


class LiveTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Event ``totals``: over every selected record that arrived since the stream began, also those skipped."""

    since: str
    requests: int
    succeeded: int
    failed: int
    tokens: dict[str, LiveTokens]
    cost_usd: LiveCost
    open_requests: int | None  # being served now, selected or not; none: not known


class LiveProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Event ``problem``: the database cannot be read at the moment. The stream goes on when it can."""

    message: str


_encode: Final = msgspec.json.Encoder().encode


def _event(name: bytes, data: Any, seen: Arrivals | None = None) -> bytes:
    head = b"" if seen is None else b"id: %s\n" % str(seen).encode()
    return head + b"event: " + name + b"\ndata: " + _encode(data) + b"\n\n"


def start(selection: RequestFilter, newest: Arrivals) -> bytes:
    """Has an id, so that who breaks off before the first record can go on from here."""
    data = LiveStart(app_version=APP_VERSION, filter=selection, newest=str(newest))
    return b"retry: %d\n" % RETRY_MS + _event(b"start", data, newest)


def found(items: list[dict[str, Any]], within: ArrivalRange, left_out: int) -> bytes:
    """The selected records of a range but for those that came first, ``left_out``. Each is an event ``record``, whose
    id says what has been seen with it: those of one host in the order of arrival, several hosts' in that of their
    times."""
    seen, skip = _from_start(within), b""
    if left_out:
        before = seen
        seen = _just_before(items, within.through)
        skip = skipped(ArrivalRange(before, seen), left_out)
    events = []
    for item in _in_order(items, within.through):
        seen = seen.with_record(item["host"], item["arrival"])
        events.append(_event(b"record", item, seen))
    return skip + b"".join(events)


def _from_start(within: ArrivalRange) -> Arrivals:
    """With every host of the range, so that it is known whether hosts are told apart."""
    return Arrivals({**dict.fromkeys(within.through.by_host, 0), **within.after.by_host})


def _just_before(items: list[dict[str, Any]], through: Arrivals) -> Arrivals:
    before = through
    for item in reversed(items):
        before = before.with_record(item["host"], item["arrival"] - 1)
    return before


def _in_order(items: list[dict[str, Any]], through: Arrivals) -> Iterable[dict[str, Any]]:
    if len(through.by_host) <= 1:
        return items
    by_host = [list(of_host) for _, of_host in groupby(items, itemgetter("host"))]
    return merge(*by_host, key=lambda item: item["timestamp"] or "")


def skipped(within: ArrivalRange, records: int | None) -> bytes:
    """No id: the next record's takes its place."""
    after, through = within
    arrived = sum(max(0, number - after.by_host.get(host, 0)) for host, number in through.by_host.items())
    data = LiveSkipped(after=str(after), through=str(through), arrived=arrived, records=records)
    return _event(b"skipped", data)


def totals(sums: Sums, since: str, open_requests: int | None) -> bytes:
    """So far."""
    tokens = {name: LiveTokens(n=n, sum=total) for name, (n, total) in sums.tokens.items()}
    data = LiveTotals(
        since=since,
        requests=sums.requests,
        succeeded=sums.succeeded,
        failed=sums.failed,
        tokens=tokens,
        cost_usd=LiveCost(n=sums.cost_usd[0], sum=sums.cost_usd[1]),
        open_requests=open_requests,
    )
    return _event(b"totals", data)


def problem(message: str) -> bytes:
    """In words for people."""
    return _event(b"problem", LiveProblem(message=message))
