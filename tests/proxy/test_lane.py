"""The lane is taken when nothing would have to wait, and only then; whoever takes it, and wherever it is left, gets the
bytes and the record that the way through parser, queue and reader gives.
"""

import json
from itertools import pairwise
from time import monotonic_ns
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.metrics_service import count_tokens
from llm_metrics_proxy.proxy.lane import Lane
from llm_metrics_proxy.proxy.options import BackendOptions
from llm_metrics_proxy.record import RequestRecord
from tests.examples import examples
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
    """For each request whose head was known: whether the lane took it."""
    ways: list[bool] = []
    really_ask = Lane.ask

    def ask(*args: Any) -> bool:
        ways.append(really_ask(*args))
        return ways[-1]

    monkeypatch.setattr(Lane, "ask", ask)
    return ways


def converse(desk: Desk, *requests: bytes) -> None:
    for request in requests:
        desk.say(request)
        desk.answer(ANSWER)


def test_the_second_request_of_a_client_takes_the_lane(taken: list[bool]) -> None:
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
def test_whatever_needs_a_second_look_does_not_take_the_lane(
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


def test_of_several_backends_the_body_chooses_one_in_the_lane(taken: list[bool]) -> None:
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


def test_a_model_of_nobody_does_not_take_the_lane_to_its_refusal(taken: list[bool]) -> None:
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


def test_one_lane_serves_a_connection_until_a_request_leaves_it(taken: list[bool]) -> None:
    desk = Desk(learns=True)
    converse(desk, ask(), ask())
    lane = desk.client._lane
    converse(desk, ask(), ask())
    assert lane is not None
    assert desk.client._lane is lane
    desk.say(ask())
    desk.answer(ANSWER[:-9], ANSWER[-9:])
    assert not lane.free
    converse(desk, ask(), ask())
    assert desk.client._lane is not lane
    assert taken == [True] * 6
    assert {record.outcome for record in desk.recorder.records} == {"completed"}


def test_a_lane_that_was_used_is_as_good_as_new() -> None:
    """What a request changed and the next one does not set would be in the way of a third that leaves the lane."""
    desk = Desk(learns=True)
    converse(desk, ask(), ask(body=BODY + b"  "))
    used, fresh = desk.client._lane, Lane.of(desk.context, desk.client, desk.client._lane.plan)  # type: ignore[union-attr]
    for name in Lane.__match_args__:
        if name not in {"exchange", "server", "prefix", "head", "read", "received_bytes"}:
            assert getattr(used, name) == getattr(fresh, name), name
    set_again = {"record", "received", "state", "body_complete", "acquired", "sent"}
    reset = {"headers", "first_byte", "last_read", "forwarding"}
    for fact in type(fresh.exchange).__match_args__:
        if fact not in set_again | reset:
            assert getattr(used.exchange, fact) == getattr(fresh.exchange, fact), fact  # type: ignore[union-attr]
    desk.say(ask())
    assert {getattr(used.exchange, name) for name in reset} == {0}  # type: ignore[union-attr]


def test_a_connection_that_is_idle_keeps_nothing_of_its_newest_request() -> None:
    desk = Desk(learns=True)
    converse(desk, ask(), ask())
    assert desk.client._lane is not None
    desk.client.check(monotonic_ns())
    assert desk.client._lane is None


def test_new_settings_are_not_passed_by(taken: list[bool]) -> None:
    desk = Desk(learns=True)
    converse(desk, ask(), ask())
    desk.context.plans = type(desk.context.plans)()
    desk.client.forget_plans()
    converse(desk, ask(), ask())
    assert taken == [True, True]


# Both ways, with the same bytes

CHATS: list[dict[str, Any]] = [
    {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5, "max_tokens": 5, "user": "u"},
    {"model": "m", "messages": []},
    {
        "model": "m",
        "messages": [{}, {}],
        "tools": [{}],
        "n": 2,
        "top_p": 1,
        "max_completion_tokens": -1,
        "max_tokens": 7,
    },
    {"model": "", "messages": "no list", "max_tokens": 2**41, "temperature": "warm", "n": True},
    {"model": "x" * 300, "user": " two\nlines ", "max_tokens": -(2**70), "tools": {}},
    {"model": "m", "prompt_cache_key": "session-7", "safety_identifier": "s", "user": "u" * 300},
    {"model": "m", "metadata": {"user_id": "user_ab_account_cd_session_6b1e0c3e-0000-4000-8000-000000000000"}},
    {"model": "half \ud83d pair", "stream": True, "input": ["a", "b"], "prompt": "p"},
]
BODIES = [json.dumps(chat).encode() for chat in CHATS]
BODIES += [
    b"",
    b"{}",
    b"[]",
    b"{",
    BODY + b"\n",
    b" " + BODY,
    b'{"model":"m","max_tokens":1e999}',
    BODY.replace(b"Hi", b"\xff"),
]
PATHS = (b"/v1/chat/completions",) * 4 + (
    b"/v1/embeddings", b"/v1/messages", b"/api/chat", b"/v1/responses", b"/v1/other", b"/v1/chat/completions?key=k",
)  # fmt: skip
LINES = (b"Authorization: Bearer k", b"User-Agent: OpenAI/Python 2.1.0", b"x-llm-metrics-tag: a=b", b"X-Session-Id: s7")
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes"}}
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 1}}
GIVEN: list[Any] = [
    {"id": "c-1", "model": "m-1", "object": "chat.completion", "choices": [CHOICE], "usage": USAGE},
    {"id": "c-2", "model": "m-1", "choices": [{**CHOICE, "finish_reason": None}], "usage": None},
    {
        "id": "c-3",
        "choices": [{**CHOICE, "message": {"refusal": "No", "tool_calls": [{}, {}]}}],
        "service_tier": "flex",
    },
    {"id": "c-4", "choices": [CHOICE, {**CHOICE, "index": 1, "finish_reason": "length"}], "usage": {"a": "x" * 70}},
    {"id": "c-5", "choices": [{**CHOICE, "usage": USAGE}], "timings": {"prompt_n": 3, "prompt_ms": 1.5}},
    {"id": 5, "model": "x" * 300, "choices": [], "usage": {f"m{number}": number for number in range(300)}},
    {"error": {"message": "no", "code": "rate_limit_exceeded", "type": "requests"}},
    {"choices": [{**CHOICE, "error": {"message": "failed"}}], "object": "chat.completion"},
    {"object": "error", "message": "gone"},
    {"detail": "Not Found"},
    {},
    {"model": "m", "choices": None},
    {"object": "list", "data": [{"embedding": [0.25, 1e-3]}], "model": "e", "usage": {"prompt_tokens": 2.0}},
    {
        "type": "message",
        "id": "msg",
        "model": "c",
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3},
        "content": [],
    },
    {
        "model": "o",
        "done": True,
        "done_reason": "stop",
        "message": {"content": "Yes"},
        "eval_count": 3,
        "total_duration": 9,
    },
    {"id": "r", "object": "response", "status": "completed", "model": "m", "output": [], "usage": {"input_tokens": 3}},
]
ANSWERS = [json.dumps(given, separators=(",", ":")).encode() for given in GIVEN]
ANSWERS += [
    b"", b"yes", b"<html><title>no</title></html>", b'{"id":"c-1"', json.dumps(GIVEN[0], indent=1).encode(),
    ANSWERS[0] + b"\n", b" " + ANSWERS[0], ANSWERS[0] + ANSWERS[1],
    ANSWERS[0].replace(b"m-1", b"\xff"), ANSWERS[0].replace(b":7,", b":1e999,"),
    b'data: {"choices":[{"delta":{"content":"Yes"}}]}\n\ndata: [DONE]\n\n', ANSWERS[0].replace(b"Yes", b"y" * 70_000),
]  # fmt: skip
STATUS_LINES = (b"HTTP/1.1 200 OK",) * 5 + (b"HTTP/1.1 200", b"HTTP/1.1 404 No", b"HTTP/1.1 503 S", b"HTTP/1.1 201 C")
ANSWER_LINES = (
    b"Content-Type: application/json", b"Content-Type: application/json", b"Date: today", b"Date: tomorrow",
    b"Connection: close", b"Content-Encoding: gzip", b"x-ratelimit-remaining-requests: 7", b"x-request-id: theirs",
    b"Content-Type: text/event-stream", b"Content-Type: application/x-ndjson",
)  # fmt: skip


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Mostly whole; else in two or three reads."""
    if draw(st.integers(0, 3)):
        return [data]
    places = sorted(draw(st.lists(st.integers(0, len(data)), min_size=1, max_size=2)))
    return [piece for piece in (data[start:end] for start, end in pairwise([0, *places, None])) if piece]


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[str, list[bytes]]]:
    """What a client and a server do, one after the other: mostly one says all it has to say, and so does the other."""
    paths = draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=2))
    lines = draw(st.lists(st.sampled_from(LINES), max_size=2))
    heads = draw(
        st.lists(
            st.tuples(st.sampled_from(STATUS_LINES), st.sets(st.sampled_from(ANSWER_LINES), max_size=2)),
            min_size=1,
            max_size=2,
        )
    )
    steps: list[tuple[str, list[bytes]]] = []
    for _ in range(draw(st.integers(2, 8))):
        request = ask(*lines, path=draw(st.sampled_from(paths)), body=draw(st.sampled_from(BODIES)))
        if not draw(st.integers(0, 7)):  # two at once
            request += ask(*lines, path=paths[0])
        steps.append(("asks", draw(cut(request))))
        if not draw(st.integers(0, 9)):
            steps.append(
                (
                    draw(st.sampled_from(("leaves", "asks more", "breaks", "time passes", "drains"))),
                    [ask(*lines, path=paths[0])],
                )
            )
        status, named = draw(st.sampled_from(heads))
        body = draw(st.sampled_from(ANSWERS))
        if draw(st.integers(0, 5)):
            framing, framed = b"Content-Length: %d" % len(body), body
        else:
            framing, framed = (
                b"Transfer-Encoding: chunked",
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n",
            )
        head = b"\r\n".join((status, *sorted(named), framing)) + b"\r\n\r\n"
        early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" if not draw(st.integers(0, 15)) else b""
        steps.append(("answers", draw(cut(early + head + framed))))
    return steps


def known(record: RequestRecord) -> dict[str, Any]:
    """All of a record; of times, whether they are known."""
    values = msgspec.structs.asdict(record)
    return {
        name: value is None if name.endswith("_ms") else value for name, value in values.items() if name != "timestamp"
    }


def act(desk: Desk, step: str, reads: list[bytes]) -> bytes:
    match step:
        case "asks" | "asks more":
            return desk.say(*reads)
        case "answers":
            return desk.answer(*reads)
        case "breaks":
            return desk.answer()
        case "time passes":
            desk.client.check(monotonic_ns() + 10**15)
        case "drains":
            desk.context.draining = True
            desk.client.drain()
        case "leaves":
            if desk.client.transport is not None:
                desk.client.connection_lost(None)
    desk.recorder.end_turn()
    return b""


def both_ways_are_the_same(conversation: list[tuple[str, list[bytes]]], **options: Any) -> None:
    lane, slow = (Desk(learns=learns, **options) for learns in (True, False))
    for step, reads in conversation:
        assert act(lane, step, reads) == act(slow, step, reads)
        if step == "answers":
            lane.context.draining = slow.context.draining = False
        assert lane.client._phase is slow.client._phase
        assert lane.context.bodies.held_bytes == slow.context.bodies.held_bytes
        assert [server.open_requests for server in lane.context.fleet.servers] == [
            server.open_requests for server in slow.context.fleet.servers
        ]
    for desk in (lane, slow):
        if desk.client.transport is not None:
            desk.leave()
    assert lane.sent_upstream == slow.sent_upstream
    for one, other in zip(lane.recorder.opened_as, slow.recorder.opened_as, strict=True):
        told, at_least = known(one), known(other)  # the long way may open a record before it has chosen a server
        assert told == told | {name: value for name, value in at_least.items() if value is not None}
    assert list(map(known, lane.recorder.records)) == list(map(known, slow.recorder.records))
    assert lane.context.bodies.held_bytes == 0


@examples(600)
@given(conversations())
def test_the_lane_and_the_long_way_say_and_record_the_same(conversation: list[tuple[str, list[bytes]]]) -> None:
    both_ways_are_the_same(conversation)


@examples(150)
@given(
    conversations(),
    st.sampled_from(({"record_client_address": True}, {"backends": SEVERAL}, {"retry_unsafe": "stale"})),
)
def test_so_they_do_with_other_settings(conversation: list[tuple[str, list[bytes]]], options: dict[str, Any]) -> None:
    both_ways_are_the_same(conversation, **options)


def test_every_dialect_reads_whole_answers_in_the_lane_as_it_does_elsewhere() -> None:
    for path in sorted(set(PATHS)):
        for answer in ANSWERS:
            reply = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer)
                + answer
            )
            both_ways_are_the_same([("asks", [ask(path=path)]), ("answers", [reply])] * 3)
