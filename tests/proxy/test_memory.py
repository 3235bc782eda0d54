"""Back-pressure: whoever is slow, the worker's memory stays where it was."""

import socket
import threading
import time
from typing import Final

import pytest

from tests.proxy.client import STREAMED_CHAT, Client, get, post, request
from tests.proxy.harness import ProxyWorker
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    FakeUpstream,
    ReadBody,
    Request,
    Script,
    Send,
    Stall,
    chunk,
    head,
    response,
)  # fmt: skip
from tests.waiting import wait_until

pytestmark = pytest.mark.system

MIB: Final = 1024 * 1024
ALLOWED_BYTES: Final = 30 * MIB
PIECE: Final = b"x" * (256 * 1024)


class Peak:
    """The worker's largest resident size above its start, measured by a thread of its own."""

    def __init__(self, proxy: ProxyWorker) -> None:
        self._proxy = proxy
        self._start = proxy.rss_bytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.growth_bytes = 0

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.growth_bytes = max(self.growth_bytes, self._proxy.rss_bytes() - self._start)


def warm(proxy: ProxyWorker) -> None:
    """Let the worker allocate what it needs anyway."""
    for _ in range(20):
        assert proxy.ask(get()).status == 200


def read_all(client: Client) -> int:
    """Bytes until the proxy closes."""
    total = 0
    while data := client.sock.recv(1_000_000):
        total += len(data)
    return total


def test_a_client_that_does_not_read_holds_up_the_server_and_not_memory(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pieces = 800  # 200 MiB

    def handler(received: Request) -> Script:
        if received.method == "GET":
            return [Send(response(b"{}"))]
        return [Send(head(200, EVENT_STREAM, CHUNKED)), *[Send(chunk(PIECE))] * pieces, Send(LAST_CHUNK)]

    with FakeUpstream(handler) as upstream, ProxyWorker(tmp_path_factory.mktemp("memory"), upstream.url) as proxy:
        warm(proxy)
        with Peak(proxy) as peak, proxy.connect(receive_buffer_bytes=65536) as client:
            client.send(post(STREAMED_CHAT, b"Connection: close"))
            time.sleep(0.7)
            assert client.sock.recv(1)
            assert read_all(client) > pieces * len(PIECE)
        assert peak.growth_bytes < ALLOWED_BYTES
        assert proxy.records(21)[-1].response_bytes == pieces * len(PIECE)


def test_a_client_that_pipelines_and_does_not_read_holds_up_its_own_requests(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    def handler(received: Request) -> Script:
        return [Send(response(b"x" * (8 * MIB if "large" in received.target else 2)))]

    with FakeUpstream(handler) as upstream, ProxyWorker(tmp_path_factory.mktemp("memory"), upstream.url) as proxy:
        warm(proxy)
        with Peak(proxy) as peak, proxy.connect(receive_buffer_bytes=4096) as client:
            client.send(get(b"/v1/models/large") * 30)
            time.sleep(1.0)
            assert len(upstream.requests) < 20 + 5
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            for _ in range(30):
                assert len(client.answer(b"GET").body) == 8 * MIB
        assert peak.growth_bytes < ALLOWED_BYTES
        assert len(proxy.records(50)) == 50


def test_a_server_that_does_not_read_holds_up_the_client_and_not_memory(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pieces = 800  # 200 MiB
    go_on = threading.Event()

    def handler(received: Request) -> Script:
        if received.method == "GET":
            return [Send(response(b"{}"))]
        go_on.wait(10)
        return [ReadBody(piece=1_000_000), Send(response(b"{}"))]

    with (
        FakeUpstream(handler, early=True, receive_buffer_bytes=65536) as upstream,
        ProxyWorker(tmp_path_factory.mktemp("memory"), upstream.url) as proxy,
    ):
        warm(proxy)
        with Peak(proxy) as peak, proxy.connect() as client:
            lines = (b"Content-Type: audio/wav", b"Content-Length: %d" % (pieces * len(PIECE)))
            client.send(request(b"POST", b"/v1/audio/transcriptions", *lines))
            sending = threading.Thread(target=client.send_as_far_as_possible, args=(PIECE, pieces))
            sending.start()
            time.sleep(0.7)
            assert sending.is_alive()
            go_on.set()
            sending.join(30)
            assert client.answer().status == 200
        assert peak.growth_bytes < ALLOWED_BYTES
        assert proxy.records(21)[-1].request_bytes == pieces * len(PIECE)


def test_a_large_json_body_passes_and_a_larger_one_is_refused_within_bounds(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        FakeUpstream([Send(response(b"{}"))]) as upstream,
        ProxyWorker(tmp_path_factory.mktemp("memory"), upstream.url) as proxy,
    ):
        warm(proxy)
        with Peak(proxy) as refused, proxy.connect() as client:
            lines = (b"Content-Type: application/json", b"Transfer-Encoding: chunked")
            client.send(request(b"POST", b"/v1/chat/completions", *lines))
            client.send_as_far_as_possible(chunk(PIECE), 400)  # 100 MiB
            assert client.answer().status == 413
            client.ends()
        assert refused.growth_bytes < 64 * MIB + ALLOWED_BYTES
        body = b'{"model":"big","messages":[{"role":"user","content":"%b"}]}' % (b"x" * (64 * MIB - 60))
        with Peak(proxy) as passed:
            assert proxy.ask(post(body[:-2] + b"]}")).status == 200
        assert passed.growth_bytes < 4 * 64 * MIB
        assert upstream.requests[-1].body == body
        wait_until(lambda: proxy.rss_bytes() < 3 * 64 * MIB)
        big, too_big = proxy.records(22)[-1], proxy.records(22)[-2]
    assert (big.model, big.message_count, big.request_bytes) == ("big", 1, len(body))
    assert (too_big.status_code, too_big.outcome) == (413, "rejected")


def test_bodies_that_wait_for_their_turn_are_not_read_ahead(tmp_path_factory: pytest.TempPathFactory) -> None:
    answer = threading.Event()

    def handler(received: Request) -> Script:
        if received.method == "POST":
            answer.wait(10)
        return [Send(response(b"{}"))]

    with FakeUpstream(handler) as upstream, ProxyWorker(tmp_path_factory.mktemp("memory"), upstream.url) as proxy:
        warm(proxy)
        with Peak(proxy) as peak, proxy.connect() as client:
            sending = threading.Thread(target=client.send, args=(post() + post(b" " * (60 * MIB)) + post(),))
            sending.start()
            time.sleep(0.4)
            assert peak.growth_bytes < ALLOWED_BYTES
            assert sending.is_alive()
            answer.set()
            assert [client.answer().status for _ in range(3)] == [200] * 3
            sending.join()
        assert len(proxy.records(23)) == 23


def test_two_hundred_idle_streams_cost_little_each(tmp_path_factory: pytest.TempPathFactory) -> None:
    def handler(received: Request) -> Script:
        return [Send(head(200, EVENT_STREAM, CHUNKED) + chunk(b"data: {}\n\n")), Stall()]

    with FakeUpstream(handler) as upstream, ProxyWorker(tmp_path_factory.mktemp("memory"), upstream.url) as proxy:
        with proxy.connect() as first:
            first.send(post(STREAMED_CHAT))
            first.head()
            start = proxy.rss_bytes()
            clients = [proxy.connect() for _ in range(200)]
            for client in clients:
                client.send(post(STREAMED_CHAT))
            for client in clients:
                assert client.head().status == 200
            assert proxy.rss_bytes() - start < 200 * 64 * 1024
            for client in clients:
                client.close()
        assert {record.outcome for record in proxy.records(201)} == {"client_disconnected"}
