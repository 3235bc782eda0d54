"""What never reached a server is sent again; what may have reached it is not."""

import errno
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.proxy import delivery
from llm_metrics_proxy.proxy.delivery import Sent, is_unsent
from llm_metrics_proxy.record import RequestRecord
from tests.proxy.client import CHAT, post
from tests.proxy.harness import ProxyWorker
from tests.upstream import (
    Certificate,
    Close,
    FakeUpstream,
    Gate,
    Handler,
    Pause,
    Reset,
    Script,
    Send,
    chat_completion,
    in_turn,
    json_response,
)  # fmt: skip
from tests.waiting import wait_until

OK = Send(json_response(chat_completion()))
LARGE = CHAT[:-1] + b',"user":"%b"}' % (b"x" * 6_000_000)


@pytest.mark.parametrize(
    ("now", "unsent"),
    [
        (None, False),  # not Linux
        (Sent(700, 700, peer_ended=False), True),  # dead before we wrote
        (Sent(700, 900, peer_ended=False), False),  # a time-out: it may have arrived
        (Sent(700, 900, peer_ended=True), True),
        (Sent(701, 900, peer_ended=True), False),
        (Sent(900, 900, peer_ended=True), False),
        (Sent(650, 900, peer_ended=True), False),  # not even what came before
        (Sent(0, 0, peer_ended=True), False),  # a kernel that does not count
    ],
)
def test_what_is_proof(now: Sent | None, unsent: bool) -> None:
    assert is_unsent(now, 700) is unsent


@pytest.mark.parametrize("seen_errno", [0, errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT])
def test_an_error_that_somebody_else_was_told_of_is_not_forgotten(seen_errno: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as ours:
        theirs, _ = listener.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        with pytest.raises(ConnectionResetError):
            ours.recv(1)
        found = delivery.sent(ours.fileno(), seen_errno)
    assert found is not None
    assert found.peer_ended is (seen_errno in {errno.EPIPE, errno.ECONNRESET})


def test_the_kernel_is_asked_without_touching_the_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as ours:
        theirs, _ = listener.accept()
        ours.sendall(b"x" * 99)
        theirs.recv(99)
        theirs.sendall(b"y")
        ours.recv(1)
        wait_until(lambda: delivery.sent(ours.fileno()) == Sent(100, 100, peer_ended=False))
        theirs.close()
        wait_until(lambda: delivery.sent(ours.fileno()) == Sent(100, 100, peer_ended=True))
        ours.sendall(b"z")
    assert delivery.sent(-1) is None


def test_what_is_no_tcp_connection_is_not_known(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        assert delivery.sent(file.fileno()) is None


def meet_a_closed_connection(proxy: ProxyWorker, servers: list[FakeUpstream], gate: Gate, body: bytes) -> RequestRecord:
    """The server closes while the proxy sleeps, after the client has asked: of two events that wait, the request is
    looked at first, as it came first."""
    with proxy.connect() as client:
        client.send(post())
        assert client.answer().status == 200
        with proxy.stopped():
            client.sock.setblocking(False)
            rest = post(body)
            rest = rest[client.sock.send(rest) :]
            client.sock.settimeout(10)
            gate.open()
            assert servers[0].connections[0].ended.wait(10)
            time.sleep(0.02)
        client.send(rest)
        assert client.answer().status == 200
    assert [received.body for server in servers for received in server.requests] == [CHAT, body]
    first, second = proxy.records(2)
    assert (first.retries, second.outcome) == (0, "completed")
    return second


def until_it_is_met(tmp_path: Path, handler: Handler, gates: list[Gate], body: bytes, **how: Any) -> RequestRecord:
    """Which event comes first is the system's choice in the end: the scene is played until it is the other one."""
    for number in range(20):
        gates.append(Gate())
        with (
            FakeUpstream(handler, **how.get("server", {})) as upstream,
            ProxyWorker(tmp_path / str(number), upstream.url, **how.get("options", {})) as proxy,
        ):
            record = meet_a_closed_connection(proxy, [upstream], gates[-1], body)
        if record.retries:
            assert (record.attempts, record.upstream_reused) == (2, False)
            assert record.attempt_errors == f"127.0.0.1:{upstream.port}:unsent"
            return record
    raise AssertionError("the FIN was always looked at first")


@pytest.mark.system
def test_a_post_that_was_never_read_is_sent_again(tmp_path: Path) -> None:
    gates: list[Gate] = []
    until_it_is_met(tmp_path, closing(gates), gates, CHAT)


@pytest.mark.system
def test_so_it_is_through_tls(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path)
    gates: list[Gate] = []
    options = {"upstream_ca_file": str(certificate.cert_file)}
    until_it_is_met(tmp_path, closing(gates), gates, CHAT, server={"tls": certificate}, options=options)


def closing(gates: list[Gate]) -> Handler:
    """The first connection answers once, and closes when it is told to."""
    return lambda received: [OK, gates[-1].wait(), Close()] if not received.connection else [OK]


@pytest.mark.system
def test_a_large_body_that_is_cut_off_unread_is_no_fault_of_the_client(tmp_path: Path) -> None:
    """Too large for one write: the kernel takes a part, and the rest fails."""
    gate = Gate()
    handler = in_turn([OK, gate.wait(), Close()], [OK])
    with FakeUpstream(handler) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        meet_a_closed_connection(proxy, [upstream], gate, LARGE)


@pytest.mark.system
def test_what_was_never_read_may_go_to_another_server(tmp_path: Path) -> None:
    """The first server closes unread, and takes no new connection."""
    for number in range(20):
        gate = Gate()
        with FakeUpstream([OK]) as well, FakeUpstream(in_turn([OK, gate.wait(), Close()])) as first:
            backends = [
                {"name": "first", "url": first.url, "weight": 100},
                {"name": "well", "url": well.url},
            ]
            with ProxyWorker(tmp_path / str(number), "", backends=backends) as proxy:
                with proxy.connect() as client:  # one that the proxy knows: one to be accepted is read after the FIN
                    client.send(post())
                    assert client.answer().status == 200
                    proxy.forget()
                    first._listener.shutdown(socket.SHUT_RDWR)
                    with proxy.stopped():
                        client.send(post())
                        gate.open()
                        assert first.connections[0].ended.wait(10)
                        time.sleep(0.02)
                    assert client.answer().status == 200
                record = proxy.record()
        assert len(well.requests) == 1
        if record.retries:
            assert (record.backend_name, record.attempts) == ("well", 3)
            assert record.attempt_errors == "first:unsent,first:connect_refused"
            return
    raise AssertionError("the FIN was always looked at first")


@pytest.mark.system
@pytest.mark.parametrize("script", [[Close()], [Pause(0.1), Reset()]])
def test_what_the_first_server_may_have_begun_never_goes_to_another(tmp_path: Path, script: Script) -> None:
    with FakeUpstream([OK]) as well, FakeUpstream(in_turn([OK], script)) as first:
        backends = [{"name": "first", "url": first.url, "weight": 100}, {"name": "well", "url": well.url}]
        with ProxyWorker(tmp_path, "", backends=backends) as proxy:
            assert [proxy.ask(post()).status, proxy.ask(post()).status] == [200, 502]
            assert proxy.records(2)[1].attempts == 1
        assert (len(first.requests), len(well.requests)) == (2, 0)
