"""What ``/api/v1/live`` sends, as server-sent events (WHATWG HTML, section 9.2): an event is lines and an empty one.

JSON has no line breaks of its own, so each event has one line of data.
"""

from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.live import Sums
from llm_metrics_proxy.metrics_service import APP_VERSION

RETRY_MS: Final = 2_000  # how long a browser waits before it connects again
HEARTBEAT: Final = b": nothing new\n\n"  # a comment: keeps what stands between from closing an idle connection


class LiveStart(msgspec.Struct, frozen=True, kw_only=True):
    """The first event, ``start``. Records with greater ids than ``newest_id`` follow as they arrive."""

    app_version: str  # whose definitions this stream follows
    filter: RequestFilter
    newest_id: int  # of all records, selected or not


class LiveSkipped(msgspec.Struct, frozen=True, kw_only=True):
    """Event ``skipped``: selected records with ``after`` < id <= ``through`` were too many to be sent."""

    after: int
    through: int
    records: int | None  # how many; none: not counted


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


def _event(name: bytes, data: Any, event_id: int | None = None) -> bytes:
    head = b"" if event_id is None else b"id: %d\n" % event_id
    return head + b"event: " + name + b"\ndata: " + _encode(data) + b"\n\n"


def start(selection: RequestFilter, newest_id: int) -> bytes:
    """Has an id, so that who breaks off before the first record can go on from here."""
    data = LiveStart(app_version=APP_VERSION, filter=selection, newest_id=newest_id)
    return b"retry: %d\n" % RETRY_MS + _event(b"start", data, newest_id)


def records(items: list[dict[str, Any]]) -> bytes:
    """One event ``record`` for each; its id is the record's."""
    return b"".join(_event(b"record", item, item["id"]) for item in items)


def skipped(after: int, through: int, n: int | None) -> bytes:
    """No id: the next record's takes its place."""
    return _event(b"skipped", LiveSkipped(after=after, through=through, records=n))


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
