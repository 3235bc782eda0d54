"""The fake server does what its scripts say: these stories are what every other test stands on."""

import socket
import ssl
import time
from pathlib import Path

import pytest

from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    Certificate,
    Close,
    Echo,
    FakeUpstream,
    Gate,
    HalfClose,
    Pause,
    ReadBody,
    Receive,
    Request,
    Reset,
    Script,
    Send,
    Stall,
    chat_events,
    chunk,
    chunked,
    head,
    in_turn,
    json_response,
    openai_handler,
    response,
    stream_script,
    unanswered_port,
    unused_port,
)

GET = b"GET /x?y=%2F HTTP/1.1\r\nHost: a\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\n"


def dial(upstream: FakeUpstream) -> socket.socket:
    return socket.create_connection(("127.0.0.1", upstream.port), timeout=5)


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_it_sends_the_literal_bytes_and_keeps_the_literal_request() -> None:
    reply = response(b"hello", ("X-Odd-Case", "kept"))
    with FakeUpstream([Send(reply, cut=3), Close()]) as upstream, dial(upstream) as sock:
        sock.sendall(GET)
        assert read_all(sock) == reply
        (request,) = upstream.wait_for_requests(1)
    assert (request.method, request.target, request.raw) == ("GET", "/x?y=%2F", GET)
    assert request.fields == [(b"Host", b"a"), (b"X-Twice", b"1"), (b"x-twice", b"2")]
    assert upstream.connections[0].received == GET


def test_keep_alive_serves_scripts_in_turn_and_an_unexpected_request_fails_the_test() -> None:
    scripts = in_turn([Send(response(b"one"))], [Send(response(b"two"))])
    with pytest.raises(AssertionError, match="unexpected request"), FakeUpstream(scripts) as upstream:  # noqa: PT012
        with dial(upstream) as sock:
            for body in (b"one", b"two"):
                sock.sendall(GET)
                assert sock.recv(65536) == response(body)
            sock.sendall(GET)
            assert read_all(sock) == b""
        assert len(upstream.connections) == 1


@pytest.mark.parametrize("trailers", [(), [("x-after", "1")]])
def test_a_chunked_request_body_is_put_together(trailers: list[tuple[str, str]]) -> None:
    body = chunked(b'{"model"', b':"m"}', trailers=trailers)
    with FakeUpstream([Send(response(b"")), Close()]) as upstream, dial(upstream) as sock:
        for byte in b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body:
            sock.sendall(bytes([byte]))
        assert read_all(sock) == response(b"")
    assert upstream.requests[0].json() == {"model": "m"}
    assert upstream.requests[0].raw.endswith(body)


def test_a_reset_is_a_reset_and_a_close_is_not() -> None:
    with FakeUpstream(in_turn([Send(b"x"), Close()], [Send(b"x"), Pause(0.05), Reset()])) as upstream:
        with dial(upstream) as sock:
            sock.sendall(GET)
            assert read_all(sock) == b"x"
        with dial(upstream) as sock:
            sock.sendall(GET)
            assert sock.recv(1) == b"x"
            with pytest.raises(ConnectionResetError):
                sock.recv(1)


def test_a_connection_can_end_before_anything_is_read() -> None:
    with FakeUpstream(on_connect=[Send(b"garbage"), Close()]) as upstream, dial(upstream) as sock:
        assert read_all(sock) == b"garbage"
    assert upstream.requests == []


def test_a_gate_holds_the_script_until_the_test_opens_it() -> None:
    gate = Gate()
    with FakeUpstream([Send(b"a"), gate.wait(), Send(b"b"), Close()]) as upstream, dial(upstream) as sock:
        sock.sendall(GET)
        assert gate.reached.wait(10)
        assert sock.recv(9) == b"a"
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(9)
        gate.open()
        sock.settimeout(5)
        assert read_all(sock) == b"b"


def test_it_notices_at_once_that_the_client_left_in_the_middle_of_a_stream() -> None:
    with FakeUpstream([Send(head(200, EVENT_STREAM, CHUNKED)), Stall()]) as upstream:
        with dial(upstream) as sock:
            sock.sendall(GET)
            sock.recv(65536)
        assert upstream.connections[0].peer_closed.wait(10)
        assert upstream.connections[0].ended.wait(10)


def test_an_early_handler_answers_before_the_body_and_may_read_it_slowly() -> None:
    body = b"x" * 50_000
    script: Script = [
        Send(b"HTTP/1.1 100 Continue\r\n\r\n"),
        ReadBody(piece=10_000, pause_s=0.01),
        Send(response(b"ok")),
        Close(),
    ]
    with FakeUpstream(script, early=True, receive_buffer_bytes=4096) as upstream, dial(upstream) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body))
        assert sock.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        started = time.monotonic()
        sock.sendall(body)
        assert read_all(sock) == response(b"ok")
        assert time.monotonic() - started > 0.04
    assert upstream.requests[0].body == body


def test_a_body_that_is_never_read_stops_the_sender() -> None:
    with FakeUpstream([Stall()], early=True, receive_buffer_bytes=4096) as upstream, dial(upstream) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n")
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.sendall(b"x" * 9_000_000)


def test_a_client_that_reads_slowly_still_gets_everything() -> None:
    reply = response(b"y" * 3_000_000)
    with FakeUpstream([Send(reply), Close()]) as upstream, dial(upstream) as sock:
        sock.sendall(GET)
        time.sleep(0.2)
        assert read_all(sock) == reply


def test_after_a_101_the_connection_is_a_pipe() -> None:
    upgraded = head(101, ("upgrade", "websocket"), ("connection", "upgrade"))
    with FakeUpstream([Send(upgraded), Receive(3), Send(b"seen"), Echo()]) as upstream, dial(upstream) as sock:
        sock.sendall(GET + b"abc")
        assert sock.recv(len(upgraded), socket.MSG_WAITALL) == upgraded
        assert sock.recv(4, socket.MSG_WAITALL) == b"seen"
        sock.sendall(b"echo me")
        assert sock.recv(7, socket.MSG_WAITALL) == b"echo me"


def test_a_half_closed_connection_still_listens() -> None:
    with FakeUpstream([HalfClose(), Receive(4), Close()], early=True) as upstream, dial(upstream) as sock:
        sock.sendall(GET)
        assert read_all(sock) == b""
        sock.sendall(b"more")
        assert upstream.connections[0].ended.wait(10)
    assert upstream.connections[0].received == GET + b"more"


def test_it_speaks_tls_with_a_certificate_that_the_client_can_check(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path)
    context = ssl.create_default_context(cafile=str(certificate.cert_file))
    with (
        FakeUpstream([Send(response(b"safe")), Close()], tls=certificate) as upstream,
        context.wrap_socket(dial(upstream), server_hostname="127.0.0.1") as sock,
    ):
        sock.sendall(GET)
        assert sock.recv(65536) == response(b"safe")
    assert upstream.url.startswith("https://")


def test_the_openai_handler_streams_when_asked_and_reports_usage_when_asked() -> None:
    def ask(body: str) -> bytes:
        request = Request("POST", "/v1/chat/completions", "HTTP/1.1", [], b"", 0, body=body.encode())
        return b"".join(step.data for step in openai_handler(request) if isinstance(step, Send))

    assert b'"total_tokens":15' in ask('{"model":"m"}')
    events = chat_events(model="m", include_usage=True)
    wanted = head(200, EVENT_STREAM, CHUNKED) + chunked(*events)
    assert ask('{"model":"m","stream":true,"stream_options":{"include_usage":true}}') == wanted


def test_building_blocks_are_exact() -> None:
    assert chunk(b"a" * 16, b";x=y") == b"10;x=y\r\n" + b"a" * 16 + b"\r\n"
    assert json_response({"a": 1}, status=404).startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert stream_script([b"e"], cut=1)[1] == Send(b"1\r\ne\r\n", cut=1)


def test_unused_ports_refuse_and_unanswered_ports_never_answer() -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", unused_port()), timeout=2)
    with unanswered_port() as port, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", port), timeout=0.3)
