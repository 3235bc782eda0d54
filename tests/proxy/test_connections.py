"""One connection carries many requests: in order, however they are cut, and nothing of one leaks into the next."""

import json

import pytest

from tests.proxy.client import CHAT, get, post, request
from tests.proxy.conftest import Stage
from tests.upstream import (
    CHUNKED,
    LAST_CHUNK,
    Request,
    Script,
    Send,
    chat_completion,
    chunk,
    head,
    json_response,
    openai_handler,
    response,
)  # fmt: skip

pytestmark = pytest.mark.system

OK = response(b"ok", content_type="text/plain")


@pytest.mark.parametrize("cut", [1, 5])
def test_requests_cut_anywhere_are_the_same_requests(stage: Stage, cut: int) -> None:
    with stage.play() as upstream, stage.proxy.connect() as client:
        client.send_slowly(post() + post(), cut=cut, pause_s=0.0002)
        answers = [client.answer(), client.answer()]
    assert [answer.json() for answer in answers] == [chat_completion()] * 2
    assert [received.body for received in upstream.requests] == [CHAT] * 2
    assert {record.model for record in stage.proxy.records(2)} == {"fake-1"}


def numbered(received: Request) -> Script:
    """An answer that says which request it belongs to, in a size that depends on it."""
    number = int(received.target.rpartition("=")[2])
    return [Send(response(b"%d:" % number + b"x" * (number * 977 % 5000), content_type="text/plain"))]


def test_pipelined_requests_are_answered_in_order(stage: Stage) -> None:
    with stage.play(numbered), stage.proxy.connect() as client:
        client.send(b"".join(get(b"/v1/models?n=%d" % number) for number in range(50)))
        bodies = [client.answer(b"GET").body for _ in range(50)]
        client.send(get(b"/v1/models?n=99"))  # the connection is still good
        assert client.answer(b"GET").body.startswith(b"99:")
    assert [int(body.partition(b":")[0]) for body in bodies] == list(range(50))
    assert len(stage.proxy.records(51)) == 51


def test_what_waits_behind_an_answer_that_ends_the_connection_is_recorded_and_let_go_of(stage: Stage) -> None:
    """A body whose length nobody told can end for HTTP/1.0 only with the connection, whatever was pipelined."""
    kept = post(CHAT, b"Connection: keep-alive", version=b"1.0")
    of_unknown_length = head(200, CHUNKED) + chunk(json.dumps(chat_completion()).encode()) + LAST_CHUNK
    with stage.play([Send(of_unknown_length)]), stage.proxy.connect() as client:
        client.send(kept * 3)
        assert client.read_to_end().endswith(b"}")
    records = stage.proxy.records(3)
    assert [record.outcome for record in records] == ["completed", "client_disconnected", "client_disconnected"]
    [worker] = stage.proxy.health()["workers"]
    assert (worker["open_requests"], worker["bodies_bytes"]) == (0, 0)


def test_pipelined_requests_that_come_byte_by_byte_are_answered_in_order(stage: Stage) -> None:
    with stage.play(numbered), stage.proxy.connect() as client:
        client.send_slowly(b"".join(get(b"/v1/models?n=%d" % number) for number in range(40)), cut=11, pause_s=0.0001)
        assert [int(client.answer(b"GET").body.partition(b":")[0]) for _ in range(40)] == list(range(40))


def test_a_refused_request_between_others_is_answered_in_its_turn(stage: Stage) -> None:
    with stage.play(openai_handler), stage.proxy.connect() as client:
        client.send(get() + post(path=b"/api/pull") + get(b"/health") + post())
        statuses = [
            client.answer(b"GET").status,
            client.answer().status,
            client.answer().status,
            client.answer().status,
        ]
    assert statuses == [200, 403, 200, 200]
    assert sorted(record.status_code or 0 for record in stage.proxy.records(3)) == [200, 200, 403]


def test_a_malformed_request_after_good_ones_is_refused_in_its_turn(stage: Stage) -> None:
    with stage.play(openai_handler), stage.proxy.connect() as client:
        client.send(get() + post() + b"GET / HTTP/1.1\r\nHost : a\r\n\r\n" + get())
        assert [client.answer(b"GET").status, client.answer().status, client.answer().status] == [200, 200, 400]
        assert client.read_to_end() == b""


def test_what_follows_a_request_that_closes_is_not_read(stage: Stage) -> None:
    with stage.play(openai_handler) as upstream:
        stage.proxy.ask(get())  # a head that is known from now on
        with stage.proxy.connect() as client:
            client.send(get(b"/v1/models", b"Connection: close"))
            client.send(get())
            assert client.answer(b"GET").status == 200
            assert client.ends() == b""
    assert len(upstream.requests) == 2
    assert [record.success for record in stage.proxy.records(2)] == [True, True]


def test_known_heads_and_new_ones_are_treated_alike(stage: Stage) -> None:
    with stage.play(openai_handler) as upstream, stage.proxy.connect() as client:
        for turn in range(6):
            body = CHAT.replace(b"Hi", b"Hi" * (turn % 3))
            client.send(post(body))
            assert client.answer().json() == chat_completion()
        client.send(post(CHAT)[:-5])
        assert client.is_quiet(0.02)
        client.send(post(CHAT)[-5:])
        client.answer()
    heads = [received.head.replace(b"Length: %d" % len(received.body), b"Length: N") for received in upstream.requests]
    assert len(set(heads)) == 1
    records = stage.proxy.records(7)
    assert {record.message_count for record in records} == {1}
    assert [record.request_bytes for record in records] == [len(received.body) for received in upstream.requests]


def test_extra_bytes_after_a_whole_answer_are_dropped_with_their_connection(stage: Stage) -> None:
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    with stage.play([Send(OK + extra)]) as upstream, stage.proxy.connect() as client:
        for _ in range(3):
            client.send(get())
            assert client.answer(b"GET").body == b"ok"
        assert client.is_quiet()
    assert len(upstream.connections) == 3


def test_a_body_in_answer_to_head_is_dropped_with_its_connection(stage: Stage) -> None:
    with stage.play([Send(json_response({"a": 1}))]) as upstream, stage.proxy.connect() as client:
        for _ in range(3):
            client.send(get(method=b"HEAD"))
            assert client.answer(b"HEAD").header(b"content-length") == b"7"
        assert client.is_quiet()
    assert len(upstream.connections) == 3


def test_bytes_that_come_when_nobody_asked_close_the_pooled_connection(stage: Stage) -> None:
    with stage.play([Send(OK), Send(b"", pause_s=0.05), Send(OK)]) as upstream, stage.proxy.connect() as client:
        client.send(get())
        assert client.answer(b"GET").body == b"ok"
        assert upstream.connections[0].peer_closed.wait(10)
        client.send(get())
        assert client.answer(b"GET").body == b"ok"
    assert len(upstream.connections) == 2


def test_a_java_client_that_offers_http_2_gets_plain_http_1_1(stage: Stage) -> None:
    offer = (
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    )
    with stage.play(openai_handler) as upstream, stage.proxy.connect() as client:
        for _ in range(3):
            client.send(post(CHAT, *offer))
            assert client.answer().json() == chat_completion()
        client.send(get(b"/v1/models", *offer) + post(CHAT, *offer)[:-9])
        client.send_slowly(CHAT[-9:])
        assert [client.answer(b"GET").status, client.answer().status] == [200, 200]
        chunked_post = request(b"POST", b"/v1/chat/completions", *offer, b"Transfer-Encoding: chunked")
        client.send(chunked_post + chunk(CHAT) + b"0\r\n\r\n" + get())
        assert [client.answer().status, client.answer(b"GET").status] == [200, 200]
    assert [received.body for received in upstream.requests if received.method == "POST"] == [CHAT] * 5
    for received in upstream.requests:
        assert received.header("upgrade") is received.header("connection") is received.header("http2-settings") is None
    assert all(record.success for record in stage.proxy.records(7))


def test_many_requests_that_offer_http_2_in_one_write_do_no_harm(stage: Stage) -> None:
    with stage.play(openai_handler), stage.proxy.connect() as client:
        client.send(get(b"/v1/models", b"Connection: Upgrade", b"Upgrade: h2c") * 1500)
        for _ in range(1500):
            assert client.answer(b"GET").status == 200
