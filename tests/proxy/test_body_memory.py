"""Request bodies that a worker holds have one bound together, and give back what they had however they end."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from llm_metrics_proxy.proxy.body_memory import BodyMemory
from tests.proxy.client import CHAT, Client, get, post, request
from tests.proxy.harness import ProxyWorker
from tests.proxy.test_memory import MIB, Peak, warm
from tests.upstream import Close, FakeUpstream, Gate, Pause, Reset, Script, Send, Stall, json_response, response
from tests.waiting import wait_until

OK: Final = Send(response(b"{}"))
ANSWER: Final = Send(json_response({"id": "c", "model": "fake-1", "choices": []}))


def head(length: int, *lines: bytes) -> bytes:
    """Of a JSON request whose body is announced."""
    announced = b"Content-Length: %d" % length
    return request(b"POST", b"/v1/chat/completions", b"Content-Type: application/json", announced, *lines)


def body(size_bytes: int) -> bytes:
    """JSON of that size."""
    frame = CHAT[:-1] + b',"user":"%b"}'
    return frame % (b"x" * (size_bytes - len(frame) + 2))


def held(proxy: ProxyWorker) -> int:
    """Bytes that its scoreboard shows."""
    count: int = proxy.health()["workers"][0]["bodies_bytes"]
    return count


def holds_nothing(proxy: ProxyWorker) -> None:
    """All is given back."""
    wait_until(lambda: held(proxy) == 0, lambda: f"{held(proxy)} bytes are held")


@pytest.mark.system
def test_sixteen_halves_of_large_bodies_stay_within_the_bound(tmp_path: Path) -> None:
    """59 of 60 MiB each: without a bound that is 944 MiB."""
    bound, piece = 128 * MIB, b"x" * MIB
    with (
        FakeUpstream([OK]) as upstream,
        ProxyWorker(tmp_path, upstream.url, max_buffered_bytes=bound) as proxy,
        ExitStack() as stack,
    ):
        warm(proxy)
        clients = [stack.enter_context(proxy.connect()) for _ in range(16)]
        with Peak(proxy) as peak, ThreadPoolExecutor(16) as threads:
            for client in clients:
                client.send(head(60 * MIB))
            took = list(threads.map(lambda client: client.send_as_far_as_possible(piece, 59), clients))
        assert peak.growth_bytes < bound * 1.15, peak.growth_bytes
        health = proxy.health()
        refused = health["workers"][0]["bodies_refused"]
        assert 14 <= refused <= 16, (refused, took)
        assert health["status"] == "degraded"
        assert any("max_buffered_bytes" in reason for reason in health["reasons"]), health["reasons"]
        records = [record for record in proxy.records(refused + 20) if record.method == "POST"]
        assert {(record.outcome, record.error_type, record.status_code) for record in records} == {
            ("proxy_error", "saturated", 503)
        }
        assert all("max_buffered_bytes" in (record.error_message or "") for record in records)
        stack.close()
        holds_nothing(proxy)


@pytest.mark.system
def test_two_halves_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Together they are too large: the one that asks for room last is refused, and the other one is served."""
    with FakeUpstream([ANSWER]) as upstream, ProxyWorker(tmp_path, upstream.url, max_buffered_bytes=10 * MIB) as proxy:
        whole = body(8 * MIB)
        with proxy.connect() as first, proxy.connect() as second:
            for client in (first, second):
                client.send(head(len(whole)) + whole[: 4 * MIB])
            wait_until(lambda: held(proxy) == 8 * MIB)
            second.send_as_far_as_possible(whole[4 * MIB :], 1)
            refused = second.answer()
            assert (refused.status, refused.error_code) == (503, "saturated")
            assert int(refused.header(b"retry-after") or b"0") > 0
            first.send(whole[4 * MIB :])
            assert first.answer().status == 200
        assert [received.body for received in upstream.requests] == [whole]
        holds_nothing(proxy)


@pytest.mark.system
@pytest.mark.parametrize("chunked", [False, True])
def test_what_can_never_fit_is_too_large(tmp_path: Path, chunked: bool) -> None:
    with FakeUpstream([OK]) as upstream, ProxyWorker(tmp_path, upstream.url, max_buffered_bytes=MIB) as proxy:
        with proxy.connect() as client:
            if chunked:
                coding = b"Transfer-Encoding: chunked"
                client.send(request(b"POST", b"/v1/chat/completions", b"Content-Type: application/json", coding))
                client.send_as_far_as_possible(b"10000\r\n" + b"x" * 65536 + b"\r\n", 20)
            else:
                client.send(head(MIB + 1))
            answer = client.answer()
        assert (answer.status, answer.error_code) == (413, "request_too_large")
        assert proxy.record().outcome == "rejected"
        assert proxy.ask(post(body(MIB - 4096))).status == 200
        holds_nothing(proxy)


@pytest.mark.system
def test_small_requests_that_wait_for_answers_count_too(tmp_path: Path) -> None:
    """Also those on the short way, which takes an idle connection."""
    gate = Gate()
    size = 12 * 1024
    handler: Callable[[Any], Script] = lambda received: [gate.wait(), OK] if len(received.body) == size else [OK]  # noqa: E731
    with FakeUpstream(handler) as upstream, ProxyWorker(tmp_path, upstream.url, max_buffered_bytes=30_000) as proxy:
        with ThreadPoolExecutor(3) as threads, proxy.connect() as client:
            for _ in range(3):
                client.send(post())
                assert client.answer().status == 200
            client.send(post(body(size)))
            waiting = threads.submit(proxy.ask, post(body(size)))
            upstream.wait_for_requests(5)
            wait_until(lambda: held(proxy) == 2 * size)
            refused = proxy.ask(post(body(size)))
            assert (refused.status, refused.error_code) == (503, "saturated")
            assert proxy.ask(post()).status == 200
            gate.open()
            assert client.answer().status == 200
            assert waiting.result().status == 200
        holds_nothing(proxy)


@pytest.mark.system
def test_what_the_server_has_is_not_held_while_it_works(tmp_path: Path) -> None:
    """Answers take minutes: a body that is never sent again would take room for nothing."""
    gate = Gate()
    size = 900 * 1024
    with (
        FakeUpstream([gate.wait(), OK]) as upstream,
        ProxyWorker(tmp_path, upstream.url, max_buffered_bytes=MIB) as proxy,
        ThreadPoolExecutor(4) as threads,
    ):
        waiting = []
        for number in range(4):
            waiting.append(threads.submit(proxy.ask, post(body(size))))
            upstream.wait_for_requests(number + 1)
            holds_nothing(proxy)
        gate.open()
        assert [future.result().status for future in waiting] == [200] * 4
        assert {received.body for received in upstream.requests} == {body(size)}


def leaves(client: Client) -> None:
    client.close()


def resets(client: Client) -> None:
    client.reset()


def breaks_http(client: Client) -> None:
    client.send(b"no chunk\r\n")
    assert client.answer().status == 400


def stalls(client: Client) -> None:
    assert client.answer().status == 408


CHUNKED_HEAD: Final = request(
    b"POST", b"/v1/chat/completions", b"Content-Type: application/json", b"Transfer-Encoding: chunked"
)


@pytest.mark.system
@pytest.mark.parametrize("end", [leaves, resets, breaks_http, stalls])
def test_half_a_body_is_given_back(tmp_path: Path, end: Callable[[Client], None]) -> None:
    with FakeUpstream([OK]) as upstream, ProxyWorker(tmp_path, upstream.url, body_timeout_s=2.5) as proxy:
        with proxy.connect() as client:
            client.send(CHUNKED_HEAD + b"100000\r\n" + b"x" * MIB + b"\r\n")
            wait_until(lambda: held(proxy) == MIB)
            end(client)
            holds_nothing(proxy)
        assert upstream.requests == []


@pytest.mark.system
@pytest.mark.parametrize(
    "script",
    [[Close()], [Reset()], [Send(b"nonsense\r\n\r\n")], [Stall()], [Send(b"HTTP/1.1 103 E\r\n\r\n"), Pause(0.1), OK]],
    ids=["close", "reset", "nonsense", "silence", "early hints"],
)
@pytest.mark.parametrize("kind", [b"application/json", b"audio/wav"])
def test_a_whole_body_is_given_back(tmp_path: Path, script: Script, kind: bytes) -> None:
    with FakeUpstream(script) as upstream, ProxyWorker(tmp_path, upstream.url, first_byte_timeout_s=0.6) as proxy:
        for _ in range(2):
            with proxy.connect() as client:
                client.send(post(body(8 * 1024), b"Content-Type: " + kind))
                client.head()
        holds_nothing(proxy)


@pytest.mark.system
def test_a_body_for_nobody_is_given_back(tmp_path: Path) -> None:
    with ProxyWorker(tmp_path, "http://127.0.0.1:1") as proxy:
        assert proxy.ask(post(body(8 * 1024))).status == 502
        holds_nothing(proxy)


@pytest.mark.system
def test_a_server_that_answers_without_taking_the_body_leaves_nothing_behind(tmp_path: Path) -> None:
    """What waits for its socket would wait for ever on a connection that is kept."""
    refusal = Send(response(b"{}", status=413))
    with FakeUpstream([refusal, Stall()], early=True) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        for _ in range(3):
            assert proxy.ask(post(body(20 * MIB))).status == 413
        assert len(upstream.connections) == 3
        holds_nothing(proxy)
        wait_until(lambda: not proxy.has_connections_to(upstream.port))


@pytest.mark.system
def test_many_tiny_chunks_take_no_more_than_their_bytes(tmp_path: Path) -> None:
    """Objects of two bytes each would take forty times as much."""
    with FakeUpstream([ANSWER]) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        warm(proxy)
        whole = body(4 * MIB)
        chunks = b"".join(b"2\r\n%b\r\n" % whole[at : at + 2] for at in range(0, len(whole), 2)) + b"0\r\n\r\n"
        with Peak(proxy) as peak, proxy.connect() as client:
            client.send(CHUNKED_HEAD + chunks)
            assert client.answer().status == 200
        assert upstream.requests[-1].body == whole
        assert peak.growth_bytes < 24 * MIB, peak.growth_bytes


@pytest.mark.system
@pytest.mark.parametrize("kind", [b"application/json", b"audio/wav"])
def test_a_byte_now_and_then_is_no_body(tmp_path: Path, kind: bytes) -> None:
    """Never silent for long, and never done."""
    options = {"body_timeout_s": 1.0, "body_min_bytes_per_s": 1000}
    with FakeUpstream([Stall()], early=True) as upstream, ProxyWorker(tmp_path, upstream.url, **options) as proxy:
        with proxy.connect() as client:
            client.send(post(b"", b"Content-Type: " + kind).replace(b"Content-Length: 0", b"Content-Length: 60"))
            client.sock.settimeout(0.1)
            answer = b""
            for _ in range(100):
                if not answer:
                    client.send_as_far_as_possible(b"x", 1)
                try:
                    answer += client.sock.recv(4096)
                except TimeoutError:
                    continue
                break
        assert answer.startswith(b"HTTP/1.1 408 "), answer
        record = proxy.record()
        assert (record.outcome, record.error_type, record.status_code) == ("client_error", "slow_request", 408)
        assert 5 <= (record.request_bytes or 0) < 50
        holds_nothing(proxy)


@pytest.mark.system
def test_a_body_that_is_slow_but_fast_enough_arrives(tmp_path: Path) -> None:
    options = {"body_timeout_s": 0.5, "body_min_bytes_per_s": 100}
    with FakeUpstream([ANSWER]) as upstream, ProxyWorker(tmp_path, upstream.url, **options) as proxy:
        with proxy.connect() as client:
            whole = body(1000)
            client.send(head(len(whole)))
            client.send_slowly(whole, pause_s=0.1, cut=50)
            assert client.answer().status == 200
        assert upstream.requests[0].body == whole


@pytest.mark.system
def test_a_server_that_takes_its_time_is_no_fault_of_the_client(tmp_path: Path) -> None:
    """An upload that streams through waits for the server's socket; that time is not the client's."""
    gate = Gate()
    options = {"body_timeout_s": 0.5, "body_min_bytes_per_s": 100_000_000}
    upload = post(b"y" * (8 * MIB), b"Content-Type: audio/wav", path=b"/v1/audio/transcriptions")
    with (
        FakeUpstream([gate.wait(), OK], early=True) as upstream,
        ProxyWorker(tmp_path, upstream.url, **options) as proxy,
        ThreadPoolExecutor(1) as threads,
    ):
        waiting = threads.submit(proxy.ask, upload)
        upstream.wait_for_requests(1)
        time.sleep(1.5)
        gate.open()
        assert waiting.result().status == 200


@pytest.mark.system
def test_requests_that_wait_for_their_turn_take_room(tmp_path: Path) -> None:
    """One read may hold thousands, each of which takes fifty times as much as it sent."""
    with FakeUpstream([OK]) as upstream, ProxyWorker(tmp_path, upstream.url, max_buffered_bytes=MIB) as proxy:
        with proxy.connect() as client:
            client.send(get() * 3000)
            statuses = []
            while 503 not in statuses:
                statuses.append(client.answer(b"GET").status)
            assert client.ends() == b""
        assert statuses[:-1] == [200] * (len(statuses) - 1)
        assert 250 < len(statuses) < 1000
        with proxy.connect() as client:
            client.send(get() * 200)  # and leaves
        holds_nothing(proxy)


class Counts:
    """A slot that keeps what it is told."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}

    def add(self, name: str, amount: int = 1) -> None:
        self.values[name] = self.values.get(name, 0) + amount

    def set(self, name: str, value: int) -> None:
        self.values[name] = value


def test_what_is_held_is_shown() -> None:
    slot = Counts()
    memory = BodyMemory(slot, 100)  # type: ignore[arg-type]
    memory.held_bytes = 60
    assert [memory.has_room(40), memory.has_room(41)] == [True, False]
    memory.refused()
    memory.refused()
    memory.publish()
    assert slot.values.pop("bodies_refused_unix_ms") > 0
    assert slot.values == {"bodies_refused": 2, "bodies_bytes": 60, "bodies_limit_bytes": 100}
