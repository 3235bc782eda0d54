"""``/session``: signing in with a browser, staying signed in, and out.

The cookie is HttpOnly, and SameSite=Strict, so that no other site's page can make the browser send it.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from llm_metrics_proxy.analytics.scope import ReadToken
from llm_metrics_proxy.api.answers import error_response, json_response, too_many_attempts
from llm_metrics_proxy.api.scope import asker_of
from llm_metrics_proxy.api.session import LASTS_S, PATH, Sessions

_MOST_BODY_BYTES: Final = 4096


class _Given(msgspec.Struct):
    token: str


def add_session_routes(
    app: FastAPI,
    sessions: Sessions | None,
    app_version: str,
    reader: ReadToken | None = None,
    proxy: Callable[[], tuple[str, bool]] = lambda: ("", False),
) -> None:
    """``sessions``: none where no token is set; then everybody is signed in. GET is behind the guard like all data.
    ``reader``: whose part of the records this application shows; none: all of them.
    ``proxy``: where clients reach the proxy, empty where that is not known, and whether its server is simulated."""
    scope = None
    if reader is not None:
        scope = {"name": reader.name, "conditions": [str(condition) for condition in reader.conditions]}

    def cookie(answer: Response, request: Request, value: str, lasts_s: int) -> Response:
        # The guard has checked the origin: without a trusted proxy, only the browser's Origin says whether it used TLS.
        secure = asker_of(request.scope).secure or request.headers.get("origin", "").startswith("https:")
        answer.set_cookie(
            sessions.name(secure=secure) if sessions else "",
            value,
            max_age=lasts_s,
            path=None,  # the folder of this address (RFC 6265 section 5.1.4): the prefix that only the browser knows
            httponly=True,
            samesite="strict",
            secure=secure,
        )
        return answer

    async def read_session(request: Request) -> Response:
        cookies = request.headers.getlist("cookie")
        signed_in = sessions is not None and sessions.knows(sessions.values(cookies))
        url, simulated = proxy()
        own = {"app_version": app_version, "signed_in": signed_in, "scope": scope}
        return json_response({**own, "proxy_url": url, "simulated": simulated})

    async def sign_in(request: Request) -> Response:
        if sessions is None:
            return error_response(404, "not_found", "no token is set, so that there is nothing to sign in to")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BODY_BYTES:
                return error_response(413, "too_large", 'the body must be {"token": "…"} and no more')
        try:
            given = msgspec.json.decode(body, type=_Given).token
        except (msgspec.DecodeError, UnicodeDecodeError):
            return error_response(422, "invalid_request", 'the body must be JSON: {"token": "…"}', "token")
        # Nothing is awaited from here on: attempts at once count one by one.
        verdict = sessions.judge(asker_of(request.scope).address, given.encode(errors="surrogatepass"))
        if verdict.wait_s > 0:
            return too_many_attempts(verdict.wait_s)
        if not verdict.right:
            return error_response(401, "unauthorized", "that is no token of the settings")
        answer = json_response({"app_version": app_version, "signed_in": True})
        return cookie(answer, request, sessions.open(verdict.token), LASTS_S)

    async def stay_signed_in(request: Request) -> Response:
        """Of a page that stays open for days, as on a wall. The guard has let in a session or a bearer token."""
        value = None if sessions is None else sessions.renew(sessions.values(request.headers.getlist("cookie")))
        answer = json_response({"app_version": app_version, "signed_in": value is not None})
        return answer if value is None else cookie(answer, request, value, LASTS_S)

    async def sign_out(request: Request) -> Response:
        answer = Response(status_code=204)
        if sessions is None:
            return answer
        sessions.close(sessions.values(request.headers.getlist("cookie")))
        return cookie(answer, request, "", 0)

    app.add_api_route(PATH, read_session, include_in_schema=False, response_class=Response)
    app.add_api_route(PATH, sign_in, methods=["POST"], include_in_schema=False, response_class=Response)
    app.add_api_route(PATH, stay_signed_in, methods=["PUT"], include_in_schema=False, response_class=Response)
    app.add_api_route(PATH, sign_out, methods=["DELETE"], include_in_schema=False, response_class=Response)
