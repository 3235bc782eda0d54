"""Heads seen before mean what they meant the first time: the fast path is held against the parser, head by head."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy.options import BackendOptions
from llm_metrics_proxy.proxy.plans import NewestHead, Plans, whole_message
from llm_metrics_proxy.record import RequestRecord
from tests.examples import examples
from tests.proxy.desk import Desk

_TIMES = re.compile(r"timestamp|.*_ms")

# What a line of a request's head may be, spelled well and badly; N is the body's length.
REQUEST_LINES = (
    b"Content-Length: N", b"content-length: N", b"CONTENT-LENGTH: N", b"Content-length: N", b"Content-Length:N",
    b"Content-Length:  N", b"Content-Length:\tN", b"Content-Length: N ", b"Content-Length: 0N", b"Content-Length: +N",
    b"Content-Length: N, N", b"Content-Length : N", b"Content-Length: ", b"Content-Length: 00000000000000N",
    b"X-Content-Length: 3", b"X: Content-Length: 3", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked",
    b"Connection: close", b"Connection: keep-alive, x-private", b"Connection: Upgrade", b"Upgrade: h2c",
    b"Upgrade: websocket", b"Expect: 100-continue", b"X-Private: 1", b"X-Forwarded-For: 1.2.3.4", b"Host: again",
    b"Authorization: Bearer a", b"Authorization: Bearer b", b"Content-Type: application/json",
    b"Content-Type: audio/wav", b"Accept-Encoding: gzip", b"X: caf\xe9", b"X: a\x00b", b" folded", b"TE: trailers",
    b"Origin: https://evil.example", b"Origin: http://localhost:3000", b"Origin: null", b"Sec-Fetch-Site: cross-site",
    b"Access-Control-Request-Method: POST", b"Transfer_Encoding: chunked", b"X_Forwarded_For: 1.2.3.4",
)  # fmt: skip
TARGETS = (
    b"/v1/chat/completions", b"/v1/models", b"/v1/embeddings", b"/api/pull", b"/health", b"http://other/v1/models",
    b"*",
)  # fmt: skip
BODIES = (
    b"", b"x", b'{"model":"m"}', b'{"model":"m","stream":true,"messages":[]}', b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"0\r\n\r\n", b"1\r\nx\r\n0\r\n\r\n", b"\r\n\r\n",
)  # fmt: skip
RESPONSE_LINES = (
    b"Content-Length: N", b"content-length: N", b"CONTENT-LENGTH: N", b"Content-Length:N", b"Content-Length: N ",
    b"Content-Length: 0N", b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: keep-alive, x-a",
    b"Access-Control-Allow-Origin: *", b"Vary: Origin",
    b"Content-Type: application/json", b"Content-Type: text/event-stream", b"X-A: 1", b"Content-Encoding: gzip",
    b"x-llm-metrics-request-id: theirs", b"X: a\x00b",
)  # fmt: skip
ANSWERS = (
    b"", b"{}", b'{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2}}', b"data: [DONE]\n\n", b"0\r\n\r\n",
    b"2\r\n{}\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"{",
)  # fmt: skip


# The lengths that are told beside the true one.
LIES = (0, 0, 0, 0, 1, -1)


@st.composite
def request_heads(draw: st.DrawFn) -> bytes:
    """A request's head, mostly good; N stands for its body's length."""
    method = draw(st.sampled_from((b"POST", b"POST", b"GET", b"HEAD", b"PUT", b"BREW", b"OPTIONS")))
    version = draw(st.sampled_from((b"1.1", b"1.1", b"1.1", b"1.0", b"1.2")))
    lines = draw(st.lists(st.sampled_from(REQUEST_LINES), max_size=3))
    if draw(st.integers(0, 3)):
        lines.insert(0, b"Content-Length: N")
    if draw(st.integers(0, 5)) == 0:
        lines += [b"Connection: Upgrade", draw(st.sampled_from((b"Upgrade: websocket", b"Upgrade: h2c")))]
    host = draw(st.sampled_from((b"Host: proxy\r\n", b"Host: proxy\r\n", b"host: p2\r\n", b"Host: evil\r\n", b"")))
    head = b"%b %b HTTP/%b\r\n%b" % (method, draw(st.sampled_from(TARGETS)), version, host)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


@st.composite
def answer_heads(draw: st.DrawFn) -> bytes:
    """An answer's head, mostly good."""
    status = draw(st.sampled_from((b"200 OK", b"200 OK", b"200", b"404 No", b"204 No", b"304 No", b"103 E", b"101 S")))
    lines = draw(st.lists(st.sampled_from(RESPONSE_LINES), max_size=2))
    if draw(st.integers(0, 3)):
        lines.insert(0, b"Content-Length: N")
    head = b"HTTP/%b %b\r\n" % (draw(st.sampled_from((b"1.1", b"1.1", b"1.0"))), status)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


@st.composite
def dialogues(draw: st.DrawFn) -> list[tuple[bytes, bytes | None]]:
    """Few heads, seen again and again with bodies of all lengths, true and false; some requests stay unanswered."""
    asked = draw(st.lists(request_heads(), min_size=1, max_size=2))
    given = draw(st.lists(answer_heads(), min_size=1, max_size=2))
    dialogue: list[tuple[bytes, bytes | None]] = []
    for _ in range(draw(st.integers(2, 7))):
        body, reply = draw(st.sampled_from(BODIES)), draw(st.sampled_from(ANSWERS))
        request = draw(st.sampled_from(asked)).replace(b"N", b"%d" % (len(body) + draw(st.sampled_from(LIES)))) + body
        answer = draw(st.sampled_from(given)).replace(b"N", b"%d" % (len(reply) + draw(st.sampled_from(LIES)))) + reply
        dialogue.append((request, answer if draw(st.integers(0, 4)) else None))
    return dialogue


def facts(record: RequestRecord) -> dict[str, Any]:
    """What does not depend on the time of day."""
    return {name: value for name, value in msgspec.structs.asdict(record).items() if not _TIMES.fullmatch(name)}


POST = b"POST /v1/embeddings HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


@examples(300)
@given(dialogues(), st.booleans())
@example([(POST, ANSWER + b"{}"), (POST.replace(b"2\r", b"3\r"), ANSWER + b"{}"), (b"\n", ANSWER + b"{}")], False)
@example([(POST, ANSWER + b"{}"), (POST + b"x", ANSWER + b"{}"), (POST, ANSWER + b"{}")], False)
@example([(POST, ANSWER + b"{}"), (POST, ANSWER + b"{"), (POST, ANSWER + b"{}x"), (POST, ANSWER + b"{}")], False)
@example(
    [(POST, ANSWER + b"{}"), (POST.replace(b"Host", b"Connection: close\r\nHost"), None), (POST, ANSWER + b"{}")], True
)
def test_the_fast_path_and_the_parser_say_the_same(
    dialogue: list[tuple[bytes, bytes | None]], on_loopback: bool
) -> None:
    told: dict[str, Any] = {
        "on_loopback": on_loopback,
        "allowed_hosts": ["proxy", "p2", "other"] if on_loopback else [],
    }
    fast, slow = Desk(learns=True, **told), Desk(learns=False, **told)
    for request, answer in dialogue:
        assert fast.say(request) == slow.say(request)
        if answer is not None:
            assert fast.answer(answer) == slow.answer(answer)
        assert fast.client.transport.is_closing() == slow.client.transport.is_closing()  # type: ignore[union-attr]
    fast.leave()
    slow.leave()
    assert fast.sent_upstream == slow.sent_upstream
    assert [facts(record) for record in fast.recorder.records] == [facts(record) for record in slow.recorder.records]


SEVERAL = [
    BackendOptions(name="one", url="http://one:1/base", models=["m*"], add_headers={"X-Private": "theirs"}),
    BackendOptions(name="two", url="http://two:2", models=["m"], weight=2),
    BackendOptions(name="rest", url="http://rest:3"),
]


@examples(200)
@given(dialogues())
@example([(POST.replace(b"2\r", b"13\r").replace(b"{}", b'{"model":"m"}'), ANSWER + b"{}")] * 7)
@example([(POST, ANSWER + b"{}")] * 3)
def test_the_fast_path_and_the_parser_choose_the_same_of_several_backends(
    dialogue: list[tuple[bytes, bytes | None]],
) -> None:
    fast, slow = (Desk(learns=learns, backends=SEVERAL) for learns in (True, False))
    for request, answer in dialogue:
        request = request.replace(b"/v1/models", b"/one/v1/embeddings")  # noqa: PLW2901 -- that list is made in tasks
        assert fast.say(request) == slow.say(request)
        if answer is not None:
            assert fast.answer(answer) == slow.answer(answer)
        assert [server.credit for server in fast.context.fleet.servers] == [
            server.credit for server in slow.context.fleet.servers
        ]
    fast.leave()
    slow.leave()
    assert fast.sent_upstream == slow.sent_upstream
    assert [facts(record) for record in fast.recorder.records] == [facts(record) for record in slow.recorder.records]
    assert {server.open_requests for server in fast.context.fleet.servers} == {0}


def test_the_fast_path_is_taken_at_all() -> None:
    desk = Desk(learns=True)
    for number in range(4):
        body = b"{}" + b" " * number
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        desk.say(POST.replace(b"2\r", b"%d\r" % len(body)).replace(b"{}", body))
        assert desk.answer(answer).endswith(b"\r\n\r\n" + body)
    assert (len(desk.context.plans), len(desk.pool.plans)) == (1, 1)
    assert len(desk.pool.upstreams) == 1


@pytest.mark.parametrize("lines", [b"X-Forwarded-For: 1\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n"])
def test_heads_whose_meaning_depends_on_more_than_themselves_are_not_learnt(lines: bytes) -> None:
    desk = Desk(learns=True)
    desk.say(POST.replace(b"\r\n\r\n", b"\r\n" + lines + b"\r\n"))
    assert len(desk.context.plans) == 0


HEAD = b"POST / HTTP/1.1\r\nA: b\r\nContent-Length: "


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (HEAD + b"3\r\n\r\nabc", (HEAD, 44, 3)),
        (HEAD + b"3\r\nC: d\r\n\r\nabc", (HEAD + b"\r\nC: d", 50, 3)),
        (HEAD.lower() + b"3\r\n\r\nabc", (HEAD.lower(), 44, 3)),
        (HEAD + b"0\r\n\r\n", (HEAD, 44, 0)),
        (b"GET / HTTP/1.1\r\n\r\n", (b"GET / HTTP/1.1", 18, 0)),
        (HEAD + b"3\r\n\r\nab", None),
        (HEAD + b"3\r\n\r\nabcd", None),
        (HEAD + b"3\r\n", None),
        (HEAD + b"\r\n\r\n", None),
        (HEAD + b"3 \r\n\r\nabc", None),
        (HEAD + b"+3\r\n\r\nabc", None),
        (HEAD + b"\xb3\r\n\r\nabc", None),
        (HEAD + b"3x\r\n\r\nabc", None),
        (HEAD + b"0000000000003\r\n\r\nabc", None),
        (HEAD.upper() + b"3\r\n\r\nabc", None),
        (b"POST / HTTP/1.1\r\n\r\nabc", None),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", None),
        (b"", None),
    ],
)
def test_a_whole_message_is_told_by_its_one_plain_length(data: bytes, found: tuple[bytes, int, int] | None) -> None:
    message = whole_message(data)
    if found is None:
        assert message is None
    else:
        assert message == found
        assert len(data) == found[1] + found[2]


@st.composite
def alike(draw: st.DrawFn) -> list[bytes]:
    """Messages under one or two heads, with bodies of all lengths, told truly and falsely."""
    lines = st.lists(st.sampled_from((*REQUEST_LINES[:16], b"1: 2", b"A: 12")), max_size=3)
    heads = [b"".join(line + b"\r\n" for line in (b"POST / HTTP/1.1", *draw(lines))) for _ in range(2)]
    found = []
    for _ in range(draw(st.integers(2, 10))):
        length = draw(st.sampled_from((0, 3, 9, 10, 11, 99, 100, 1200)))
        told = b"%d" % (length + draw(st.sampled_from(LIES)))
        found.append(
            draw(st.sampled_from(heads)).replace(b"N", told) + b"\r\n" + b"\r\n1\r\n\r\n"[:length].ljust(length, b"2")
        )
    return found


@examples(500)
@given(alike())
def test_the_newest_head_says_what_searching_and_looking_up_would_say(reads: list[bytes]) -> None:
    plans: Plans[bytes] = Plans()
    newest: NewestHead[bytes] = NewestHead()
    for read in reads:
        message = whole_message(read)
        known = None if message is None else plans.get(message[0])
        matched = newest.match(read)
        if message is None or known is None:
            assert matched is None
        else:
            assert matched in {None, (known.plan, read[message[1] :])}
            assert newest.look_up(plans, message, read) == (known.plan, read[message[1] :])
        if message is not None:
            plans.learn(message, message[0])


def test_the_newest_head_is_matched_without_being_searched_whatever_the_length() -> None:
    plans: Plans[str] = Plans()
    newest: NewestHead[str] = NewestHead()
    first = HEAD + b"3\r\nC: d\r\n\r\nabc"
    message = whole_message(first)
    assert message is not None
    plans.learn(message, "plan")
    assert newest.match(first) is None
    assert newest.look_up(plans, message, first) == ("plan", b"abc")
    assert newest.match(HEAD + b"5\r\nC: d\r\n\r\nabcde") == ("plan", b"abcde")
    assert newest.match(HEAD + b"0\r\nC: d\r\n\r\n") == ("plan", b"")
    for digits in (b"6", b"4", b"05", b"-5", b""):
        assert newest.match(HEAD + digits + b"\r\nC: d\r\n\r\nabcde") is None
    assert newest.match(HEAD + b"5\r\nC: e\r\n\r\nabcde") is None


def test_a_head_without_a_length_is_never_matched_as_one_with_digits_behind_it() -> None:
    plans: Plans[str] = Plans()
    newest: NewestHead[str] = NewestHead()
    head = b"GET / HTTP/1.1\r\nHost: a"
    message = whole_message(head + b"\r\n\r\n")
    assert message is not None
    plans.learn(message, "plan")
    assert newest.look_up(plans, message, head + b"\r\n\r\n") == ("plan", b"")
    assert newest.match(head + b"1234\r\n\r\n" + bytes(1230)) is None
    assert newest.match(head + b"\r\n\r\n") is None


def test_heads_that_never_repeat_cost_bounded_memory() -> None:
    plans: Plans[int] = Plans()
    for number in range(5000):
        plans.learn((b"%d" % number, 0, 0), number)
        known = plans.get(b"%d" % number)
        assert known is not None
        assert known.plan == number
    assert len(plans) <= 1024
