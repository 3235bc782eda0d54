"""The short way is taken when nothing would have to wait, and only then; both ways end in the same record."""

from typing import Any

import pytest

from llm_metrics_proxy.proxy import fast_lane
from tests.proxy.desk import Desk

BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
ANSWER_BODY = b'{"model":"m-1","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER_BODY) + ANSWER_BODY
)


def ask(*lines: bytes, path: bytes = b"/v1/chat/completions", body: bytes = BODY) -> bytes:
    named = b"".join(line + b"\r\n" for line in (b"Content-Type: application/json", *lines))
    return b"POST %b HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (path, named, len(body), body)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each request whose head was known: whether the short way was taken."""
    ways: list[bool] = []
    really_send = fast_lane.send

    def send(*args: Any) -> Any:
        transaction = really_send(*args)
        ways.append(transaction is not None)
        return transaction

    monkeypatch.setattr(fast_lane, "send", send)
    return ways


def converse(desk: Desk, *requests: bytes) -> None:
    for request in requests:
        desk.say(request)
        desk.answer(ANSWER)


def test_the_second_request_of_a_client_takes_the_short_way(taken: list[bool]) -> None:
    desk = Desk(learns=True)
    converse(desk, ask(), ask(body=BODY + b" "), ask())
    assert taken == [True, True]
    first, second, third = desk.recorder.records
    assert [record.request_bytes for record in (first, second, third)] == [len(BODY), len(BODY) + 1, len(BODY)]
    for record in (second, third):
        assert (record.model, record.message_count, record.total_tokens) == ("m", 1, 7)
        assert (record.outcome, record.finish_reason, record.upstream_reused) == ("completed", "stop", True)
        assert record.body_complete_ms == 0
        assert record.upstream_acquired_ms is not None
        assert record.request_sent_ms is not None
        assert record.upstream_acquired_ms <= record.request_sent_ms


@pytest.mark.parametrize(
    ("options", "request_"),
    [
        ({"inject_usage": True}, ask()),
        ({"journal_when_full": "refuse_requests"}, ask()),
        ({"max_body_bytes": len(BODY) - 1}, ask()),
        ({}, ask(b"Content-Encoding: gzip")),
        ({}, ask(path=b"/api/pull")),
    ],
    ids=["usage is injected", "a full journal refuses", "too large", "compressed body", "forbidden path"],
)
def test_whatever_needs_a_second_look_goes_the_long_way(
    taken: list[bool], options: dict[str, Any], request_: bytes
) -> None:
    desk = Desk(learns=True, **options)
    for _ in range(2):
        desk.say(request_)
        if desk.pool.upstreams:
            desk.answer(ANSWER)
    assert not any(taken)
    assert len(desk.recorder.records) == 2


def test_without_an_idle_connection_the_long_way_waits_for_one(taken: list[bool]) -> None:
    desk = Desk(learns=True)
    converse(desk, ask())
    desk.pool.idle.clear()
    converse(desk, ask())
    assert taken == [False]
    assert [record.upstream_reused for record in desk.recorder.records] == [False, False]


def test_a_client_that_leaves_aborts_the_upstream_and_is_recorded(taken: list[bool]) -> None:
    desk = Desk(learns=True)
    converse(desk, ask())
    desk.say(ask())
    desk.leave()
    assert taken == [True]
    assert desk.pool.upstreams[0].transport.aborted  # type: ignore[union-attr]
    assert desk.recorder.records[-1].outcome == "client_disconnected"


def test_a_stale_connection_is_replaced_once(taken: list[bool]) -> None:
    desk = Desk(learns=True)
    converse(desk, ask())
    desk.say(ask())
    desk.pool.upstreams[0].connection_lost(None)
    assert taken == [True]
    assert len(desk.pool.upstreams) == 2
