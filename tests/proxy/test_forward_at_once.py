"""The short way is taken when nothing would have to wait, and only then; both ways end in the same record."""

from typing import Any

import pytest

from llm_metrics_proxy.metrics_service import count_tokens
from llm_metrics_proxy.proxy.options import BackendOptions
from llm_metrics_proxy.proxy.transaction import Transaction
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
    really_forward = Transaction.forward_at_once

    def forward(*args: Any) -> bool:
        ways.append(really_forward(*args))
        return ways[-1]

    monkeypatch.setattr(Transaction, "forward_at_once", forward)
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
        count_tokens(record)
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


SEVERAL = [BackendOptions(name=name, url=f"http://{name}:1", models=["m"]) for name in ("one", "two")]


def test_of_several_backends_the_body_chooses_one_on_the_short_way(taken: list[bool]) -> None:
    desk = Desk(learns=True, backends=SEVERAL)
    converse(desk, *[ask()] * 6)
    assert taken == [False] + [True] * 4  # the second server has no connection before its first request
    records = desk.recorder.records
    assert [record.backend_name for record in records] == ["one", "two"] * 3
    assert [record.backend for record in records] == ["one:1", "two:1"] * 3
    assert [record.upstream_reused for record in records] == [False, False] + [True] * 4
    assert {(record.model, record.attempts, record.outcome) for record in records} == {("m", 1, "completed")}
    assert all(b"Host: one:1\r\n" in sent or b"Host: two:1\r\n" in sent for sent in desk.sent_upstream)
    assert len(desk.sent_upstream) == 2


def test_a_server_without_an_idle_connection_keeps_its_turn(taken: list[bool]) -> None:
    desk = Desk(learns=True, backends=SEVERAL)
    converse(desk, *[ask()] * 4)
    taken.clear()
    for _ in range(3):
        desk.pools[0].idle.clear()
        converse(desk, ask(), ask())
    assert taken == [False, True] * 3
    assert [record.backend_name for record in desk.recorder.records[4:]] == ["one", "two"] * 3


def test_a_model_of_nobody_goes_the_long_way_to_its_refusal(taken: list[bool]) -> None:
    desk = Desk(learns=True, backends=SEVERAL)
    for _ in range(2):
        assert desk.say(ask(body=b'{"model":"other"}')).startswith(b"HTTP/1.1 404 ")
    assert taken == [False]
    assert [record.error_type for record in desk.recorder.records] == ["no_backend_for_model"] * 2


def test_a_client_that_leaves_aborts_the_upstream_and_is_recorded(taken: list[bool]) -> None:
    desk = Desk(learns=True)
    converse(desk, ask())
    desk.say(ask())
    desk.leave()
    assert taken == [True]
    assert desk.pool.upstreams[0].transport.aborted  # type: ignore[union-attr]
    assert desk.recorder.records[-1].outcome == "client_disconnected"


def test_a_stale_connection_is_replaced_once(taken: list[bool]) -> None:
    desk = Desk(learns=True, retry_unsafe="stale")
    converse(desk, ask())
    desk.say(ask())
    desk.pool.upstreams[0].connection_lost(None)
    assert taken == [True]
    assert len(desk.pool.upstreams) == 2
