"""With ``--log-level debug`` a worker logs one line for each station of a request, with the request's id.

A line has the milliseconds since the request was accepted. It never has a header, a body, a query string or a key.
Callers write ``if stations.on:`` first: without debug, a station costs one look at that.
"""

import logging
from typing import Protocol

from llm_metrics_proxy.record import RequestRecord


class Timed(Protocol):
    """What a station reads of an exchange, which imports this."""

    record: RequestRecord
    received: int


on = False
log = logging.getLogger(__name__)
_unwritten: list[str] = []  # ids of requests that ended in this turn of the event loop


def follow_log_level() -> None:
    """Called once, after logging was set up."""
    global on  # noqa: PLW0603 -- one process, one log level; see above for why it is not read each time
    on = log.isEnabledFor(logging.DEBUG)


def accepted(record: RequestRecord) -> None:
    """The request has an id, and will leave a record."""
    log.debug("request %s: accepted %s %s", record.request_id, record.method, record.endpoint)


def reached(exchange: Timed, now: int, name: str, *values: object) -> None:
    """The request reached a station at ``now``; ``values`` fill the placeholders of ``name``."""
    ms = (now - exchange.received) / 1e6
    log.debug(f"request %s: +%.3f ms {name}", exchange.record.request_id, ms, *values)


def chosen(exchange: Timed, now: int) -> None:
    """A backend was chosen for the request; after a retry perhaps another one."""
    record = exchange.record
    place = record.backend if record.backend_name is None else f"{record.backend_name} ({record.backend})"
    reached(exchange, now, "backend %s, attempt %d", place, record.attempts)


def ended(exchange: Timed, now: int) -> None:
    """The record is complete."""
    record = exchange.record
    words = (record.outcome, record.error_type, record.status_code and f"status {record.status_code}")
    reached(exchange, now, "ended: %s", ", ".join(word for word in words if word))


def closed(record: RequestRecord) -> None:
    """The record waits for the end of the turn."""
    _unwritten.append(record.request_id)


def turn_ended(*, is_blocked: bool) -> None:
    """All records of the turn were given to the journal at once."""
    for request_id in _unwritten:
        where = "waits in memory: the journal cannot be written" if is_blocked else "is in the journal"
        log.debug("request %s: its record %s", request_id, where)
    _unwritten.clear()
