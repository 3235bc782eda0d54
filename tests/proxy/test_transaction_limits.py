"""Each thing that a request waits for has its own limit of time."""

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.transaction import Transaction
from llm_metrics_proxy.proxy.tunnel_session import TunnelSession
from tests.proxy.desk import Desk

LIMITS: dict[str, Any] = {
    "body_timeout_s": 1000.0, "first_byte_timeout_s": 2000.0, "idle_timeout_s": 3000.0, "send_timeout_s": 4000.0,
}  # fmt: skip
ASK = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
BEGUN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
UPLOAD = ASK.replace(b"Content-Length: 2", b"Content-Type: audio/wav\r\nContent-Length: 9")
UPGRADE = b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def asked(desk: Desk) -> None:
    desk.say(ASK)


def half_asked(desk: Desk) -> None:
    desk.say(ASK[:-1])


def answering(desk: Desk) -> None:
    desk.say(ASK)
    desk.pool.upstreams[0].data_received(BEGUN)


def stalled(desk: Desk) -> None:
    answering(desk)
    desk.client.pause_writing()


def blocked(desk: Desk) -> None:
    desk.say(UPLOAD)
    desk.pool.upstreams[0].pause_writing()


def flowing_again(desk: Desk) -> None:
    blocked(desk)
    desk.pool.upstreams[0].resume_writing()


@pytest.mark.parametrize(
    ("reach", "limit_s", "cause"),
    [
        (half_asked, 1000, Cause.SLOW_BODY),
        (asked, 2000, Cause.FIRST_BYTE_TIMEOUT),
        (answering, 3000, Cause.IDLE_TIMEOUT),
        (stalled, 4000, Cause.CLIENT_STALLED),
        (blocked, 2000, Cause.FIRST_BYTE_TIMEOUT),
        (flowing_again, 1000, Cause.SLOW_BODY),
    ],
)
def test_each_wait_has_its_limit(reach: Callable[[Desk], None], limit_s: float, cause: Cause) -> None:
    desk = Desk(learns=False, **LIMITS)
    reach(desk)
    transaction = desk.client._current
    assert isinstance(transaction, Transaction)
    now = monotonic_ns()
    assert transaction.overdue(now + int((limit_s - 500) * 1e9)) is None
    assert transaction.overdue(now + int((limit_s + 500) * 1e9)) is cause


def test_an_ended_request_has_none() -> None:
    desk = Desk(learns=False, **LIMITS)
    desk.say(ASK)
    transaction = desk.client._current
    assert isinstance(transaction, Transaction)
    desk.pool.upstreams[0].data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    assert transaction.overdue(monotonic_ns() + 10**15) is None


def test_a_session_has_none() -> None:
    desk = Desk(learns=False, **LIMITS)
    desk.say(UPGRADE)
    desk.pool.upstreams[0].data_received(SWITCHED)
    assert isinstance(desk.client._current, TunnelSession)
    desk.client.check(monotonic_ns() + 10**15)
    desk.recorder.end_turn()
    assert desk.recorder.open == 1
    desk.leave()


@pytest.mark.parametrize(
    ("begun", "arrived_bytes", "after_s", "cause"),
    [
        (ASK[:-1], 1, 1000.9, None),
        (ASK[:-1], 1, 1001.2, Cause.SLOW_BODY),
        (ASK[:-1], 500, 1499, None),
        (ASK[:-1], 500, 1501, Cause.SLOW_BODY),
    ],
)
def test_a_body_as_a_whole_has_time_by_its_bytes(
    begun: bytes, arrived_bytes: int, after_s: float, cause: Cause | None
) -> None:
    """However often a byte of it came; beyond ``body_timeout_s``, a second for each byte here."""
    desk = Desk(learns=True, body_min_bytes_per_s=1, **LIMITS)
    desk.say(begun)
    transaction = desk.client._current
    assert isinstance(transaction, Transaction)
    now = transaction.upload_since + int(after_s * 1e9)
    transaction.received_bytes, transaction.upload_activity = arrived_bytes, now
    assert transaction.overdue(now) is cause
    desk.context.options = msgspec.structs.replace(desk.context.options, body_min_bytes_per_s=0)
    assert transaction.overdue(now) is None
