"""A worker never runs out of descriptors: who cannot be served is told so, and nobody is reset."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic_ns
from typing import Final

import pytest

from llm_metrics_proxy import descriptors
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.proxy.capacity import ClientCapacity, Shares, share
from llm_metrics_proxy.proxy.downstream import Downstream
from tests.proxy.client import CHAT, STREAMED_CHAT, Answer, Client, get, post, request
from tests.proxy.desk import Desk, Transport
from tests.proxy.harness import ProxyWorker
from tests.proxy.test_admission import EVIL, PAGE, code, cors_of, split
from tests.proxy.test_body_memory import Counts
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    Certificate,
    FakeUpstream,
    Gate,
    Request,
    Script,
    Send,
    chunk,
    head,
    response,
)  # fmt: skip
from tests.waiting import wait_until

OK: Final = Send(response(b"{}"))
EVENT: Final = Send(chunk(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'))
END: Final = Send(chunk(b"data: [DONE]\n\n") + LAST_CHUNK)


@pytest.mark.parametrize(
    ("limit", "in_use", "through_tls", "expected"),
    [
        (128, 20, False, Shares(clients=40, refused=11, upstreams=41)),
        (128, 20, True, Shares(clients=27, refused=11, upstreams=27)),
        (64, 20, False, Shares(clients=12, refused=4, upstreams=12)),
        (1024, 20, False, Shares(clients=432, refused=123, upstreams=433)),
        (2**20, 20, False, Shares(clients=10_000, refused=512, upstreams=2**20 - 20 - 16 - 512 - 10_000)),
        (42, 20, False, Shares(clients=1, refused=4, upstreams=1)),
        (41, 20, False, None),
        (10, 20, False, None),
    ],
)
def test_descriptors_are_shared_out(limit: int, in_use: int, through_tls: bool, expected: Shares | None) -> None:
    found = share(limit, in_use, 10_000, through_tls=through_tls)
    assert found == expected
    if found is not None:
        each = 2 if through_tls else 1
        assert in_use + 16 + found.clients + found.refused + each * found.upstreams <= limit
        assert found.upstreams >= found.clients or limit == 2**20


def test_too_few_descriptors_are_a_clear_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "limit", lambda: 12)
    with pytest.raises(SettingsError, match=r"cannot serve anybody with 12: raise the limit of open files"):
        ClientCapacity(Counts(), 10).settle(10, 0, through_tls=False)  # type: ignore[arg-type]


def open_descriptors(proxy: ProxyWorker) -> int:
    return sum(1 for _ in Path(f"/proc/{proxy.process.pid}/fd").iterdir())


def cpu_s(proxy: ProxyWorker) -> float:
    fields = Path(f"/proc/{proxy.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.system
@pytest.mark.parametrize(("open_files", "least_served"), [(128, 30), (64, 6)])
def test_a_hundred_and_fifty_streams_are_served_or_told_503(tmp_path: Path, open_files: int, least_served: int) -> None:
    gate = Gate()

    def handler(received: Request) -> Script:
        return [Send(head(200, EVENT_STREAM, CHUNKED)), EVENT, gate.wait(), END] if received.method == "POST" else [OK]

    with (
        FakeUpstream(handler) as upstream,
        ProxyWorker(tmp_path, upstream.url, open_files=open_files) as proxy,
        ThreadPoolExecutor(150) as threads,
    ):
        proxy.health()

        def ask(number: int) -> Answer:
            del number
            return proxy.ask(post(STREAMED_CHAT))

        answers = [threads.submit(ask, number) for number in range(150)]
        wait_until(lambda: sum(answer.done() for answer in answers) >= 150 - 2 * open_files // 5, lambda: proxy.log)
        assert open_descriptors(proxy) <= open_files
        before_s = cpu_s(proxy)
        time.sleep(0.5)
        assert cpu_s(proxy) - before_s < 0.3
        gate.open()
        statuses = [answer.result().status for answer in answers]
        assert all(answer.result().whole for answer in answers)
        served = statuses.count(200)
        assert served >= least_served
        assert statuses.count(503) == 150 - served
        assert {answer.result().error_code for answer in answers if answer.result().status == 503} == {"saturated"}
        health = proxy.health()
        assert health["status"] == "degraded"
        assert any("open files" in reason for reason in health["reasons"]), health["reasons"]
        worker = health["workers"][0]
        assert worker["connections_refused"] == 150 - served
        assert 2 * worker["connections_limit"] < open_files
        records = proxy.records(served)
        assert {record.outcome for record in records} == {"completed"}
        assert "clients get 503" in proxy.log
        assert proxy.log.count("clients get 503") <= 3
        assert "too many open files" not in proxy.log.lower()


@pytest.mark.system
def test_who_says_nothing_is_told_too(tmp_path: Path) -> None:
    """Silent connections beyond the limit go away by themselves, and then others are served again."""
    with FakeUpstream([OK]) as upstream, ProxyWorker(tmp_path, upstream.url, open_files=64) as proxy:
        limit = proxy.health()["workers"][0]["connections_limit"]
        with ExitStack() as stack:
            clients: list[Client] = [stack.enter_context(proxy.connect()) for _ in range(limit + 12)]
            answers = [client.answer() for client in clients[limit:]]
            assert {answer.status for answer in answers} == {503}
            for client in clients[:limit]:
                client.send(get())
                assert client.answer(b"GET").status == 200
            with proxy.connect() as late:
                late.send(get())
                assert late.answer(b"GET").status == 503
        wait_until(lambda: proxy.ask(get()).status == 200)


@pytest.mark.system
def test_several_servers_share_what_there_is(tmp_path: Path) -> None:
    """Idle connections to one make room for connections to another."""
    with (
        FakeUpstream([OK]) as one,
        FakeUpstream([OK]) as two,
        FakeUpstream([OK]) as three,
        ThreadPoolExecutor(12) as threads,
    ):
        servers = {"one": one, "two": two, "three": three}
        backends = [{"name": name, "url": server.url, "models": [name]} for name, server in servers.items()]
        with ProxyWorker(tmp_path, "", backends=backends, open_files=64) as proxy:
            limit = proxy.health()["workers"][0]["connections_limit"]

            def ask(name: str) -> int:
                return proxy.ask(post(b'{"model":"%b"}' % name.encode())).status

            for _ in range(3):
                for name in servers:
                    assert set(threads.map(ask, [name] * (limit - 1))) == {200}
            assert "too many open files" not in proxy.log.lower()
            assert open_descriptors(proxy) < 64


@pytest.mark.system
def test_a_connection_through_tls_takes_two(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path)
    options = {"upstream_ca_file": str(certificate.cert_file), "open_files": 96}
    gate = Gate()
    with (
        FakeUpstream([gate.wait(), OK], tls=certificate) as upstream,
        ProxyWorker(tmp_path, upstream.url, **options) as proxy,
        ThreadPoolExecutor(60) as threads,
    ):
        limit = proxy.health()["workers"][0]["connections_limit"]
        answers = [threads.submit(proxy.ask, post()) for _ in range(60)]
        wait_until(lambda: sum(answer.done() for answer in answers) >= 60 - limit)
        assert open_descriptors(proxy) <= 96
        gate.open()
        assert {answer.result().status for answer in answers} == {200, 503}


@pytest.mark.system
def test_a_worker_that_could_serve_nobody_says_so(tmp_path: Path) -> None:
    proxy = ProxyWorker(tmp_path, "http://127.0.0.1:1", open_files=24)
    assert proxy.ended() == 2
    assert "raise the limit of open files" in proxy.log


# Who is turned away is told so in a way that browsers let pages read


def test_a_page_may_read_that_there_is_no_room() -> None:
    desk = Desk(learns=True, on_loopback=True, max_connections=0)
    for asked in (post(CHAT, PAGE, host=b"localhost"), request(b"GET", b"/health", PAGE, host=b"localhost")):
        status, fields, body = split(desk.say(asked))
        assert (status, code(body)) == (503, "saturated")
        assert dict(fields)["connection"] == "close"
        assert "retry-after" in dict(fields)
        cors = cors_of(fields)
        assert cors["access-control-allow-origin"] == PAGE[8:].decode()
        assert "Retry-After" in cors["access-control-expose-headers"]
        desk.leave()
        desk.client = Downstream(desk.context)
        desk.client.connection_made(Transport())  # type: ignore[arg-type]
    assert desk.recorder.records == []
    assert (desk.context.slot.get("connections_refused"), desk.context.slot.get("bad_requests")) == (2, 2)


@pytest.mark.parametrize("asked", [post(CHAT, EVIL, host=b"localhost"), post(CHAT, PAGE, host=b"evil.example")])
def test_another_page_or_name_is_turned_away_unreadably(asked: bytes) -> None:
    desk = Desk(learns=True, on_loopback=True, max_connections=0)
    status, fields, _ = split(desk.say(asked))
    assert (status, cors_of(fields)) == (503, {})


def test_the_head_may_come_in_pieces_and_a_preflight_is_answered_all_the_same() -> None:
    """A preflight that fails tells the page nothing; the request that follows it is then told."""
    desk = Desk(learns=True, on_loopback=True, max_connections=0)
    asked = post(CHAT, PAGE, host=b"localhost")
    assert desk.say(asked[:30]) == b""
    status, fields, _ = split(desk.say(asked[30:]))
    assert (status, "access-control-allow-origin" in cors_of(fields)) == (503, True)
    desk.leave()
    desk = Desk(learns=True, on_loopback=True, max_connections=0)
    line = b"Access-Control-Request-Method: POST"
    status, fields, _ = split(desk.say(request(b"OPTIONS", b"/v1/chat/completions", PAGE, line, host=b"localhost")))
    assert (status, dict(fields)["connection"]) == (204, "close")
    assert cors_of(fields)["access-control-allow-methods"] == "POST"
    assert getattr(desk.client.transport, "closed", True)
    assert desk.context.slot.get("connections_refused") == 0


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"GET / HTTP/1.1\r\nA: "])
def test_who_does_not_ask_properly_is_told_the_same(sent: bytes) -> None:
    desk = Desk(learns=True, max_connections=0)
    raw = desk.say(sent)
    if not raw:  # half a head: not for ever
        desk.client.check(monotonic_ns() + 2_100_000_000)
        raw = getattr(desk.client.transport, "written", b"")
    assert split(raw)[0] == 503
    assert desk.context.slot.get("connections_refused") == 1


def test_a_page_may_read_that_the_proxy_is_shutting_down() -> None:
    desk = Desk(learns=True, on_loopback=True)
    desk.context.draining = True
    desk.client = Downstream(desk.context)
    desk.client.connection_made(Transport())  # type: ignore[arg-type]
    status, fields, body = split(desk.say(post(CHAT, PAGE, host=b"localhost")))
    assert (status, code(body)) == (503, "shutdown")
    assert "access-control-allow-origin" in cors_of(fields)
    assert desk.context.slot.get("connections_refused") == 0


def test_a_page_may_read_that_its_body_found_no_room() -> None:
    desk = Desk(learns=True, on_loopback=True)
    desk.context.bodies.held_bytes = desk.context.bodies.limit_bytes
    status, fields, body = split(desk.say(post(CHAT, PAGE, host=b"localhost")))
    assert (status, code(body)) == (503, "saturated")
    assert "access-control-allow-origin" in cors_of(fields)
    [record] = desk.recorder.records
    assert (record.outcome, record.error_type, record.status_code) == ("proxy_error", "saturated", 503)
    assert desk.context.slot.get("bodies_refused") == 1


@pytest.mark.parametrize(("line", "host", "status"), [(EVIL, b"localhost", 403), (PAGE, b"evil.example", 421)])
def test_who_may_not_ask_is_told_that_even_where_there_is_no_room_for_bodies(
    line: bytes, host: bytes, status: int
) -> None:
    desk = Desk(learns=True, on_loopback=True)
    desk.context.bodies.held_bytes = desk.context.bodies.limit_bytes
    assert split(desk.say(post(CHAT, line, host=host)))[0] == status
    [record] = desk.recorder.records
    assert (record.outcome, record.status_code) == ("rejected", status)
    assert desk.context.slot.get("bodies_refused") == 0
