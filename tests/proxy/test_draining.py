"""An orderly end: what is being answered is finished, what has to be cut off is recorded, and the exit status is 0."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proxy.client import CHAT, STREAMED_CHAT, get, post
from tests.proxy.harness import SHOWN_ALL, ProxyWorker
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    FakeUpstream,
    Gate,
    Pause,
    Request,
    Script,
    Send,
    Stall,
    Step,
    chat_completion,
    chat_events,
    chunk,
    head,
    json_response,
    openai_handler,
    response,
)  # fmt: skip
from tests.waiting import wait_until

pytestmark = pytest.mark.system

FIRST, *REST = chat_events()
TELL = pytest.mark.parametrize("tell", [ProxyWorker.terminate, ProxyWorker.supervisor_dies])


def is_refused(proxy: ProxyWorker) -> bool:
    """Nobody listens any more."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", proxy.port)) != 0


@TELL
def test_a_stream_in_flight_is_finished_while_everybody_else_is_turned_away(
    tmp_path: Path, tell: Callable[[ProxyWorker], None]
) -> None:
    gate = Gate()
    script: list[Step] = [Send(head(200, EVENT_STREAM, CHUNKED) + chunk(FIRST)), gate.wait()]
    script += [*(Send(chunk(event)) for event in REST), Send(LAST_CHUNK)]
    with FakeUpstream(script) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        with proxy.connect() as streaming, proxy.connect() as idle:
            idle.send(get(b"/health"))
            assert idle.answer(b"GET").status == 200
            streaming.send(post(STREAMED_CHAT))
            assert streaming.head().status == 200
            tell(proxy)
            assert idle.read_to_end() == b""
            wait_until(lambda: is_refused(proxy))
            gate.open()
            streaming.read_until(b"[DONE]")
            assert streaming.read_to_end().endswith(LAST_CHUNK)
        assert proxy.ended() == 0
        assert proxy.record().outcome == "completed"
        assert ("supervisor is gone" in proxy.log) == (tell is ProxyWorker.supervisor_dies)


def test_an_answer_begun_while_draining_says_that_it_is_the_last(tmp_path: Path) -> None:
    gate = Gate()
    with FakeUpstream([gate.wait(), Send(json_response({}))]) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        with proxy.connect() as client:
            client.send(post())
            upstream.wait_for_requests(1)
            proxy.terminate()
            wait_until(lambda: is_refused(proxy))
            gate.open()
            answer = client.answer()
            assert (answer.status, answer.header(b"connection")) == (200, b"close")
            assert client.read_to_end() == b""
        assert proxy.ended() == 0


def test_requests_that_were_accepted_already_are_all_answered(tmp_path: Path) -> None:
    gate = Gate()
    answer = Send(json_response(chat_completion()))
    with FakeUpstream([gate.wait(), answer]) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        with proxy.connect() as client:
            client.send(post() + get() + get(b"/health") + get())
            upstream.wait_for_requests(1)
            proxy.terminate()
            wait_until(lambda: is_refused(proxy))
            gate.open()
            answers = [client.answer(b"GET") for _ in range(4)]
            assert [answer.status for answer in answers] == [200] * 4
            assert [answer.header(b"connection") for answer in answers] == [None, None, None, b"close"]
            assert client.read_to_end() == b""
        assert proxy.ended() == 0
        assert {record.outcome for record in proxy.records(3)} == {"completed"}


@pytest.mark.parametrize("twice", [False, True])
def test_what_takes_too_long_is_cut_off_and_recorded(tmp_path: Path, twice: bool) -> None:
    def handler(received: Request) -> Script:
        stream: list[Step] = [Send(head(200, EVENT_STREAM, CHUNKED) + chunk(FIRST)), Stall()]
        return stream if b"stream" in received.body else [Stall()]

    limit_s = 600 if twice else 0.3  # nobody waits for 600 s here: what ends then was cut off by the second signal
    with (
        FakeUpstream(handler) as upstream,
        ProxyWorker(tmp_path, upstream.url, drain_timeout_s=limit_s) as proxy,
        proxy.connect() as streaming,
        proxy.connect() as waiting,
        proxy.connect() as sending,
    ):
        streaming.send(post(STREAMED_CHAT))
        waiting.send(post(CHAT) * 2)
        sending.send(post(CHAT)[:-5])
        upstream.wait_for_requests(2)
        streaming.read_until(FIRST)
        proxy.terminate()
        if twice:
            wait_until(lambda: is_refused(proxy))
            proxy.process.send_signal(signal.SIGTERM)
        cut = streaming.ends()
        assert LAST_CHUNK not in cut
        assert waiting.answer().status == 503
        assert sending.answer().error_code == "shutdown"
        assert proxy.ended() == 0
        records = proxy.records(4)
        assert {(record.outcome, record.error_type) for record in records} == {("proxy_error", "shutdown")}
        assert sorted(record.status_code or 0 for record in records) == [200, 503, 503, 503]


def test_a_health_check_while_draining_is_still_answered(tmp_path: Path) -> None:
    gate = Gate()
    with FakeUpstream([gate.wait(), Send(response(b"{}"))]) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        with proxy.connect() as client:
            client.send(post() + get(b"/ready", SHOWN_ALL) + get(b"/health", SHOWN_ALL))
            upstream.wait_for_requests(1)
            proxy.terminate()
            wait_until(lambda: is_refused(proxy))
            gate.open()
            assert client.answer().status == 200
            ready = client.answer(b"GET")
            assert (ready.status, ready.json()["reason"]) == (503, "draining")
            assert client.answer(b"GET").json()["draining"] is True
        assert proxy.ended() == 0


def test_killed_in_the_middle_the_request_is_on_record_as_opened(tmp_path: Path) -> None:
    with FakeUpstream([Stall()]) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        with proxy.connect() as client:
            client.send(post())
            upstream.wait_for_requests(1)
            proxy.kill()
            client.ends()
        assert proxy.closed() == []
        assert len(proxy.opened()) == 1


@pytest.mark.parametrize("kind", ["json", "upload"])
def test_the_server_never_sees_a_request_that_the_journal_does_not_know(tmp_path: Path, kind: str) -> None:
    """Whichever way it goes: the short one, the long one over a new connection, and in pieces."""
    known: list[bool] = []

    def handler(_request: Request) -> Script:
        known.append(len(worker[0].opened()) > len(known))
        return [Send(json_response({"usage": None}))]

    ask = post() if kind == "json" else post(b"x" * 1000, b"Content-Type: audio/wav", path=b"/v1/audio/transcriptions")
    with FakeUpstream(handler) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        worker = [proxy]
        for _connection in range(3):
            with proxy.connect() as client:
                for _request in range(30):
                    client.send(ask)
                    assert client.answer().status == 200
    assert known == [True] * 90


def test_killed_right_after_the_last_byte_the_record_is_whole(tmp_path: Path) -> None:
    with FakeUpstream([Pause(0.001), Send(json_response({"usage": None}))]) as upstream:
        for attempt in range(3):
            with ProxyWorker(tmp_path / str(attempt), upstream.url) as proxy, proxy.connect() as client:
                client.send(post())
                answer = client.answer()
                proxy.kill()
                assert proxy.record().request_id == answer.request_id


def test_a_worker_that_is_told_nonsense_says_so_and_ends(tmp_path: Path) -> None:
    with ProxyWorker(tmp_path, "http://127.0.0.1:1", no_such_option=1) as proxy:
        assert proxy.process.wait(10) == 2
        assert "no_such_option" in proxy.log
        proxy.kill()


def test_an_end_without_anything_to_do_waits_for_nothing(tmp_path: Path) -> None:
    with FakeUpstream(openai_handler) as upstream, ProxyWorker(tmp_path, upstream.url, drain_timeout_s=600) as proxy:
        assert proxy.ask(get()).status == 200
        with proxy.connect() as idle:
            idle.send(get())
            assert idle.answer(b"GET").status == 200
            proxy.stop()
