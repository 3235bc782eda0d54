import asyncio
import logging
from ipaddress import ip_address
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from llm_metrics_proxy.api import create_app, live_routes
from llm_metrics_proxy.api.guard import Guard
from llm_metrics_proxy.api.ports import GuardedNames
from tests.analytics.database import Database, a_record
from tests.api.service import client, ports
from tests.api.test_server import running

PATHS = ["/api/v1/requests", "/api/v1/summary", "/api/v1/versions", "/metrics", "/docs", "/openapi.json", "/nothing"]
TOKEN = "s3cret-töken"


def bearer(token: str, scheme: str = "Bearer") -> dict[bytes, bytes]:
    return {b"Authorization": f"{scheme} {token}".encode()}


@pytest.mark.parametrize("path", PATHS)
def test_with_a_token_set_nothing_is_shown_without_it(database: Database, path: str) -> None:
    http = client(database, token=TOKEN)
    for headers in (
        {},
        bearer("wrong"),
        bearer(""),
        bearer(TOKEN, "Basic"),
        bearer(TOKEN + "x"),
        {b"Authorization": TOKEN.encode()},
    ):
        response = http.get(path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.json()["error"]["type"] == "unauthorized"
        assert TOKEN not in response.text
    assert http.get(path, headers=bearer(TOKEN)).status_code != 401
    assert http.get(path, headers=bearer(TOKEN, "bearer")).status_code != 401


def test_an_empty_answer_to_head_does_not_get_around_the_token(database: Database) -> None:
    assert client(database, token=TOKEN).head("/api/v1/summary").status_code == 401


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_supervisors_need_no_token(database: Database, path: str) -> None:
    assert client(database, token=TOKEN).get(path).status_code == 200


def test_paths_that_only_look_like_open_ones_need_the_token(database: Database) -> None:
    http = client(database, token=TOKEN)
    for path in (
        "/health/",
        "/errors/",
        "/assets/../metrics",
        "/health/../metrics",
        "/HEALTH",
        "/health%2F..%2Fmetrics",
    ):
        assert http.get(path).status_code == 401


def test_without_a_token_set_none_is_asked_for(database: Database) -> None:
    assert client(database).get("/api/v1/summary").status_code == 200


@pytest.mark.parametrize("path", [*PATHS, "/health", "/ready", "/", "/api/v1/summary?nonsense=1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_a_page_whose_name_was_pointed_at_this_machine_is_shown_nothing(
    database: Database, path: str, method: str
) -> None:
    response = client(database).request(method, path, headers={"Host": "evil.example:8002"})
    assert response.status_code == 421
    assert response.headers["cache-control"] == "no-store"
    if method == "HEAD":
        assert response.content == b""
    else:
        error = response.json()["error"]
        assert error["type"] == "misdirected_request"
        assert "metrics_token" in error["message"]
        assert "evil" not in response.text


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LocalHost:8002", "localhost:", "127.0.0.1", "127.0.0.1:8002", "192.168.1.7:80", "0.0.0.0:8002",
        "[::1]", "[::1]:8002", "[fe80::1%eth0]:8002", "[::ffff:127.0.0.1]", "metrics.lan", "Metrics.LAN:8002",
    ],
)  # fmt: skip
def test_addresses_localhost_and_the_configured_name_are_answered(database: Database, host: str) -> None:
    http = client(database, allowed_hosts=frozenset({"metrics.lan"}))
    assert http.get("/metrics", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "", " ", ":8002", "evil.example", "localhost.evil.example", "evil.localhost", "127.0.0.1.evil.example",
        "evil.example@localhost", "localhost@evil.example", "localhost, evil.example", "localhost evil", "localhost:x",
        "localhost:80:80", "localhost/", "http://localhost", "lan", "a.metrics.lan", "127.0.0.1x", "127.1",
        "0x7f.0.0.1", "2130706433", "127.0.0.01", "127.0.0.1/8", "::1", "[::1", "::1]", "[]", "[localhost]",
        "[127.0.0.1]", "[::1]x", "[::1].evil.example", "[v1.evil]", "löcalhost", "127.0.0.\u00b9", "localhost\u00a0",
    ],
)  # fmt: skip
def test_nothing_else_passes_for_one_of_them(database: Database, host: str) -> None:
    http = client(database, allowed_hosts=frozenset({"metrics.lan"}))
    assert http.get("/health", headers={b"Host": host.encode("latin-1")}).status_code == 421


def test_names_that_are_read_again_count_from_the_next_request_on(database: Database) -> None:
    old, new = (GuardedNames(frozenset({name}), ()) for name in ("old.lan", "new.lan"))
    newest = [old]
    http = client(database, allowed_hosts=old.allowed_hosts, newest_names=lambda: newest[0])

    def statuses() -> list[int]:
        return [http.get("/health", headers={"Host": name}).status_code for name in ("old.lan", "new.lan")]

    assert statuses() == [200, 421]
    newest[0] = new
    assert statuses() == [421, 200]


def test_a_second_host_cannot_hide_behind_the_first(database: Database) -> None:
    http = client(database)
    both = [("Host", "localhost"), ("Host", "evil.example")]
    assert http.get("/health", headers=both).status_code == 421
    assert http.get("/health", headers=both[::-1]).status_code == 421


def test_with_a_token_set_every_name_is_answered_as_no_stranger_holds_it(database: Database) -> None:
    http = client(database, token=TOKEN)
    name = {b"Host": b"metrics.example"}
    assert http.get("/metrics", headers={**name, **bearer(TOKEN)}).status_code == 200
    assert http.get("/metrics", headers=name).status_code == 401
    assert http.get("/health", headers=name).status_code == 200


@given(
    st.text(st.characters(max_codepoint=255), max_size=40)
    | st.from_regex(r"\[?[0-9a-f.:%]{0,20}\]?(:[0-9]{0,4})?", fullmatch=True)
    | st.builds("{}{}".format, st.ip_addresses(v=4), st.sampled_from(["", ":", ":80", ":x", ".", "@evil.example"]))
    | st.builds("[{}]{}".format, st.ip_addresses(v=6), st.sampled_from(["", ":", ":80", ":x", ".", "@evil.example"]))
)
def test_whatever_stands_in_host_is_an_answer_and_a_name_is_never_taken_for_an_address(host: str) -> None:
    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    sent, error = asyncio.run(run(answers, headers=[(b"host", host.encode("latin-1"))]))
    assert error is None
    # As a URL parser understands it: what passes leads to an address or to localhost.
    if sent[0]["status"] == 200:
        name = urlsplit(f"http://{host}/").hostname
        assert name is not None
        assert name == "localhost" or ip_address(name)


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:8003", "Host": "localhost:8002"},
    {"Origin": "http://localhost", "Host": "localhost:8002"},
    {"Origin": "file://localhost"},
    {"Origin": "http://localhost:x"},
    {"Origin": "https://llm.example", "X-Forwarded-Host": "llm.example"},  # told by nobody who is trusted
    {"Sec-Fetch-Site": "cross-site", "X-Requested-With": "dashboard"},
]
OWN = [
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://llm.example"},  # behind a proxy that hides its name
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://localhost"},
    {"Origin": "http://localhost:8002", "Host": "LOCALHOST:8002"},
    {"Origin": "http://[::1]:8002", "Host": "[::1]:8002"},
    {"Origin": "https://localhost", "Host": "localhost:443"},
    {"Origin": "https://localhost:8443", "Host": "localhost"},  # nginx's $host leaves the port out
    {"Origin": "http://llm.lan", "Host": "127.0.0.1:8002", "X-Requested-With": "dashboard"},  # nginx's default Host
]


@pytest.mark.parametrize("token", [TOKEN, None])
def test_pages_of_other_origins_change_nothing(database: Database, token: str | None) -> None:
    http = client(database, token=token)
    for headers, method, path in product(
        FOREIGN, ["POST", "DELETE", "PUT", "PATCH", "LINK"], ["/session", "/api/v1/summary", "/nothing"]
    ):
        response = http.request(method, path, headers=headers, json={"token": token})
        assert response.status_code == 403, (headers, method, path)
        assert response.json()["error"]["type"] == "foreign_origin"
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize("headers", OWN)
def test_own_pages_and_programs_sign_in(database: Database, headers: dict[str, str]) -> None:
    assert client(database, token=TOKEN).post("/session", headers=headers, json={"token": TOKEN}).status_code == 200


def test_a_trusted_proxy_tells_what_the_browser_calls_this_program(database: Database) -> None:
    http = client(database, token=TOKEN, trusted_proxies=("10.0.0.0/8",))
    trusted = TestClient(http.app, base_url="http://localhost", client=("10.0.0.1", 1))
    told = {"Origin": "https://llm.example", "X-Forwarded-Host": "llm.example"}
    assert trusted.post("/session", headers=told, json={"token": TOKEN}).status_code == 200
    assert http.post("/session", headers=told, json={"token": TOKEN}).status_code == 403


KINDS = (
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json",
             "text/plain;application/json", "text/plain, application/json", ""]
)  # fmt: skip


def test_forms_and_text_are_taken_from_nobody(database: Database) -> None:
    http = client(database, token=TOKEN)
    whole = b'{"token": "%b"}' % TOKEN.encode()
    for kind, path, is_chunked in product(KINDS, ["/session", "/api/v1/summary"], [False, True]):
        headers = {} if kind is None else {b"Content-Type": kind.encode()}
        body = iter([whole]) if is_chunked else whole
        response = http.post(path, headers={**headers, **bearer(TOKEN)}, content=body)
        assert response.status_code == 415, (kind, path, is_chunked)
        assert "application/json" in response.json()["error"]["message"]


def test_json_may_say_its_charset(database: Database) -> None:
    body = b'{"token": "%b"}' % TOKEN.encode()
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert client(database, token=TOKEN).post("/session", content=body, headers=kind).status_code == 200


def test_what_is_being_sent_ends_when_its_reader_signs_out(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_routes, "HEARTBEAT_S", 0.05)
    with (
        running(create_app(ports(database, token=TOKEN))) as (port, _, _),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
    ):
        assert http.post("/session", json={"token": TOKEN}).status_code == 200
        with http.stream("GET", "/api/v1/live") as events:
            arriving = events.iter_raw()
            assert b"event: start" in next(arriving)
            assert http.delete("/session").status_code == 204
            with pytest.raises(httpx.TransportError):  # at the next event or heartbeat
                list(arriving)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("path", [*PATHS, "/health", "/ready", "/api/v1/summary?nonsense=1"])
def test_every_answer_forbids_caching_guessing_and_foreign_origins(database: Database, path: str) -> None:
    headers = client(database).get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", [*PATHS, "/health", "/ready", "/api/v1/requests/1"])
def test_head_has_the_headers_of_get_and_no_body(database: Database, path: str) -> None:
    database.add(a_record())
    http = client(database)
    get, head = http.get(path), http.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers == get.headers


async def run(app: Any, method: str = "GET", headers: Any = ()) -> tuple[list[Message], BaseException | None]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": method, "path": "/x", "headers": [*headers]}
    try:
        await Guard(app, None)(scope, receive, send)
    except RuntimeError as error:
        return sent, error
    return sent, None


def test_a_fault_before_the_answer_becomes_a_500_and_after_its_head_breaks_the_connection() -> None:
    async def fails_at_once(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("early")

    async def fails_in_the_body(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("late")

    sent, error = asyncio.run(run(fails_at_once))
    assert (sent[0]["status"], error) == (500, None)
    sent, error = asyncio.run(run(fails_in_the_body))
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert str(error) == "late"


def test_the_body_of_an_answer_to_head_is_dropped_whatever_the_route_sends() -> None:
    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["method"] == "GET"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"body"})

    sent, _ = asyncio.run(run(answers, "HEAD"))
    assert (b"content-length", b"4") in sent[0]["headers"]
    assert sent[1]["body"] == b""
