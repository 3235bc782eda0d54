"""What applies to every request: who may ask, security headers, HEAD, unexpected errors.

Plain ASGI, the outermost layer, so every answer passes through it.

Without a token the same-origin policy of browsers is all that keeps web pages from reading an API on loopback, and DNS
rebinding gets around it, so only names that no stranger can point here are answered (``doors``).

What changes something is taken from pages of this origin alone, and from programs, which send no Origin. Browsers say
so in Sec-Fetch-Site. Where they do not (over plain HTTP, or older ones), Origin has to be what the request calls us, or
the page must have set X-Requested-With, as ours does: a browser lets no page send that elsewhere without a preflight,
and none is granted here. So the page works behind a reverse proxy that passes no name on. A body has to say that it is
JSON: forms and text go out to any site without a question (the "simple" requests of CORS).
"""

import asyncio
import logging
from collections.abc import Callable, Set
from typing import Final, NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_metrics_proxy.analytics.scope import ReadToken
from llm_metrics_proxy.api.answers import error_response, too_many_attempts
from llm_metrics_proxy.api.ports import GuardedNames
from llm_metrics_proxy.api.scope import ABORT, ASKED_FOR_HEAD, REFUSAL, with_asker, with_one_slash
from llm_metrics_proxy.api.session import PATH as SESSION_PATH
from llm_metrics_proxy.api.session import SessionAccess, Sessions
from llm_metrics_proxy.doors import HostRule, host_name, is_same_origin
from llm_metrics_proxy.forwarded import Asker, asker

OPEN_PATHS: Final = frozenset({"/health", "/ready"})  # for supervisors and load balancers, which hold no token
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 section 9.2.1
_OWN_SITES: Final = frozenset({"same-origin", "none"})  # none: typed by a person
_log = logging.getLogger(__name__)

# Data are for the asker alone and for now: nothing may cache, embed, guess at or load anything for them.
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _always() -> bool:
    return True


class _Admission(NamedTuple):
    """``refusal``: the answer to who is not let in. ``holds``: asked while answering, whether that may still go on.
    ``token``: that of who sees some records only."""

    refusal: ASGIApp | None
    holds: Callable[[], bool] = _always
    token: ReadToken | None = None


class Guard:
    """Wraps the whole application. A route may set its own value of any of the security headers."""

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions | None,
        *,
        allowed_hosts: Set[str] = frozenset(),
        open_paths: Set[str] = frozenset(),
        open_folder: str | None = None,
        trusted_proxies: tuple[str, ...] = (),
        scoped: Callable[[ReadToken], ASGIApp] | None = None,
        newest: Callable[[], GuardedNames] | None = None,
    ) -> None:
        """``sessions`` know the token and the browsers that gave it; none: no token is needed.

        ``allowed_hosts``: names that Host may have without a token, besides IP addresses and localhost. ``open_paths``:
        files without data, such as the sign-in page; ``open_folder``: where all paths begin with this, found or not.
        ``trusted_proxies``: networks of peers whose forwarding headers are believed. ``scoped`` answers those whose
        token sees some records only, in place of ``app``. ``newest``: what has been read again of names and proxies,
        the same value as long as that is the newest.
        """
        self._app = app
        self._scoped = scoped
        self._sessions = sessions
        self._open_paths = OPEN_PATHS | open_paths
        self._open_folder = open_folder or ()
        self._hosts = HostRule(map(host_name, allowed_hosts), any_address=True)
        self._trusted = trusted_proxies
        self._newest, self._used = newest, newest and newest()

    def _follow(self) -> None:
        if self._newest is not None and (newest := self._newest()) is not self._used:
            self._hosts = HostRule(map(host_name, newest.allowed_hosts), any_address=True)
            self._trusted, self._used = newest.trusted_proxies, newest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._follow()
        scope = with_one_slash(scope)
        headers = Headers(scope=scope)
        client = asker(scope["client"][0] if scope.get("client") else "", headers.items(), self._trusted)
        is_head = scope["method"] == "HEAD"
        started = is_over = False
        refusal, holds, token = self._admission(scope, headers, client)

        async def guarded_send(message: Message) -> None:
            nonlocal started, is_over
            if started and not holds():
                is_over = True
                scope.get(ABORT, _nothing)()
                raise SessionOverError
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}  # RFC 9110 section 9.3.2: the headers of GET and nothing more
            await send(message)

        inner = with_asker({**scope, "method": "GET", ASKED_FOR_HEAD: True} if is_head else scope, client)
        try:
            app = await self._of(token) if refusal is None else refusal
            await app(inner, receive, guarded_send)
        except Exception:
            if is_over:
                await asyncio.sleep(0)  # so that the server knows that the connection is broken off
                return
            _log.exception("a request to %r failed for a reason that nobody foresaw", scope["path"])
            if started:
                raise  # the server breaks the connection off: a broken body must not end cleanly
            answer = error_response(500, "internal_error", "this should not have happened; the log says more")
            await answer(scope, receive, guarded_send)

    async def _of(self, token: ReadToken | None) -> ASGIApp:
        """Who answers the holder of a token; none: of the one that sees everything."""
        if token is None:
            return self._app
        assert self._scoped is not None, "tokens that see some records only need an application"
        return await asyncio.to_thread(self._scoped, token)

    def _admission(self, scope: Scope, headers: Headers, client: Asker) -> _Admission:
        """Whether the request is let in."""
        if REFUSAL in scope:
            return _Admission(scope[REFUSAL])
        if self._sessions is None and not self._is_known(headers.getlist("host")):
            return _Admission(_misdirected())
        if scope["method"] not in _SAFE:
            if not _is_of_own_origin(headers, client):
                return _Admission(_foreign())
            if _has_body(headers) and not _is_json(headers):
                return _Admission(_not_json())
        path = scope["path"]
        if self._sessions is None or path in self._open_paths or path.startswith(self._open_folder):
            return _Admission(None)
        if path == SESSION_PATH and scope["method"] in {"POST", "DELETE"}:
            return _Admission(None)  # it checks the token itself
        return self._by_token(self._sessions, headers, client)

    def _by_token(self, sessions: Sessions, headers: Headers, client: Asker) -> _Admission:
        cookies = sessions.values(headers.getlist("cookie"))
        access = sessions.access(cookies)
        if access is not None:  # first, so that a guesser at the same address signs nobody out
            return _Admission(None, lambda: sessions.access(cookies) == access, access.token)
        given = _bearer(headers)
        if not given:
            return _Admission(_unauthorised())
        generation = sessions.generation  # before it is judged: a token that is replaced meanwhile does not count
        verdict = sessions.judge(client.address, given)
        if verdict.wait_s > 0:
            return _Admission(too_many_attempts(verdict.wait_s))
        if not verdict.right:
            return _Admission(_unauthorised())
        access = SessionAccess(verdict.token, generation if verdict.token is None else 0)
        return _Admission(None, lambda: sessions.still(access), verdict.token)

    def _is_known(self, hosts: list[str]) -> bool:
        """Only HTTP/1.0 may lack Host: load balancers that check /health do, browsers do not."""
        return all(map(self._hosts.admits, hosts))


def _is_of_own_origin(headers: Headers, client: Asker) -> bool:
    """Whether the headers say that no page of another site made the browser send this."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site.lower() in _OWN_SITES
    if "x-requested-with" in headers:
        return True
    ours = [*headers.getlist("host"), *client.hosts]
    return all(
        any(is_same_origin(origin, host, port_may_lack=True) for host in ours) for origin in headers.getlist("origin")
    )


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _is_json(headers: Headers) -> bool:
    kinds = headers.getlist("content-type")
    return bool(kinds) and all(kind.partition(";")[0].strip().lower() == "application/json" for kind in kinds)


def _bearer(headers: Headers) -> bytes:
    """The token that was sent, or nothing. HTTP headers arrive as latin-1 (RFC 9110 section 5.5)."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def _nothing() -> None:
    """There is no connection to break off."""


class SessionOverError(OSError):
    """The session ended while an answer was being sent. An ``OSError``, like a client that left."""


def _foreign() -> ASGIApp:
    return error_response(
        403,
        "foreign_origin",
        "this is taken from this program's own pages alone, and the browser says that a page of another origin sent "
        "it; a page of this address has to send X-Requested-With",
    )


def _not_json() -> ASGIApp:
    return error_response(415, "unsupported_media_type", "the body must be JSON: send Content-Type: application/json")


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
        "this needs the header Authorization: Bearer TOKEN, with the token from the settings; a browser is let in once "
        "it has signed in to the dashboard",
        headers={"WWW-Authenticate": 'Bearer realm="llm-metrics-proxy"'},
    )
