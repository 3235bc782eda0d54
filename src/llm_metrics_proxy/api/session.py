"""Signing in with a browser: the token once, then a cookie that no script can read.

The cookie is ``expiry.signature``, signed with a key made at start from the token: nothing is stored, a restart of the
process or another token ends every session. It is HttpOnly, and SameSite=Strict, so that no other site's page can make
the browser send it. Attempts are counted per client address, and answered ever more slowly than one can guess.
"""

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response

from llm_metrics_proxy.api.answers import error_response, json_response

COOKIE: Final = "llm_metrics_session"
PATH: Final = "/session"
LASTS_S: Final = 12 * 3600
MOST_ATTEMPTS: Final = 5  # of one address within
WINDOW_S: Final = 60
_MOST_ADDRESSES: Final = 1024
_MOST_BODY_BYTES: Final = 4096


class Attempts:
    """Failed attempts by address, the addresses seen last only: memory stays bounded whoever knocks."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """How long this address has to wait; 0: it may try."""
        now = self._clock()
        recent = [at for at in self._failed.get(address, []) if now - at < WINDOW_S]
        return 0.0 if len(recent) < MOST_ATTEMPTS else WINDOW_S - (now - recent[0])

    def fail(self, address: str) -> None:
        """One more."""
        now = self._clock()
        recent = [at for at in self._failed.pop(address, []) if now - at < WINDOW_S]
        self._failed[address] = [*recent, now][-MOST_ATTEMPTS:]
        if len(self._failed) > _MOST_ADDRESSES:
            self._failed.popitem(last=False)


class Sessions:
    """Makes and knows cookies. ``clock``: Unix seconds."""

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        self._token = token.encode()
        self._key = hmac.digest(secrets.token_bytes(32), self._token, sha256)
        self._clock = clock
        self.attempts = Attempts()

    def is_token(self, given: str) -> bool:
        """Compared in constant time."""
        return hmac.compare_digest(given.encode(errors="surrogatepass"), self._token)

    def cookie(self) -> str:
        """A new session's value."""
        expiry = str(int(self._clock()) + LASTS_S)
        return f"{expiry}.{self._signature(expiry)}"

    def knows(self, cookie: str | None) -> bool:
        """Whether the cookie is one of ours and not over."""
        expiry, _, signature = (cookie or "").partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(expiry).encode()):
            return False
        return int(expiry) > self._clock()

    def _signature(self, expiry: str) -> str:
        return hmac.new(self._key, expiry.encode(), sha256).hexdigest()


class _Given(msgspec.Struct):
    token: str


def add_session_routes(app: FastAPI, sessions: Sessions | None, app_version: str) -> None:
    """``sessions``: none where no token is set; then everybody is signed in. GET is behind the guard like all data."""

    async def read_session(request: Request) -> Response:
        signed_in = sessions is not None and sessions.knows(request.cookies.get(COOKIE))
        return json_response({"app_version": app_version, "signed_in": signed_in})

    async def sign_in(request: Request) -> Response:
        if sessions is None:
            return error_response(404, "not_found", "no token is set, so that there is nothing to sign in to")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BODY_BYTES:
                return error_response(413, "too_large", 'the body is to be {"token": "…"} and no more')
        address = request.client.host if request.client else ""
        wait_s = sessions.attempts.wait_s(address)  # nothing is awaited from here on: attempts at once count one by one
        if wait_s > 0:
            headers = {"Retry-After": str(int(wait_s) + 1)}
            return error_response(429, "too_many_attempts", f"try again in {wait_s:.0f} s", headers=headers)
        try:
            given = msgspec.json.decode(body, type=_Given).token
        except (msgspec.DecodeError, UnicodeDecodeError):
            return error_response(422, "invalid_request", 'the body is to be JSON: {"token": "…"}', "token")
        if not sessions.is_token(given):
            sessions.attempts.fail(address)
            return error_response(401, "unauthorized", "that is not the token of the settings")
        answer = json_response({"app_version": app_version, "signed_in": True})
        answer.set_cookie(
            COOKIE,
            sessions.cookie(),
            max_age=LASTS_S,
            path=None,  # the folder of this address (RFC 6265 section 5.1.4): the prefix that only the browser knows
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def sign_out() -> Response:
        answer = Response(status_code=204)
        answer.set_cookie(COOKIE, max_age=0, path=None, httponly=True, samesite="strict")
        return answer

    app.add_api_route(PATH, read_session, include_in_schema=False, response_class=Response)
    app.add_api_route(PATH, sign_in, methods=["POST"], include_in_schema=False, response_class=Response)
    app.add_api_route(PATH, sign_out, methods=["DELETE"], include_in_schema=False, response_class=Response)
