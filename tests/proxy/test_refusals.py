"""What must not pass is refused: with the right status, in words, and closing where nothing can follow."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.proxy.client import CHAT, Answer, Client, get, post, request
from tests.proxy.conftest import Stage
from tests.proxy.harness import ProxyWorker
from tests.upstream import FakeUpstream, Send, openai_handler, response

pytestmark = pytest.mark.system

POST = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"

BAD_HEADS = {
    "length beside coding": POST + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding beside length": POST + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "chunked is not last": POST + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "chunked is not last, in fields": POST + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
    "no chunked at all": POST + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
    "nearly chunked": POST + HOST + b"Transfer-Encoding: xchunked\r\n\r\n",
    "coding without a value": POST + HOST + b"Transfer-Encoding:\r\n\r\n",
    "coding in HTTP/1.0": b"POST /v1/embeddings HTTP/1.0\r\n" + HOST + CHUNKED + b"0\r\n\r\n",
    "two lengths": POST + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "the same length twice": POST + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
    "length list": POST + HOST + b"Content-Length: 1, 1\r\n\r\n",
    "length with a sign": POST + HOST + b"Content-Length: +1\r\n\r\n",
    "negative length": POST + HOST + b"Content-Length: -1\r\n\r\n",
    "hexadecimal length": POST + HOST + b"Content-Length: 0x1\r\n\r\n",
    "empty length": POST + HOST + b"Content-Length: \r\n\r\n",
    "length beyond 64 bits": POST + HOST + b"Content-Length: 18446744073709551617\r\n\r\n",
    "no host": POST + b"Content-Length: 0\r\n\r\n",
    "two hosts": POST + HOST + HOST + b"\r\n",
    "host with a slash": POST + b"Host: a/b\r\n\r\n",
    "host with a user": POST + b"Host: u@a\r\n\r\n",
    "host with a space": POST + b"Host: a b\r\n\r\n",
    "space before a colon": POST + b"Host : a\r\n\r\n",
    "folded line": POST + HOST + b"X-A: 1\r\n 2\r\n\r\n",
    "line without a colon": POST + HOST + b"X-A\r\n\r\n",
    "empty name": POST + HOST + b": 1\r\n\r\n",
    "name with a bracket": POST + HOST + b"X(A: 1\r\n\r\n",
    "NUL in a value": POST + HOST + b"X-A: 1\x002\r\n\r\n",
    "CR in a value": POST + HOST + b"X-A: 1\r2\r\n\r\n",
    "LF in a value": POST + HOST + b"X-A: 1\nX-B: 2\r\n\r\n",
    "bare LF as the line's end": b"GET / HTTP/1.1\nHost: a\n\n",
    "space in the target": b"GET /v1/mod els HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL in the target": b"GET /v1/\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "eight-bit target": b"GET /v1/\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk of another method": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "foreign scheme": b"GET ftp://a/v1/models HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute target without an authority": b"GET http:///v1/models HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute target with a user": b"GET http://u@a/v1/models HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_HEADS)
@pytest.mark.parametrize("cut", [None, 1])
def test_malformed_heads_get_400_and_the_end_of_the_connection(stage: Stage, name: str, cut: int | None) -> None:
    data = BAD_HEADS[name]
    with stage.proxy.connect() as client:
        if cut is None:
            client.send(data + get())
        else:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.send_slowly(data, pause_s=0)
        answer = client.answer()
        assert answer.status == 400, answer
        assert answer.header(b"connection") == b"close"
        assert answer.error_code
        assert answer.request_id
        assert client.ends() == b""
    assert stage.proxy.closed() == []


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "http_version_not_supported"),
        (b"GET /\r\n\r\n", 505, "http_version_not_supported"),
        (b"BREW /v1/models HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method_not_supported"),
        (b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n\r\nsecret", 501, "method_not_supported"),
        (b"TRACE /v1/models HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method_not_supported"),
        (POST + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "transfer_coding_not_supported"),
        (POST + HOST + b"Expect: 200-ok\r\nContent-Length: 3\r\n\r\nabc", 417, "expectation_failed"),
    ],
)  # fmt: skip
def test_what_this_proxy_does_not_do_is_told_apart(stage: Stage, data: bytes, status: int, code: str) -> None:
    with stage.proxy.connect() as client:
        client.send(data)
        answer = client.answer()
        assert (answer.status, answer.error_code) == (status, code)
        assert client.ends() == b""


def test_a_host_with_spaces_around_it_is_a_host(stage: Stage) -> None:
    with stage.play(openai_handler):
        assert stage.proxy.ask(b"GET /v1/models HTTP/1.1\r\nHost: \t a.example:80 \r\n\r\n").status == 200


@pytest.mark.parametrize("coding", [b"Chunked", b"CHUNKED ", b",chunked"])
def test_the_coding_is_read_whatever_its_spelling(stage: Stage, coding: bytes) -> None:
    with stage.play(openai_handler) as upstream:
        head = POST + HOST + b"Content-Type: application/json\r\nTransfer-Encoding: " + coding + b"\r\n\r\n"
        with stage.proxy.connect() as client:
            client.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHAT), CHAT))
            status = client.answer().status
    assert status in {200, 400}
    assert [received.body for received in upstream.requests] == [CHAT] * (status == 200)


BAD_BODIES = {
    "size with a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size with a space": b"5 \r\nhello\r\n0\r\n\r\n",
    "empty size": b"\r\nhello\r\n0\r\n\r\n",
    "size beyond 64 bits": b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "no CRLF after the data": b"5\r\nhelloworld\r\n0\r\n\r\n",
    "a length among the trailers": b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    "a folded trailer": b"5\r\nhello\r\n0\r\nA: 1\r\n 2\r\n\r\n",
}


@pytest.mark.parametrize("kind", [b"application/json", b"audio/wav"])
@pytest.mark.parametrize("name", BAD_BODIES)
def test_malformed_bodies_get_400_and_a_record(stage: Stage, name: str, kind: bytes) -> None:
    with stage.play(openai_handler) as upstream, stage.proxy.connect() as client:
        client.send(POST + HOST + b"Content-Type: " + kind + b"\r\n" + CHUNKED + BAD_BODIES[name] + get())
        answer = client.answer()
        assert (answer.status, answer.error_code) == (400, "bad_http")
        assert client.ends() == b""
        record = stage.proxy.record()
    assert (record.outcome, record.error_type, record.status_code) == ("client_error", "bad_http", 400)
    assert record.request_id == answer.request_id
    assert upstream.requests == []


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyWorker]:
    """A worker with small limits."""
    folder = tmp_path_factory.mktemp("small")
    limits = {"max_header_bytes": 4096, "max_header_count": 20, "max_body_bytes": 1000, "max_upload_bytes": 5000}
    with FakeUpstream([Send(response(b"{}"))]) as upstream, ProxyWorker(folder, upstream.url, **limits) as proxy:
        yield proxy
        proxy.assert_every_request_has_one_record()


def refused_while_sending(client: Client, head: bytes, piece: bytes, pieces: int) -> Answer:
    """The answer, read by a client that first sends all it can."""
    client.send(head)
    client.send_as_far_as_possible(piece, pieces)
    answer = client.answer()
    assert answer.header(b"connection") == b"close"
    client.ends()
    return answer


def test_ten_thousand_fields_get_431(small: ProxyWorker) -> None:
    with small.connect() as client:
        answer = refused_while_sending(client, b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-A: b\r\n" * 100, 100)
    assert (answer.status, answer.error_code) == (431, "header_too_large")


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"GET / HTTP/1.1\r\nHost: a\r\nX"])
def test_one_endless_line_gets_431(small: ProxyWorker, start: bytes) -> None:
    with small.connect() as client:
        answer = refused_while_sending(client, start, b"a" * 10_000, 100)
    assert (answer.status, answer.error_code) == (431, "header_too_large")


@pytest.mark.parametrize("cut", [None, 512, 1])
def test_heads_up_to_the_limit_pass_however_they_are_cut(small: ProxyWorker, cut: int | None) -> None:
    for size, status in ((3900, 200), (4200, 431)):
        data = get(b"/v1/models", b"X-A: " + b"a" * size)
        with small.connect() as client:
            client.send_slowly(data, pause_s=0, cut=cut or len(data))
            assert client.answer(b"GET").status == status


def test_the_limit_on_heads_does_not_count_the_body_before_them(small: ProxyWorker) -> None:
    with small.connect() as client:
        upload = post(b"a" * 4990, b"Content-Type: audio/wav", path=b"/v1/audio/transcriptions")
        second = get(b"/v1/models", b"X-A: " + b"a" * 3000)
        client.send(upload + second[:1500])
        client.send_slowly(second[1500:], cut=500)
        assert [client.answer().status, client.answer(b"GET").status] == [200, 200]


@pytest.mark.parametrize("count", [19, 20, 21])
def test_the_limit_on_fields_is_exact(small: ProxyWorker, count: int) -> None:
    fields = [b"X-%d: 1" % number for number in range(count - 1)]  # and Host
    assert small.ask(get(b"/v1/models", *fields)).status == (200 if count <= 20 else 431)


@pytest.mark.parametrize(
    ("kind", "limit"), [(b"application/json", 1000), (b"audio/wav", 5000), (b"application/vnd.x+json; a=b", 1000)]
)
def test_bodies_up_to_the_limit_pass_and_longer_ones_get_413(small: ProxyWorker, kind: bytes, limit: int) -> None:
    lines = (b"Content-Type: " + kind,)
    assert small.ask(post(b"a" * limit, *lines)).status == 200
    small.forget()
    answer = small.ask(post(b"a" * (limit + 1), *lines))
    assert (answer.status, answer.error_code) == (413, "request_too_large")
    record = small.record()
    assert (record.outcome, record.error_type, record.status_code) == ("rejected", "too_large", 413)
    assert record.request_id == answer.request_id


@pytest.mark.parametrize("kind", [b"application/json", b"audio/wav"])
@pytest.mark.parametrize("framing", [b"Content-Length: 50000000", b"Transfer-Encoding: chunked"])
def test_a_client_that_goes_on_sending_still_gets_to_read_its_413(
    small: ProxyWorker, kind: bytes, framing: bytes
) -> None:
    small.forget()
    head = request(b"POST", b"/v1/embeddings", b"Content-Type: " + kind, framing)
    piece = b"%x\r\n%b\r\n" % (10_000, b"a" * 10_000) if b"chunked" in framing else b"a" * 10_000
    with small.connect() as client:
        answer = refused_while_sending(client, head, piece, 500)
    assert answer.status == 413
    assert small.record().outcome == "rejected"


def test_the_client_that_asked_first_is_not_made_to_send(small: ProxyWorker) -> None:
    for path, length, status in ((b"/v1/embeddings", 1001, 413), (b"/api/pull", 10, 403)):
        asked = request(b"POST", path, b"Expect: 100-continue", b"Content-Length: %d" % length)
        with small.connect() as client:
            client.send(asked)
            assert client.answer().status == status
            assert client.ends() == b""


@pytest.mark.parametrize("kind", [b"application/json", b"audio/wav"])
def test_the_client_that_asks_first_is_told_to_continue(stage: Stage, kind: bytes) -> None:
    with stage.play(lambda _: [Send(response(b"{}"))]) as upstream, stage.proxy.connect() as client:
        for _ in range(2):
            lines = (b"Content-Type: " + kind, b"Expect: 100-Continue", b"Content-Length: %d" % len(CHAT))
            client.send(request(b"POST", b"/v1/embeddings", *lines))
            assert client.head().status == 100
            client.send(CHAT)
            assert client.answer().status == 200
    assert [received.body for received in upstream.requests] == [CHAT, CHAT]
    assert upstream.requests[0].header("expect") is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (b"POST", b"/api/pull"),
        (b"DELETE", b"/api/delete"),
        (b"POST", b"/v1/chat/completions/../../../api/pull"),
        (b"POST", b"/v1/%2e%2e/api/pull"),
        (b"GET", b"/metrics"),
    ],
)
def test_administration_is_refused_and_recorded(stage: Stage, method: bytes, path: bytes) -> None:
    with stage.play() as upstream:
        answer = stage.proxy.ask(request(method, path, b"Content-Length: 0"))
        assert (answer.status, answer.error_code) == (403, "path_not_allowed")
        assert answer.header(b"connection") is None
        record = stage.proxy.record()
    assert (record.outcome, record.error_type, record.status_code) == ("rejected", "forbidden", 403)
    assert record.upstream_status_code is None
    assert record.endpoint == path.decode()
    assert upstream.requests == []


def test_allowed_paths_pass_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("allowed")
    with (
        FakeUpstream([Send(response(b"{}"))]) as upstream,
        ProxyWorker(folder, upstream.url, allow_paths=["/api/pull", "/admin/**"]) as proxy,
    ):
        statuses = [proxy.ask(request(b"DELETE", path)).status for path in (b"/api/pull", b"/admin/a/b", b"/api/push")]
    assert statuses == [200, 200, 403]


def test_more_connections_than_allowed_get_503(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("few")
    with FakeUpstream() as upstream, ProxyWorker(folder, upstream.url, max_connections=2) as proxy:
        with proxy.connect() as first, proxy.connect() as second:
            for client in (first, second):
                client.send(get())
                assert client.answer(b"GET").status == 200
            with proxy.connect() as third:
                answer = third.answer()
                assert (answer.status, answer.error_code) == (503, "saturated")
                assert answer.header(b"retry-after") == b"1"
                assert third.ends() == b""
        with proxy.connect() as client:
            client.send(get())
            assert client.answer(b"GET").status in {200, 503}
        assert len(proxy.closed()) in {2, 3}
