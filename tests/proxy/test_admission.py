"""Who may ask over the proxy's port: names, pages, and what browsers are told, over real connections fed by hand."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.metrics_service import judge
from tests.proxy.client import CHAT, Answer, get, post, request
from tests.proxy.desk import Desk
from tests.proxy.harness import HEALTH_TOKEN, SHOWN_ALL, ProxyWorker
from tests.upstream import FakeUpstream, Send, head, openai_handler, response

EVIL = b"Origin: https://evil.example"
PAGE = b"Origin: http://localhost:3000"
CHAT_PAGE = b"Origin: https://chat.example"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
EXPOSED = "x-llm-metrics-request-id"


def split(raw: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, fields with lower-case names, and body of one answer."""
    top, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    return int(first.split(" ")[1]), [(n.lower(), v) for n, _, v in (line.partition(": ") for line in lines)], body


def cors_of(fields: list[tuple[str, str]]) -> dict[str, str]:
    """What is said of CORS; a name that comes twice is a fault."""
    found = [(name, value) for name, value in fields if name.startswith("access-control-")]
    assert len(dict(found)) == len(found), found
    return dict(found)


def outcome(desk: Desk, sent: bytes, answer: bytes = OK) -> tuple[int, dict[str, str], bytes]:
    """What one request comes to: a record for one that passes or is refused, and none for what is answered here."""
    raw = desk.say(sent)
    raw += desk.answer(answer)
    status, fields, body = split(raw)
    return status, cors_of(fields), body


def code(body: bytes) -> Any:
    return json.loads(body)["error"]["code"]


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/v1/models", b"/api/pull", b"/health", b"/ready", b"*"])
@pytest.mark.parametrize("host", [b"evil.example", b"evil.example:8001", b"10.0.0.7", b"localhost.evil.example", b""])
@pytest.mark.parametrize("learns", [True, False])
def test_on_loopback_another_name_gets_421_and_a_record(path: bytes, host: bytes, learns: bool) -> None:
    desk = Desk(learns=learns, on_loopback=True)
    method = b"OPTIONS" if path == b"*" else b"POST" if path.endswith(b"completions") else b"GET"
    for _ in range(3):  # the second time the head is known
        status, cors, body = outcome(desk, request(method, path, b"Content-Length: 0", host=host))
        assert (status, code(body), cors) == (421, "misdirected_request", {})
        assert "--allowed-hosts" in json.loads(body)["error"]["message"]
        record = desk.recorder.records.pop()
        assert (record.outcome, record.error_type, record.status_code) == ("rejected", "forbidden", 421)
        assert record.endpoint == path.decode()
    desk.leave()
    assert desk.recorder.records == []
    assert desk.sent_upstream == []


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"LocalHost:8001",
        b"llm.localhost:8001",
        b"127.0.0.1:8001",
        b"127.1.2.3",
        b"[::1]:8001",
        b"llm_backend",
    ],
)
@pytest.mark.parametrize("learns", [True, False])
def test_on_loopback_this_machines_names_pass(host: bytes, learns: bool) -> None:
    desk = Desk(learns=learns, on_loopback=True)
    for _ in range(2):
        assert outcome(desk, post(host=host))[:2] == (200, {})


def test_a_foreign_name_in_an_absolute_target_counts_as_the_one_in_host_does() -> None:
    desk = Desk(learns=True, on_loopback=True)
    assert outcome(desk, request(b"GET", b"http://evil.example/v1/models", host=b"localhost"))[0] == 421
    assert (
        outcome(desk, request(b"GET", b"http://localhost/v1/models", host=b"evil.example"))[0] == 200
    )  # RFC 9112 3.2.2
    assert outcome(desk, request(b"OPTIONS", b"http://evil.example", host=b"localhost"))[0] == 421


def test_names_of_the_settings_pass_and_http_1_0_needs_none() -> None:
    desk = Desk(learns=True, on_loopback=True, allowed_hosts=["llm.lan", "*.example"], host="box.lan")
    statuses = [outcome(desk, post(host=host))[0] for host in (b"llm.lan:1", b"a.example", b"BOX.lan", b"x.lan")]
    assert statuses == [200, 200, 200, 421]
    assert outcome(desk, request(b"GET", b"/v1/models", host=None, version=b"1.0"))[0] == 200


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [([], [200, 200, 200, 200]), (["llm.lan"], [421, 200, 200, 200]), (["*"], [200, 200, 200, 200])],
)
def test_elsewhere_names_are_free_unless_some_are_listed(allowed: list[str], expected: list[int]) -> None:
    desk = Desk(learns=True, host="0.0.0.0", allowed_hosts=allowed)
    hosts = (b"other.lan", b"llm.lan", b"10.0.0.7:8001", b"localhost:8001")  # an address: as a kubelet asks
    assert [outcome(desk, post(host=host))[0] for host in hosts] == expected


@pytest.mark.parametrize("on_loopback", [True, False])
@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize(
    "lines",
    [
        (EVIL,), (b"Origin: null",), (b"Origin:",), (b"Origin: https://evil.example", PAGE), (PAGE, EVIL), (PAGE, PAGE),
        (b"Origin: chrome-extension://abcdef",), (EVIL, b"X-Forwarded-Host: evil.example"),
        (EVIL, b"Sec-Fetch-Site: cross-site"), (EVIL, b"Sec-Fetch-Site: none"), (EVIL, b"Sec-Fetch-Site: same-site"),
        (EVIL, b"Sec-Fetch-Site: same-origin, cross-site"), (b"Sec-Fetch-Site: cross-site",),
        (EVIL, b"Content-Type: text/plain"),
    ],
)  # fmt: skip
def test_a_page_of_another_site_gets_403_and_a_record(
    learns: bool, on_loopback: bool, lines: tuple[bytes, ...]
) -> None:
    desk = Desk(learns=learns, on_loopback=on_loopback)
    for _ in range(2):
        status, cors, body = outcome(desk, post(CHAT, *lines, host=b"localhost:8001"))
        assert (status, code(body), cors) == (403, "origin_not_allowed", {})
        assert "--allowed-origins" in json.loads(body)["error"]["message"]
        record = desk.recorder.records.pop()
        assert (record.outcome, record.error_type, record.status_code) == ("rejected", "forbidden", 403)
        verdict = judge(record)
        assert (verdict.outcome, verdict.category, verdict.type) == ("proxy_refused", "auth", "forbidden")
    assert desk.sent_upstream == []


@pytest.mark.parametrize("path", [b"/health", b"/ready", b"/v1/models", b"/v1/realtime", b"/api/pull", b"*"])
def test_every_door_is_closed_to_it(path: bytes) -> None:
    desk = Desk(learns=True, on_loopback=True)
    upgrade = (b"Connection: Upgrade", b"Upgrade: websocket") if path == b"/v1/realtime" else ()
    method = b"OPTIONS" if path == b"*" else b"GET"
    status, _, body = outcome(desk, request(method, path, EVIL, *upgrade, host=b"localhost"))
    assert (status, code(body)) == (403, "origin_not_allowed")
    assert len(desk.recorder.records) == 1
    assert desk.sent_upstream == []


@pytest.mark.parametrize(
    "lines",
    [
        (), (b"Origin: http://localhost:8001",), (b"Sec-Fetch-Site: none",), (b"Sec-Fetch-Mode: cors",),
        (b"Origin: null", b"Sec-Fetch-Site: same-origin"),
        (b"Origin: https://llm.example", b"Sec-Fetch-Site: same-origin"),
        (b"Sec-Fetch-Site: same-site",),
    ],
)  # fmt: skip
def test_programs_and_the_servers_own_pages_pass_as_ever(lines: tuple[bytes, ...]) -> None:
    desk = Desk(learns=True, on_loopback=True)
    for _ in range(2):
        assert outcome(desk, post(CHAT, *lines, host=b"localhost:8001"))[:2] == (200, {})


def test_a_link_to_here_may_be_followed_but_no_picture_loaded() -> None:
    desk = Desk(learns=True, on_loopback=True)
    foreign, host = b"Sec-Fetch-Site: cross-site", b"localhost"
    assert outcome(desk, request(b"GET", b"/", foreign, b"Sec-Fetch-Mode: navigate", host=host))[0] == 200
    assert outcome(desk, request(b"GET", b"/v1/models", foreign, b"Sec-Fetch-Mode: no-cors", host=host))[0] == 403
    for referer, status in (
        (b"http://localhost:3000/a?b", 200), (b"http://127.0.0.1:3000", 200), (b"https://evil.example/", 403),
        (b"https://evil.example/http://localhost/", 403), (b"http://localhost@evil.example/", 403), (b"localhost", 403),
    ):  # fmt: skip
        assert outcome(desk, request(b"GET", b"/v1/models", foreign, b"Referer: " + referer, host=host))[0] == status
    open_to_all = Desk(learns=True, on_loopback=True, allowed_origins=["*"])
    assert outcome(open_to_all, request(b"GET", b"/v1/models", foreign, host=host))[0] == 200


def test_behind_a_trusted_proxy_the_name_that_it_was_asked_by_counts() -> None:
    lines = (b"Origin: https://llm.example", b"X-Forwarded-Host: llm.example")
    for trusted, status in (["192.0.2.7"], 200), ([], 403):
        desk = Desk(learns=True, on_loopback=True, trusted_proxies=trusted)
        assert outcome(desk, post(CHAT, *lines, host=b"127.0.0.1:8001"))[0] == status
    # a page that was rebound can send that field too: the name in Host is the one that the browser asked by
    assert outcome(desk, post(CHAT, *lines, b"X-Forwarded-Host: localhost", host=b"evil.example"))[0] == 421


@pytest.mark.parametrize(
    ("origins", "line", "origin", "credentials"),
    [
        ([], PAGE, "http://localhost:3000", False),
        (["https://chat.example"], CHAT_PAGE, "https://chat.example", True),
        (["https://*.example"], CHAT_PAGE, "https://chat.example", True),
        (["*"], CHAT_PAGE, "*", False),
        (["*"], PAGE, "http://localhost:3000", False),
        (["*"], b"Origin: null", "*", False),
        (["null"], b"Origin: null", "null", False),
        (["chrome-extension://*"], b"Origin: chrome-extension://abc", "chrome-extension://abc", True),
        (["app://*"], b"Origin: app://obsidian.md", "app://obsidian.md", True),
    ],
)
@pytest.mark.parametrize("learns", [True, False])
def test_an_allowed_page_may_read_every_answer(
    learns: bool, origins: list[str], line: bytes, origin: str, credentials: bool
) -> None:
    desk = Desk(learns=learns, on_loopback=True, allowed_origins=origins)
    expected = {"access-control-allow-origin": origin} | (
        {"access-control-allow-credentials": "true"} if credentials else {}
    )
    for sent, answer, status in (
        (post(CHAT, line, host=b"localhost"), OK, 200),
        (post(CHAT, line, host=b"localhost"), OK, 200),  # the short way, if it is learnt
        (post(CHAT, line, host=b"localhost"), b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 500),
        (post(CHAT, line, host=b"localhost"), b"oops", 502),
        (post(CHAT, line, host=b"localhost", path=b"/api/pull"), b"", 403),
        (get(b"/health", line).replace(b"proxy", b"localhost"), b"", 200),
        (get(b"/health", line, method=b"POST").replace(b"proxy", b"localhost"), b"", 405),
        (request(b"OPTIONS", b"*", line, host=b"localhost"), b"", 204),
    ):
        raw = desk.say(sent) + desk.answer(answer)
        found, fields, _ = split(raw)
        cors = cors_of(fields)
        assert found == status
        assert EXPOSED in cors.pop("access-control-expose-headers")
        assert cors == expected
        assert ("vary", "Origin") in fields


def test_what_the_server_says_of_cors_gives_way_and_its_list_of_headers_is_kept() -> None:
    desk = Desk(learns=True, on_loopback=True)
    said = (
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nX-A: 1\r\nACCESS-CONTROL-ALLOW-CREDENTIALS: true\r\n"
        b"Access-Control-Expose-Headers: openai-processing-ms\r\naccess-control-expose-headers: x-b\r\nVary: Origin\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    for _ in range(2):
        raw = desk.say(post(CHAT, PAGE, host=b"localhost")) + desk.answer(said)
        _, fields, _ = split(raw)
        cors = cors_of(fields)
        assert cors["access-control-allow-origin"] == "http://localhost:3000"
        assert "access-control-allow-credentials" not in cors
        assert {EXPOSED, "openai-processing-ms", "x-b"} <= set(cors["access-control-expose-headers"].split(", "))
        assert ("x-a", "1") in fields
        assert [name for name, _ in fields].count("vary") == 1
    raw = desk.say(post(host=b"localhost")) + desk.answer(said)
    assert b"Access-Control-Allow-Origin: *\r\n" in raw  # a program gets what the server sent
    assert b"http://localhost:3000" not in raw


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/api/pull", b"/health", b"/nothing"])
def test_a_preflight_is_answered_here_without_a_record(path: bytes) -> None:
    desk = Desk(learns=True, on_loopback=True, allowed_origins=["https://chat.example"])
    asked = (
        CHAT_PAGE, b"Access-Control-Request-Method: POST",
        b"Access-Control-Request-Headers: authorization,content-type,x-llm-metrics-tag",
        b"Access-Control-Request-Private-Network: true", b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: cors",
    )  # fmt: skip
    for _ in range(2):
        status, fields, body = split(desk.say(request(b"OPTIONS", path, *asked, host=b"localhost:8001")))
        assert (status, body) == (204, b"")
        assert ("vary", "Origin") in fields
        assert "content-length" not in dict(fields)
        cors = cors_of(fields)
        assert int(cors.pop("access-control-max-age")) > 0
        assert cors == {
            "access-control-allow-origin": "https://chat.example",
            "access-control-allow-credentials": "true",
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": "authorization,content-type,x-llm-metrics-tag",
            "access-control-allow-private-network": "true",
        }
    assert desk.recorder.records == []
    assert desk.sent_upstream == []


def test_a_preflight_of_a_page_that_may_not_ask_is_refused_with_a_record() -> None:
    desk = Desk(learns=True, on_loopback=True)
    asked = request(b"OPTIONS", b"/v1/models", EVIL, b"Access-Control-Request-Method: GET", host=b"localhost")
    status, cors, body = outcome(desk, asked)
    assert (status, code(body), cors) == (403, "origin_not_allowed", {})
    assert [record.method for record in desk.recorder.records] == ["OPTIONS"]


def test_what_is_no_method_or_header_is_not_repeated_in_a_preflights_answer() -> None:
    desk = Desk(learns=True, on_loopback=True)
    lines = (PAGE, b"Access-Control-Request-Method: G(T", b"Access-Control-Request-Headers: a;b")
    cors = outcome(desk, request(b"OPTIONS", b"/v1/models", *lines, host=b"localhost"), b"")[1]
    assert set(cors) == {"access-control-allow-origin", "access-control-max-age"}


def test_other_options_go_to_the_server() -> None:
    desk = Desk(learns=True, on_loopback=True)
    assert outcome(desk, request(b"OPTIONS", b"/v1/models", host=b"localhost"))[0] == 200
    assert outcome(desk, request(b"OPTIONS", b"/v1/models", PAGE, host=b"localhost"))[0] == 200
    assert len(desk.recorder.records) == 2


@pytest.mark.parametrize("asked", [request(b"OPTIONS", b"*"), request(b"OPTIONS", b"http://proxy", host=b"proxy")])
def test_what_may_be_asked_of_the_proxy_itself(asked: bytes) -> None:
    desk = Desk(learns=True)
    status, fields, body = split(desk.say(asked))
    assert (status, body, dict(fields)["allow"]) == (204, b"", "GET, HEAD, POST, OPTIONS")
    assert desk.recorder.records == []
    desk.say(asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert getattr(desk.client.transport, "closed", True)


# Whole processes


@pytest.fixture(scope="module")
def proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ProxyWorker, FakeUpstream]]:
    folder = tmp_path_factory.mktemp("admission")
    with FakeUpstream(openai_handler) as upstream, ProxyWorker(folder, upstream.url, allowed_hosts=[]) as proxy:
        yield proxy, upstream
        proxy.assert_every_request_has_one_record()


@pytest.mark.system
def test_a_worker_on_loopback_knows_that_it_is(proxies: tuple[ProxyWorker, FakeUpstream]) -> None:
    proxy, upstream = proxies
    assert proxy.ask(post(host=b"evil.example")).status == 421
    assert upstream.requests == []
    assert proxy.ask(post(host=b"localhost:%d" % proxy.port)).status == 200
    assert proxy.ask(post(CHAT, PAGE, host=b"127.0.0.1")).header(b"access-control-allow-origin") == PAGE[8:]


@pytest.mark.system
def test_strangers_learn_no_more_than_the_status(proxies: tuple[ProxyWorker, FakeUpstream]) -> None:
    proxy, _ = proxies

    def told(path: bytes, *lines: bytes) -> Any:
        return proxy.ask(request(b"GET", path, *lines, host=b"localhost")).json()

    assert told(b"/health") == {"status": "ok"}
    assert told(b"/ready") == {"ready": True}
    for wrong in (b"", b"Bearer", b"Bearer wrong", b"Basic " + HEALTH_TOKEN.encode(), HEALTH_TOKEN.encode()):
        assert told(b"/health", b"Authorization: " + wrong) == {"status": "ok"}
    assert told(b"/health", SHOWN_ALL)["workers"][0]["pid"] == proxy.process.pid
    assert set(told(b"/ready", SHOWN_ALL)) == {"ready", "backend", "reason"}


@pytest.mark.system
def test_without_a_token_in_the_settings_none_opens_it(tmp_path: Path) -> None:
    with FakeUpstream() as upstream, ProxyWorker(tmp_path, upstream.url, health_token=None) as proxy:
        for line in (b"Authorization: Bearer None", b"Authorization: Bearer ", b"Authorization: Bearer"):
            assert proxy.ask(get(b"/health", line)).json() == {"status": "ok"}


@pytest.mark.system
def test_a_common_list_of_models_obeys_the_same_rules(tmp_path: Path) -> None:
    with FakeUpstream(openai_handler) as a, FakeUpstream(openai_handler) as b:
        backends = [{"name": "a", "url": a.url}, {"name": "b", "url": b.url}]
        with ProxyWorker(tmp_path, "", backends=backends, allowed_hosts=[]) as proxy:

            def ask(*lines: bytes, host: bytes = b"localhost") -> Answer:
                return proxy.ask(request(b"GET", b"/v1/models", *lines, host=host))

            assert ask(host=b"evil.example").status == 421
            assert ask(EVIL).status == 403
            assert a.requests == b.requests == []
            answer = ask(PAGE)
            assert (answer.status, answer.header(b"access-control-allow-origin")) == (200, PAGE[8:])


@pytest.mark.system
def test_another_sites_page_opens_no_websocket(proxies: tuple[ProxyWorker, FakeUpstream]) -> None:
    proxy, upstream = proxies
    before = len(upstream.requests)
    lines = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: YQ==")
    answer = proxy.ask(request(b"GET", b"/v1/realtime?model=m", EVIL, *lines, host=b"localhost"))
    assert (answer.status, answer.error_code) == (403, "origin_not_allowed")
    assert len(upstream.requests) == before


@pytest.mark.system
def test_the_page_goes_on_to_the_server_whose_own_rules_still_hold_unless_a_backend_says_otherwise(
    tmp_path: Path,
) -> None:
    with FakeUpstream([Send(response(b"{}"))]) as upstream:
        for index, headers in enumerate(({}, {"Origin": "http://localhost"})):
            backends = [{"name": "a", "url": upstream.url, "add_headers": headers}]
            told = {"backends": backends, "allowed_origins": ["https://chat.example"]}
            with ProxyWorker(tmp_path / str(index), "", **told) as proxy:
                assert proxy.ask(post(CHAT, CHAT_PAGE)).status == 200
    assert [sent.header("origin") for sent in upstream.requests] == ["https://chat.example", "http://localhost"]


@pytest.mark.system
def test_names_and_pages_are_read_again(tmp_path: Path) -> None:
    with FakeUpstream(openai_handler) as upstream, ProxyWorker(tmp_path, upstream.url, allowed_hosts=[]) as proxy:
        asked = post(CHAT, CHAT_PAGE, host=b"llm.lan")
        with proxy.connect() as client:
            for allowed, status in ([], 421), (["llm.lan"], 200), ([], 421):
                proxy.reload(allowed_hosts=allowed, allowed_origins=["https://chat.example"])
                client.send(asked)
                assert client.answer().status == status


@pytest.mark.system
def test_streams_and_websockets_of_an_allowed_page_work(tmp_path: Path) -> None:
    agreed = head(101, ("Upgrade", "websocket"), ("Connection", "Upgrade"))
    with (
        FakeUpstream([Send(agreed)]) as upstream,
        ProxyWorker(tmp_path, upstream.url) as proxy,
        proxy.connect() as client,
    ):
        client.sock.settimeout(5)
        client.send(get(b"/v1/realtime?model=m", PAGE, b"Connection: Upgrade", b"Upgrade: websocket"))
        assert client.head().status == 101
        client.sock.shutdown(socket.SHUT_RDWR)


def test_error_words_are_for_people() -> None:
    desk = Desk(learns=True, on_loopback=True)
    body = outcome(desk, post(host=b"evil.example"))[2]
    assert re.fullmatch(r"This proxy answers to localhost, .*\.", json.loads(body)["error"]["message"])
