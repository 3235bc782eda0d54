"""A reply of this proxy's own takes its turn like any other work, limits of time included."""

from time import monotonic_ns

import pytest

from tests.proxy.desk import Desk

HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n"
ASK = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
SECOND = 1_000_000_000


def test_a_body_that_is_no_body_is_refused_and_the_connection_closes() -> None:
    desk = Desk(learns=False)
    answer = desk.say(HEALTH + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"The request's body is not valid HTTP: " in answer
    assert b"Connection: close\r\n" in answer
    assert desk.context.slot.get("bad_requests") == 1
    assert desk.recorder.records == []


def test_a_body_has_its_time_to_come() -> None:
    desk = Desk(learns=False, body_timeout_s=5.0)
    assert desk.say(HEALTH + b"Content-Length: 2\r\n\r\nx") == b""
    now = monotonic_ns()
    desk.client.check(now + 4 * SECOND)
    assert not desk.client.transport.closed  # type: ignore[union-attr]
    desk.client.check(now + 6 * SECOND)
    assert desk.client.transport.closed  # type: ignore[union-attr]


def test_a_body_that_comes_later_is_answered_when_it_is_there() -> None:
    desk = Desk(learns=False)
    assert desk.say(HEALTH + b"Content-Length: 2\r\n\r\nx") == b""
    assert desk.say(b"y").startswith(b"HTTP/1.1 200 ")
    assert desk.say(HEALTH + b"\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_client_that_takes_nothing_has_its_time_too() -> None:
    desk = Desk(learns=False, send_timeout_s=9.0)
    desk.client.pause_writing()
    assert desk.say(HEALTH + b"\r\n") == b""
    now = monotonic_ns()
    desk.client.check(now + 8 * SECOND)
    assert not desk.client.transport.closed  # type: ignore[union-attr]
    desk.client.check(now + 10 * SECOND)
    assert desk.client.transport.closed  # type: ignore[union-attr]


def test_it_waits_for_the_answer_before_it() -> None:
    desk = Desk(learns=False)
    assert desk.say(ASK + HEALTH + b"\r\n") == b""
    answers = desk.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert answers.endswith(b'{"status":"ok"}\n')


@pytest.mark.parametrize("requests", [1, 3])
def test_the_end_of_draining_ends_every_request_once(requests: int) -> None:
    """Also those that wait for their turn: each has one record, and none goes to a server after it."""
    desk = Desk(learns=False)
    desk.say(ASK * requests)
    desk.context.draining = True
    desk.client.abandon()
    desk.recorder.end_turn()
    assert [record.error_type for record in desk.recorder.records] == ["shutdown"] * requests
    assert desk.recorder.open == 0
    assert len(desk.pool.upstreams) == 1
