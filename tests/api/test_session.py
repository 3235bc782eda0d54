"""Signing in with a browser."""

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from llm_metrics_proxy.analytics.scope import ReadToken
from llm_metrics_proxy.api.session import (
    LASTS_S,
    MOST_ATTEMPTS,
    MOST_SESSIONS,
    WINDOW_S,
    Attempts,
    Sessions,
    SignInVerdict,
)
from tests.analytics.database import Database
from tests.api.service import client

TOKEN = "a-token-of-the-settings"
JSON = {"Content-Type": "application/json"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def sign_in(http: TestClient, token: str = TOKEN) -> int:
    return http.post("/session", json={"token": token}).status_code


def test_the_token_once_then_a_cookie_that_no_script_can_read(database: Database) -> None:
    http = client(database, token=TOKEN)
    assert http.get("/session").status_code == http.get("/api/v1/summary").status_code == 401
    answer = http.post("/session", json={"token": TOKEN})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert http.get("/api/v1/summary").status_code == 200
    assert http.get("/session").json()["signed_in"] is True


def test_the_cookie_is_for_the_folder_that_the_browser_sees(database: Database) -> None:
    """Without a path it is that of the address (RFC 6265 section 5.1.4): of any prefix, which nobody has to name."""
    http = client(database, token=TOKEN)
    kept, dropped = http.post("/session", json={"token": TOKEN}), http.delete("/session")
    for answer in (kept, dropped):
        assert "path=" not in answer.headers["set-cookie"].lower()
    assert "max-age=0" in dropped.headers["set-cookie"].lower()


def test_the_page_that_asks_needs_no_token_and_shows_no_data(database: Database) -> None:
    http = client(database, token=TOKEN)
    assert http.get("/").status_code == http.get("/requests").status_code == 200
    assert http.get("/api/v1/requests").status_code == http.get("/metrics").status_code == 401


def test_signing_out_forgets_the_cookie(database: Database) -> None:
    http = client(database, token=TOKEN)
    assert sign_in(http) == 200
    assert http.delete("/session").status_code == 204
    assert http.get("/api/v1/summary").status_code == 401


def test_guessing_is_slowed_down_even_for_the_right_token(database: Database) -> None:
    http = client(database, token=TOKEN)
    assert [sign_in(http, f"guess-{number}") for number in range(MOST_ATTEMPTS)] == [401] * MOST_ATTEMPTS
    refused = http.post("/session", json={"token": TOKEN})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= WINDOW_S + 1


@pytest.mark.parametrize("body", [b"", b"{", b'{"token": 5}', b"[]", b"\xff", b'{"token": "' + b"x" * 5000 + b'"}'])
def test_other_bodies_are_refused_in_words(database: Database, body: bytes) -> None:
    answer = client(database, token=TOKEN).post("/session", content=body, headers=JSON)
    assert answer.status_code in {413, 422}
    assert "token" in answer.json()["error"]["message"]


@pytest.mark.parametrize("cookie", ["", ".", "9999999999." + "0" * 64, "\x00", "é.é", "\ud800"])
def test_cookies_of_others_are_unknown(cookie: str) -> None:
    sessions = Sessions(TOKEN)
    sessions.open()
    assert not sessions.knows([cookie])


def test_a_session_ends_in_time_and_with_the_process(database: Database) -> None:
    now = [1000.0]
    sessions = Sessions(TOKEN, clock=lambda: now[0])
    cookie = sessions.open()
    assert sessions.knows(["another", cookie])
    assert not Sessions(TOKEN, clock=lambda: now[0]).knows([cookie]), "of another process"
    now[0] += LASTS_S - 1
    assert sessions.knows([cookie])
    now[0] += 1
    assert not sessions.knows([cookie])
    sessions.open()
    assert len(sessions._open) == 1, "what is over is forgotten"


def test_a_session_that_is_renewed_lasts_and_one_that_is_over_stays_over(database: Database) -> None:
    now = [1_000_000.0]
    sessions = Sessions(TOKEN, clock=lambda: now[0])
    kept, left = sessions.open(), sessions.open()
    for _hour in range(100):  # days of a screen on a wall
        now[0] += 3600
        assert sessions.renew(["somebody else's", kept]) == kept
    assert sessions.knows([kept])
    assert not sessions.knows([left])
    assert sessions.renew([left]) is None
    sessions.close([kept])
    assert sessions.renew([kept]) is None


def test_staying_signed_in_needs_a_session_and_gives_its_cookie_anew(database: Database) -> None:
    http = client(database, token=TOKEN)
    assert http.put("/session").status_code == 401
    with_bearer = http.put("/session", headers=bearer(TOKEN))
    assert with_bearer.json()["signed_in"] is False
    assert "set-cookie" not in with_bearer.headers
    given = http.post("/session", json={"token": TOKEN}).headers["set-cookie"]
    renewed = http.put("/session")
    assert renewed.json()["signed_in"] is True
    assert renewed.headers["set-cookie"] == given
    assert http.put("/session", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_there_is_an_end_to_how_many_sessions_are_remembered() -> None:
    sessions = Sessions(TOKEN)
    cookies = [sessions.open() for _ in range(MOST_SESSIONS + 2)]
    assert [sessions.knows([cookie]) for cookie in cookies[:3]] == [False, False, True]
    assert sessions.knows([cookies[-1]])


def test_a_copied_cookie_is_worth_nothing_once_its_owner_signed_out(database: Database) -> None:
    http = client(database, token=TOKEN)
    assert sign_in(http) == 200
    stolen = dict(http.cookies)
    assert http.delete("/session").status_code == 204
    thief = client(database, token=TOKEN)
    for each in (http, thief):
        each.cookies.update(stolen)
        assert each.get("/api/v1/summary").status_code == each.get("/session").status_code == 401


def test_signing_out_leaves_other_browsers_signed_in(database: Database) -> None:
    first = client(database, token=TOKEN)
    second = TestClient(first.app, base_url="http://localhost")
    assert sign_in(first) == sign_in(second) == 200
    assert first.delete("/session").status_code == 204
    assert second.get("/api/v1/summary").status_code == 200


def test_two_programs_on_one_host_do_not_sign_each_other_out(database: Database) -> None:
    first, second = client(database, token=TOKEN), client(database, token=TOKEN + "-other")
    second.cookies = first.cookies  # one browser: cookies know no ports
    assert sign_in(first) == sign_in(second, TOKEN + "-other") == 200
    assert first.get("/api/v1/summary").status_code == second.get("/api/v1/summary").status_code == 200
    assert second.delete("/session").status_code == 204
    assert first.get("/api/v1/summary").status_code == 200
    assert second.get("/api/v1/summary").status_code == 401


def test_a_stale_cookie_of_a_longer_path_does_not_hide_the_one_that_counts(database: Database) -> None:
    http = client(database, token=TOKEN)
    assert sign_in(http) == 200
    ((name, value),) = http.cookies.items()
    http.cookies.clear()
    for cookies in (f"{name}=stale; {name}={value}", f"{name}={value}; other=1; {name}=stale"):
        assert http.get("/api/v1/summary", headers={"Cookie": cookies}).status_code == 200


HTTPS_TOLD = [
    ({"X-Forwarded-Proto": "https"}, True),
    ({"X-Forwarded-Proto": "https, http"}, True),
    ({"Forwarded": "for=192.0.2.7;proto=https"}, True),
    ({"X-Forwarded-Proto": "http"}, False),
    ({}, False),
]


@pytest.mark.parametrize(("headers", "secure"), HTTPS_TOLD)
@pytest.mark.parametrize("trusted", [True, False])
def test_the_cookie_is_secure_where_a_trusted_peer_tells_of_tls(
    database: Database, headers: dict[str, str], secure: bool, trusted: bool
) -> None:
    http = behind(database, "10.1.2.3", trusted_proxies=("10.0.0.0/8",) if trusted else ())
    cookie = http.post("/session", json={"token": TOKEN}, headers=headers).headers["set-cookie"]
    assert ("; Secure" in cookie) is cookie.startswith("__Secure-") is (secure and trusted)
    assert "path=" not in cookie.lower(), "the browser knows below which prefix we are"


def test_the_browser_itself_tells_of_tls(database: Database) -> None:
    http = TestClient(client(database, token=TOKEN).app, base_url="https://localhost")
    headers = {"Origin": "https://localhost"}
    cookie = http.post("/session", json={"token": TOKEN}, headers=headers).headers["set-cookie"]
    assert cookie.startswith("__Secure-")
    assert "; Secure" in cookie
    assert http.get("/session").json()["signed_in"] is True
    cleared = http.delete("/session", headers=headers).headers["set-cookie"]
    assert cleared.partition("=")[0] == cookie.partition("=")[0]
    assert "; Secure" in cleared
    assert http.get("/session").status_code == 401


def behind(database: Database, peer: str, **changes: Any) -> TestClient:
    """A client whose connections come from ``peer``."""
    return TestClient(client(database, token=TOKEN, **changes).app, base_url="http://localhost", client=(peer, 5000))


def test_without_a_token_there_is_nothing_to_sign_in_to(database: Database) -> None:
    http = client(database)
    assert sign_in(http) == 404
    assert http.get("/session").json()["signed_in"] is False


def test_addresses_that_failed_are_remembered_in_bounds_and_forgotten_in_time() -> None:
    now = [0.0]
    attempts = Attempts(clock=lambda: now[0])
    for number in range(5000):
        attempts.judge(f"10.0.{number // 250}.{number % 250}", b"wrong", b"right")
    assert len(attempts._failed) == 1024
    for number in range(MOST_ATTEMPTS):
        assert attempts.judge("10.9.9.9", b"wrong-%d" % number, b"right") == SignInVerdict(right=False)
    assert attempts.judge("10.9.9.9", b"right", b"right") == SignInVerdict(right=False, wait_s=WINDOW_S)
    assert attempts.judge("10.9.9.8", b"right", b"right") == SignInVerdict(right=True)
    now[0] += WINDOW_S
    assert attempts.judge("10.9.9.9", b"right", b"right") == SignInVerdict(right=True)


def test_one_wrong_token_again_and_again_is_limited_and_locks_out_nobody() -> None:
    now = [0.0]
    attempts = Attempts(clock=lambda: now[0])
    waits = [attempts.judge("10.9.9.9", b"wrong", b"right").wait_s for _ in range(100)]
    assert waits == [0.0] * MOST_ATTEMPTS + [WINDOW_S] * (100 - MOST_ATTEMPTS)
    assert attempts.judge("10.9.9.9", b"right", b"right").right


@pytest.mark.parametrize("noise", [0, 1, 4, 50])
def test_nobody_gets_more_than_five_guesses_a_minute_whatever_stands_between_them(noise: int) -> None:
    now = [0.0]
    attempts = Attempts(clock=lambda: now[0])
    looked_at = []
    for number in range(2000):
        now[0] = number * 0.1
        for _ in range(noise):
            attempts.judge("10.9.9.9", b"the same", b"right")
        # A guess was looked at if the right token would have passed in its place.
        probe = copy.copy(attempts._failed.get("10.9.9.9"))
        if probe is None or probe.wait_s(now[0], for_right_one=True) == 0:
            looked_at.append(now[0])
        attempts.judge("10.9.9.9", b"guess %d" % number, b"right")
    for at in looked_at:
        assert sum(at <= other < at + WINDOW_S for other in looked_at) <= MOST_ATTEMPTS
    assert len(looked_at) >= 10


def test_whoever_has_one_address_of_an_ipv6_network_has_them_all() -> None:
    attempts = Attempts(clock=lambda: 0.0)
    for number in range(MOST_ATTEMPTS):
        attempts.judge(f"2001:db8::{number:x}", b"wrong-%d" % number, b"right")
    assert attempts.judge("2001:db8::ffff", b"right", b"right").wait_s > 0
    assert attempts.judge("2001:db8:0:1::1", b"right", b"right").right


GUARDED = ["/api/v1/summary", "/metrics", "/docs", "/openapi.json", "/api/v1/live", "/nothing", "/session"]


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
def test_wrong_bearer_tokens_are_limited_on_every_path(database: Database, path: str, method: str) -> None:
    http = client(database, token=TOKEN)
    answers = [http.request(method, path, headers=bearer(f"wrong-{number}")) for number in range(MOST_ATTEMPTS + 2)]
    assert [answer.status_code for answer in answers] == [401] * MOST_ATTEMPTS + [429] * 2
    assert 1 <= int(answers[-1].headers["retry-after"]) <= WINDOW_S + 1
    assert http.get("/health", headers=bearer("wrong")).status_code == 200
    assert http.get("/api/v1/summary", headers=bearer(TOKEN)).status_code == 429, "else guessing would go on"
    assert sign_in(http) == 429


def test_no_token_and_no_bearer_are_no_guesses(database: Database) -> None:
    http = client(database, token=TOKEN)
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic eDp5"}) * 5:
        assert http.get("/metrics", headers=headers).status_code == 401
    assert http.get("/metrics", headers=bearer(TOKEN)).status_code == 200


def test_guesses_from_elsewhere_lock_out_nobody_and_a_signed_in_browser_stays_signed_in(database: Database) -> None:
    near = client(database, token=TOKEN)
    far = TestClient(near.app, base_url="http://localhost", client=("192.0.2.9", 5000))
    assert sign_in(near) == 200
    for http in (near, far):
        for number in range(MOST_ATTEMPTS + 1):
            http.get("/metrics", headers={**bearer(f"wrong-{number}"), "Cookie": ""})
    other = TestClient(near.app, base_url="http://localhost", client=("192.0.2.10", 5000))
    assert other.get("/metrics", headers=bearer(TOKEN)).status_code == 200
    assert far.get("/metrics", headers=bearer(TOKEN)).status_code == 429
    assert near.get("/api/v1/summary").status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
@pytest.mark.parametrize("trusted", [True, False])
def test_who_comes_through_a_trusted_proxy_is_locked_out_alone(database: Database, header: str, trusted: bool) -> None:
    http = behind(database, "10.1.2.3", trusted_proxies=("10.0.0.0/8",) if trusted else ())

    def ask(address: str, token: str, claimed: str = "") -> int:
        told = f"{claimed}{address}" if header == "X-Forwarded-For" else f"for={address}"
        return http.get("/metrics", headers={**bearer(token), header: told}).status_code

    for number in range(MOST_ATTEMPTS):
        assert ask("192.0.2.1", f"wrong-{number}", f"198.51.100.{number}, ") == 401  # what a client claims is hearsay
    assert ask("192.0.2.1", TOKEN) == 429
    assert ask("192.0.2.2", TOKEN) == (200 if trusted else 429)


def test_guesses_at_one_moment_count_one_by_one(database: Database) -> None:
    """Each of them has begun before the first one fails."""
    app = client(database, token=TOKEN).app

    async def story() -> list[int]:
        begun, guesses = asyncio.Event(), 4 * MOST_ATTEMPTS
        waiting = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal waiting
            yield b'{"token": '
            waiting += 1
            if waiting == guesses:
                begun.set()
            await asyncio.wait_for(begun.wait(), 60)
            yield b'"guess"}'

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
            answers = await asyncio.gather(
                *(http.post("/session", content=body(), headers=JSON) for _ in range(guesses))
            )
        return [answer.status_code for answer in answers]

    codes = asyncio.run(story())
    assert (codes.count(401), codes.count(429)) == (MOST_ATTEMPTS, 3 * MOST_ATTEMPTS)


def test_another_token_signs_out_who_held_the_old_one_and_nobody_else() -> None:
    scoped = ReadToken(name="a", sha256="0" * 64, conditions=())
    sessions = Sessions("the old token", [scoped])
    whole, part = sessions.open(), sessions.open(scoped)
    before = sessions.access([whole])
    assert before is not None
    assert sessions.still(before)
    sessions.use([scoped], "the old token")
    assert sessions.still(before), "the same token is no other one"
    sessions.use([scoped], "the new token")
    assert not sessions.still(before)
    assert (sessions.knows([whole]), sessions.knows([part])) == (False, True)
    assert not sessions.judge("192.0.2.1", b"the old token").right
    assert sessions.judge("192.0.2.1", b"the new token").right
