"""A request's head, understood."""

from typing import Any

import pytest

from llm_metrics_proxy.proxy.headers import Field, HeadRefusal
from llm_metrics_proxy.proxy.inbound import InboundRequest, framing_lines, is_json, read_head, upstream_start
from llm_metrics_proxy.proxy.options import BackendOptions
from llm_metrics_proxy.proxy.routing import Backend, backends_of
from tests.options import worker_options

HOST: Field = (b"Host", b"h")


def understood(
    *fields: Field, method: bytes = b"POST", target: bytes = b"/v1/x?y=1", upgrade: bool = False
) -> InboundRequest:
    head = read_head(method, target, "1.1", [HOST, *fields], keep_alive=True, upgrade=upgrade)
    assert isinstance(head, InboundRequest), head
    return head


def test_the_path_ends_at_the_query() -> None:
    assert (understood().path, understood().target) == (b"/v1/x", b"/v1/x?y=1")


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"http://other/v1", b"/v1", b"other"),
        (b"HTTPS://other:1/v1?x", b"/v1?x", b"other:1"),
        (b"http://other", b"/", b"other"),
        (b"http://other?x=/y", b"/?x=/y", b"other"),
        (b"http://[::1]:80//a//b", b"//a//b", b"[::1]:80"),
    ],
)
def test_absolute_targets_are_brought_into_origin_form(target: bytes, path: bytes, host: bytes) -> None:
    head = understood(target=target)
    assert (head.target, head.facts["host"]) == (path, host)


@pytest.mark.parametrize(
    "target", [b"*", b"v1/models", b"ftp://a/b", b"http://", b"http:///a", b"http://u@h/", b"a:443", b""]
)
def test_other_targets_are_refused(target: bytes) -> None:
    head = read_head(b"GET", target, "1.1", [HOST], keep_alive=True, upgrade=False)
    assert isinstance(head, HeadRefusal)
    assert head.status == 400


@pytest.mark.parametrize(
    ("content_type", "json"),
    [
        (None, True), (b"application/json", True), (b"Application/JSON ; charset=utf-8", True),
        (b"application/vnd.api+json", True), (b"text/plain", False), (b"", False),
        (b"multipart/form-data; x=application/json", False),
    ],
)  # fmt: skip
def test_what_counts_as_json(content_type: bytes | None, json: bool) -> None:
    assert is_json(content_type) is json


@pytest.mark.parametrize(
    ("method", "value", "upgrade", "websocket"),
    [
        (b"GET", b"WebSocket", True, True), (b"GET", b"websocket", False, False), (b"GET", b"h2c", True, False),
        (b"GET", b"websocket, h2c", True, False), (b"POST", b"websocket", True, False),
    ],
)  # fmt: skip
def test_what_counts_as_a_websocket(method: bytes, value: bytes, upgrade: bool, websocket: bool) -> None:
    assert understood((b"Upgrade", value), method=method, upgrade=upgrade).websocket is websocket
    with_body = understood((b"Upgrade", value), (b"Content-Length", b"3"), method=method, upgrade=upgrade)
    assert not with_body.websocket  # two readers could disagree about whose the body is


@pytest.mark.parametrize(
    ("fields", "body_length", "framing"),
    [
        ((), 0, b""),
        (((b"Content-Length", b"0"),), 0, b"Content-Length: 0\r\n"),
        (((b"Content-Length", b"5"),), 7, b"Content-Length: 7\r\n"),
        (((b"Transfer-Encoding", b"chunked"),), None, b"Transfer-Encoding: chunked\r\n"),
        (((b"Transfer-Encoding", b"chunked"),), 9, b"Content-Length: 9\r\n"),
    ],
)
def test_the_body_is_framed_for_the_server(fields: tuple[Field, ...], body_length: int | None, framing: bytes) -> None:
    end = framing_lines(understood(*fields), body_length)
    assert end == framing + b"\r\n"


def backend(url: str, **options: Any) -> Backend:
    several = [BackendOptions(name="a", url=url, **options)]
    told = worker_options(backends=several)
    return backends_of(told)[0]


def test_a_servers_own_key_and_fields_replace_the_clients() -> None:
    request = understood((b"authorization", b"Bearer mine"), (b"X-API-Key", b"mine"), (b"x-team", b"1"), (b"X", b"1"))
    own = backend("http://s", api_key="theirs", add_headers={"X-Team": "red", "X-More": "caf\xe9"})
    start = upstream_start(request, own, trusted=False, plain_answer=False)
    lines = b"Host: s\r\nX: 1\r\nX-Team: red\r\nX-More: caf\xe9\r\nAuthorization: Bearer theirs\r\n"
    assert start.partition(b"\r\n")[2] == lines
    claude = backend("http://s", api_key="theirs", dialect="anthropic")
    start = upstream_start(request, claude, trusted=False, plain_answer=False)
    assert start.partition(b"\r\n")[2] == b"Host: s\r\nx-team: 1\r\nX: 1\r\nx-api-key: theirs\r\n"
    assert "theirs" not in repr(claude)


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (b"?key=mine", b""),
        (b"?alt=sse&key=mine", b"?alt=sse"),
        (b"?key=mine&alt=sse", b"?alt=sse"),
        (b"?a=%20&key=mine&monkey=1&key=", b"?a=%20&monkey=1"),
        (b"?monkey=1", b"?monkey=1"),
        (b"", b""),
    ],
)
def test_a_key_of_google_replaces_the_clients_in_header_and_query(query: bytes, kept: bytes) -> None:
    target = b"/v1beta/models/g:generateContent"
    request = understood((b"x-goog-api-key", b"mine"), (b"X", b"1"), target=target + query)
    google = backend("http://s", api_key="theirs", dialect="gemini")
    start = upstream_start(request, google, trusted=False, plain_answer=False)
    assert start == b"POST %b HTTP/1.1\r\nHost: s\r\nX: 1\r\nx-goog-api-key: theirs\r\n" % (target + kept)
    without = upstream_start(request, backend("http://s", dialect="gemini"), trusted=False, plain_answer=False)
    assert without == b"POST %b HTTP/1.1\r\nHost: s\r\nx-goog-api-key: mine\r\nX: 1\r\n" % (target + query)


def test_the_head_for_the_server_starts_with_our_host_and_the_prefix() -> None:
    start = upstream_start(
        understood((b"X", b"1"), (b"Accept-Encoding", b"br"), (b"Forwarded", b"for=x")),
        backend("http://server/p"), trusted=False, plain_answer=False,
    )  # fmt: skip
    assert start == b"POST /p/v1/x?y=1 HTTP/1.1\r\nHost: server\r\nX: 1\r\nAccept-Encoding: br\r\n"


def test_an_answer_that_is_to_be_edited_is_asked_for_uncompressed() -> None:
    start = upstream_start(
        understood((b"accept-ENCODING", b"br"), (b"Accept-Encoding", b"gzip")),
        backend("http://server"), trusted=False, plain_answer=True,
    )  # fmt: skip
    assert start.endswith(b"Host: server\r\nAccept-Encoding: identity\r\n")


def test_the_length_that_a_head_announces() -> None:
    assert understood().content_length == 0
    assert understood((b"Content-Length", b"12 ")).content_length == 12
    assert understood((b"Transfer-Encoding", b"chunked")).content_length is None
