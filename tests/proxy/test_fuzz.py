"""Requests and answers with bytes changed at random: the worker stays alive and small, and keeps its books."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.proxy.client import CHAT, STREAMED_CHAT, get, post, request
from tests.proxy.harness import ProxyWorker
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    Close,
    FakeUpstream,
    Request,
    Reset,
    Script,
    Send,
    Stall,
    chat_completion,
    chat_events,
    chunk,
    chunked,
    head,
    json_response,
    openai_handler,
    response,
    usage_event,
)  # fmt: skip
from tests.waiting import wait_until

pytestmark = pytest.mark.system

SECONDS: Final = 4.0  # for each of the two tests
THREADS: Final = 6
LIMIT_S: Final = 0.15
LIMITS: Final = {
    "header_timeout_s": LIMIT_S, "body_timeout_s": LIMIT_S, "first_byte_timeout_s": LIMIT_S, "idle_timeout_s": LIMIT_S,
    "send_timeout_s": LIMIT_S, "keepalive_timeout_s": LIMIT_S, "connect_timeout_s": 1.0, "max_upload_bytes": 100_000,
    "max_body_bytes": 100_000,
}  # fmt: skip
GROWTH_BYTES: Final = 40 * 1024 * 1024

REQUESTS: Final = (
    post(),
    post(STREAMED_CHAT, b"Expect: 100-continue"),
    get() + post() + get(b"/health"),
    get(method=b"HEAD") + get(version=b"1.0"),
    request(b"POST", b"/v1/chat/completions", b"Transfer-Encoding: chunked") + chunked(CHAT[:9], CHAT[9:]) + get(),
    post(b"sound" * 100, b"Content-Type: audio/wav", path=b"/v1/audio/transcriptions") + post(),
    request(b"POST", b"/v1/audio/speech", b"Content-Type: x/y", b"Transfer-Encoding: chunked") + chunked(b"a" * 99),
    get(b"/v1/realtime", b"Upgrade: websocket", b"Connection: Upgrade") + b"\x81\x01x",
    post(CHAT, b"Upgrade: h2c", b"Connection: Upgrade", b"X-Forwarded-For: 1.2.3.4"),
    request(b"GET", b"http://other/v1/models?x=%2F"),
)  # fmt: skip
STREAM: Final = [*chat_events(), usage_event()]
ANSWERS: Final = (
    json_response(chat_completion()),
    head(200, EVENT_STREAM, CHUNKED) + chunked(*STREAM),
    head(200, EVENT_STREAM, CHUNKED) + chunk(STREAM[0]) + chunk(STREAM[1], b";a=b") + b"0\r\nT: 1\r\n\r\n",
    head(103) + json_response({"error": {"message": "m"}}, status=429),
    head(200, EVENT_STREAM) + b"".join(STREAM),
    head(204) + head(304, ("Content-Length", "5")),
    head(101, ("Upgrade", "websocket"), ("Connection", "Upgrade")) + b"\x81\x01y",
    response(b"x" * 3000, ("Content-Encoding", "gzip")),
)
PARTS: Final = (
    b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\t", b",", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"0\r\n\r\n", b"\r\n\r\n", b"9999999999", b"-1", b"chunked", b"HTTP/1.1", b"HTTP/1.0",
    b"\xff", b"data: ", b"{", b"}", b'"', b"Upgrade: websocket\r\n", b"100 Continue",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
)  # fmt: skip


def mutated(data: bytes, luck: random.Random) -> bytes:
    """``data`` with up to five changes; sometimes none."""
    changed = bytearray(data)
    for _ in range(luck.choice((0, 1, 1, 2, 3, 5))):
        at = luck.randrange(len(changed) + 1)
        match luck.randrange(6):
            case 0:
                changed[at : at + 1] = bytes((luck.randrange(256),))
            case 1:
                del changed[at : at + luck.choice((1, 2, 10, 100))]
            case 2:
                changed[at:at] = luck.choice(PARTS)
            case 3:
                changed[at:at] = changed[luck.randrange(len(changed) + 1) :][: luck.randrange(60)]
            case 4:
                changed[at:at] = luck.choice(PARTS) * luck.choice((2, 50, 5000))
            case _:
                del changed[at:]
    return bytes(changed)


def converse(proxy: ProxyWorker, data: bytes, luck: random.Random) -> None:
    """Say it, in pieces, and listen until the proxy ends the connection or the client has had enough."""
    with proxy.connect() as client:
        client.sock.settimeout(3)
        try:
            at = 0
            while at < len(data):
                step = luck.choice((1, 7, 100, 100_000, 100_000))
                client.send(data[at : at + step])
                at += step
                if step == 1 and luck.random() < 0.1:
                    time.sleep(0.001)
            if luck.random() < 0.1:
                client.reset()
                return
            if luck.random() < 0.2:
                client.half_close()
            while client.sock.recv(65536):
                pass
        except (ConnectionResetError, BrokenPipeError):
            pass
        except TimeoutError:
            pytest.fail(f"the proxy neither answered nor closed within 3 s: {data[:300]!r}")


def run(proxy: ProxyWorker, seed: int, say: Callable[[random.Random], bytes]) -> None:
    """As many conversations as the time allows, in several threads; then the books are checked."""
    for _ in range(30):
        proxy.ask(get(b"/health"))
    start = proxy.rss_bytes()
    end = time.monotonic() + SECONDS

    def one_after_the_other(number: int) -> int:
        luck = random.Random(seed + number)
        count = 0
        while time.monotonic() < end:
            converse(proxy, say(luck), luck)
            count += 1
        return count

    with ThreadPoolExecutor(THREADS) as threads:
        counts = list(threads.map(one_after_the_other, range(THREADS)))
    assert sum(counts) > 50
    assert proxy.process.poll() is None, proxy.log
    assert "internal error" not in proxy.log, proxy.log
    proxy.assert_every_request_has_one_record()
    wait_until(lambda: proxy.health()["workers"][0]["open_connections"] == 1)  # the one that asks
    worker = proxy.health()["workers"][0]
    assert worker["open_requests"] == 0
    assert worker["requests"] == len(proxy.closed())
    assert proxy.rss_bytes() - start < GROWTH_BYTES


@pytest.mark.parametrize("inject", [False, True])
def test_changed_requests(tmp_path: Path, inject: bool) -> None:
    def handler(received: Request) -> Script:
        return openai_handler(received) if received.body.startswith(b'{"model"') else [Send(response(b"{}"))]

    def say(luck: random.Random) -> bytes:
        return mutated(luck.choice(REQUESTS), luck)

    upstream = FakeUpstream(handler)
    with upstream, ProxyWorker(tmp_path, upstream.url, inject_usage=inject, **LIMITS) as proxy:
        try:
            run(proxy, 1000 + inject, say)
        finally:
            upstream._failures.clear()  # JSON that the fake server could not read is its own problem


def test_changed_answers(tmp_path: Path) -> None:
    luck = random.Random(7)

    def handler(_: Request) -> Script:
        data = mutated(luck.choice(ANSWERS), luck)
        return [Send(data, cut=luck.choice((None, None, 500, 50))), luck.choice((Close(), Reset(), Stall(), Send(b"")))]

    def say(luck: random.Random) -> bytes:
        return luck.choice(REQUESTS[:6]) + luck.choice((b"", REQUESTS[0], REQUESTS[2]))

    with FakeUpstream(handler) as upstream, ProxyWorker(tmp_path, upstream.url, **LIMITS) as proxy:
        run(proxy, 2000, say)
