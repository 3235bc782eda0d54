"""Signing in with a browser."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.testclient import TestClient

from llm_metrics_proxy.api.session import LASTS_S, MOST_ATTEMPTS, WINDOW_S, Attempts, Sessions
from tests.analytics.database import Database
from tests.api.service import client

TOKEN = "a-token-of-the-settings"


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
    answer = client(database, token=TOKEN).post("/session", content=body)
    assert answer.status_code in {413, 422}
    assert "token" in answer.json()["error"]["message"]


@pytest.mark.parametrize("cookie", ["", ".", "9999999999.", "9999999999." + "0" * 64, "x.y", "\x00", "é.é"])
def test_cookies_of_others_are_unknown(cookie: str) -> None:
    assert not Sessions(TOKEN).knows(cookie)


def test_a_session_ends(database: Database) -> None:
    now = [1000.0]
    sessions = Sessions(TOKEN, clock=lambda: now[0])
    cookie = sessions.cookie()
    assert sessions.knows(cookie)
    assert not Sessions(TOKEN, clock=lambda: now[0]).knows(cookie), "of another process"
    now[0] += LASTS_S + 1
    assert not sessions.knows(cookie)


def test_without_a_token_there_is_nothing_to_sign_in_to(database: Database) -> None:
    http = client(database)
    assert sign_in(http) == 404
    assert http.get("/session").json()["signed_in"] is False


def test_addresses_that_failed_are_remembered_in_bounds_and_forgotten_in_time() -> None:
    now = [0.0]
    attempts = Attempts(clock=lambda: now[0])
    for number in range(5000):
        attempts.fail(f"10.0.{number // 250}.{number % 250}")
    for _ in range(MOST_ATTEMPTS):
        attempts.fail("10.9.9.9")
    assert attempts.wait_s("10.9.9.9") > 0 == attempts.wait_s("10.9.9.8")
    now[0] += WINDOW_S
    assert attempts.wait_s("10.9.9.9") == 0


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
            answers = await asyncio.gather(*(http.post("/session", content=body()) for _ in range(guesses)))
        return [answer.status_code for answer in answers]

    codes = asyncio.run(story())
    assert (codes.count(401), codes.count(429)) == (MOST_ATTEMPTS, 3 * MOST_ATTEMPTS)
