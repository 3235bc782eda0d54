"""What holds for every request, before and after the routes: who may ask, security headers, HEAD, unforeseen faults.

Plain ASGI, outermost of all, so that no answer goes out without passing here.

Without a token the same-origin policy of browsers is all that keeps web pages from reading an API on loopback, and DNS
rebinding gets around it, so only names that no stranger can point here are answered (``doors``).
"""

import hmac
import logging
from collections.abc import Set
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_metrics_proxy.api.answers import error_response
from llm_metrics_proxy.api.scope import ASKED_FOR_HEAD
from llm_metrics_proxy.api.session import COOKIE, Sessions
from llm_metrics_proxy.api.session import PATH as SESSION_PATH
from llm_metrics_proxy.doors import HostRule, host_name

OPEN_PATHS: Final = frozenset({"/health", "/ready"})  # for supervisors and load balancers, which hold no token
_log = logging.getLogger(__name__)

# Data are for the asker alone and for now: nothing may cache, embed, guess at or load anything for them.
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Wraps the whole application. A route may set its own value of any of the security headers."""

    def __init__(
        self,
        app: ASGIApp,
        token: str | None,
        allowed_hosts: Set[str] = frozenset(),
        sessions: Sessions | None = None,
        open_paths: Set[str] = frozenset(),
    ) -> None:
        """``allowed_hosts``: names to be asked by without a token, beside IP addresses and localhost.

        ``sessions`` know browsers that have signed in. ``open_paths``: files that hold no data, such as the page that
        asks for the token.
        """
        self._app = app
        self._token = None if token is None else token.encode()
        self._sessions = sessions
        self._open_paths = OPEN_PATHS | open_paths
        self._hosts = HostRule(map(host_name, allowed_hosts), any_address=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}  # RFC 9110 section 9.3.2: the headers of GET and nothing more
            await send(message)

        inner = {**scope, "method": "GET", ASKED_FOR_HEAD: True} if is_head else scope
        try:
            refusal = self._refusal(scope)
            await (self._app if refusal is None else refusal)(inner, receive, guarded_send)
        except Exception:
            _log.exception("a request to %r failed for a reason that nobody foresaw", scope["path"])
            if started:
                raise  # the server breaks the connection off: a broken body must not end cleanly
            answer = error_response(500, "internal_error", "this should not have happened; the log says more")
            await answer(scope, receive, guarded_send)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if self._token is None:
            return None if self._is_known(headers.getlist("host")) else _misdirected()
        if scope["path"] in self._open_paths or _knows_token(headers, self._token):
            return None
        if scope["path"] == SESSION_PATH and scope["method"] in {"POST", "DELETE"}:
            return None  # it asks for the token itself
        if self._sessions is not None and self._sessions.knows(_cookie(headers)):
            return None
        return _unauthorised()

    def _is_known(self, hosts: list[str]) -> bool:
        """Only HTTP/1.0 may lack Host: load balancers that ask for /health do, no browser does."""
        return all(map(self._hosts.admits, hosts))


def _cookie(headers: Headers) -> str | None:
    return cookie_parser(headers.get("cookie", "")).get(COOKIE)


def _knows_token(headers: Headers, token: bytes) -> bool:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    # Bytes, as compare_digest refuses text beyond ASCII; HTTP headers arrive as latin-1 (RFC 9110 section 5.5).
    return scheme.lower() == "bearer" and hmac.compare_digest(credentials.strip().encode("latin-1"), token)


def _misdirected() -> ASGIApp:
    return error_response(
        421,
        "misdirected_request",
        "without a token in the settings, this answers only if the header Host names an IP address, localhost or the "
        "setting metrics_host: ask by one of these, add the name to allowed_hosts, or set metrics_token",
    )


def _unauthorised() -> ASGIApp:
    return error_response(
        401,
        "unauthorized",
        "this needs the header Authorization: Bearer TOKEN, with the token from the settings",
        headers={"WWW-Authenticate": 'Bearer realm="llm-metrics-proxy"'},
    )
