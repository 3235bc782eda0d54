"""What both clients do alike: make a request, judge its answer, say when to try again. No I/O.

Every question is a GET and may be asked again. What passes by itself is: a connection that breaks or is refused, and
the statuses of ``_PASSING``, as long as the wait that the server asks for is short.
"""

import random
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from llm_metrics_proxy.client.given import check_unicode
from llm_metrics_proxy.client.questions import Answer, Parameters, Question
from llm_metrics_proxy.errors import ApiRefusedError, ApiUnreachableError, QueryError, UnknownAnswerError
from llm_metrics_proxy.metrics_service import APP_VERSION

DEFAULT_URL: Final = "http://127.0.0.1:8002"
TIMEOUT_S: Final = 60.0  # until the answer begins: a question about very many records takes seconds
_CONNECT_S: Final = 5.0
_LONGEST_TIMEOUT_S: Final = 86_400.0  # sockets do not take any number
_PASSING: Final = frozenset({429, 502, 503, 504})
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 10.0
_SHOWN_CHARS: Final = 200


class _ToldError(msgspec.Struct):
    type: str
    message: str
    parameter: str | None = None


class _Refusal(msgspec.Struct):
    error: _ToldError


class _Versioned(msgspec.Struct):
    app_version: str = "of another program"


def address(url: str) -> str:
    """With the slash at its end, so that paths go below it. Raises ``ApiUnreachableError`` if it is none, and does not
    quote it: it may have a password."""
    if not _is_address(url):
        raise ApiUnreachableError(
            "url is no address of a metrics API (http or https, a host, perhaps a port and a prefix; "
            f"no user, password, query or fragment): give one such as {DEFAULT_URL}, and a token as token="
        )
    return f"{url.rstrip('/')}/"


def _is_address(url: object) -> bool:
    if not isinstance(url, str) or not url.isprintable() or any(mark in url for mark in " ?#"):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port, httpx2.URL(url)  # each refuses some that the other takes
    except (ValueError, httpx2.InvalidURL):
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def options(url: str, token: str | None, timeout_s: float) -> dict[str, Any]:
    """For either of httpx2's clients. Raises ``ApiUnreachableError`` and ``QueryError``, without the token."""
    headers = {"User-Agent": f"llm-metrics-proxy-client/{APP_VERSION}"}
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s <= _LONGEST_TIMEOUT_S:
        raise QueryError("timeout_s", f"timeout_s: give seconds above 0 and up to {_LONGEST_TIMEOUT_S:.0f}")
    if token is not None:
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token or not token:
            raise QueryError(
                "token",
                "token: it is empty, or has a blank, a line break or what is not ASCII: give it as in the settings",
            )
        headers["Authorization"] = f"Bearer {token}"
    timeout = httpx2.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s))
    return {"base_url": address(url), "headers": headers, "timeout": timeout}


def closed() -> QueryError:
    """The error of a question after ``close``."""
    return QueryError("client", "this client is closed: make a new one, or ask within its with block")


def path(name: str) -> str:
    """Below the base address, whatever prefix that has."""
    return f"api/v1/{name}"


def quoted(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


def encoded(parameters: Parameters) -> httpx2.QueryParams:
    """A query string; a name may come several times. Raises ``QueryError`` for text that is not Unicode."""
    for name, value in parameters:
        check_unicode(name, value)
    return httpx2.QueryParams([*parameters])


class Trial:
    """The attempts at one question."""

    def __init__(self, url: str, attempts: int) -> None:
        self._url = url
        self._left = attempts
        self._longest_s = _FIRST_WAIT_S

    def broke(self, fault: httpx2.RequestError) -> float:
        """No answer came: seconds to wait before the next attempt. Raises ``ApiUnreachableError`` after the last."""
        self._left -= 1
        if isinstance(fault, httpx2.LocalProtocolError):  # stays wrong; its text may quote the token
            raise ApiUnreachableError(
                f"the question to {self._url} cannot be written as HTTP: check the address and the token"
            ) from None
        if isinstance(fault, httpx2.ReadTimeout | httpx2.WriteTimeout):  # the server is at it: again would be twice
            raise ApiUnreachableError(f"{self._url} takes too long: ask about less, or give more timeout_s") from fault
        if self._left < 1 or isinstance(fault, httpx2.UnsupportedProtocol):
            why = str(fault) or type(fault).__name__
            raise ApiUnreachableError(
                f"nothing answers at {self._url} ({why}): does `llm-metrics-proxy serve` run there?"
            ) from fault
        return self._pause_s()

    def answered(self, response: httpx2.Response) -> float | None:
        """``None``: the answer is no error. Else as ``broke``; raises ``ApiRefusedError`` or ``UnknownAnswerError``."""
        error = refusal(response)
        if error is None:
            return None
        self._left -= 1
        if self._left < 1 or not isinstance(error, ApiRefusedError) or not _passes(error):
            raise error
        return self._pause_s() if error.retry_after_s is None else error.retry_after_s

    def _pause_s(self) -> float:
        """Longer each time, and not in step with others."""
        self._longest_s = min(_LONGEST_WAIT_S, self._longest_s * 2)
        return random.uniform(self._longest_s / 2, self._longest_s)  # noqa: S311 -- nothing secret


def _passes(error: ApiRefusedError) -> bool:
    """Whether to ask again. Wrong tokens stay wrong."""
    if error.status not in _PASSING or error.kind == "too_many_attempts":
        return False
    return error.retry_after_s is None or error.retry_after_s <= _LONGEST_WAIT_S


def refusal(response: httpx2.Response) -> ApiRefusedError | UnknownAnswerError | None:
    """The error that an answer is, if it is one; its body has been read."""
    if response.is_success:
        return None
    try:
        said = msgspec.json.decode(response.content, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        shown = response.text.strip()[:_SHOWN_CHARS]
        if response.status_code in _PASSING:  # of a reverse proxy before it
            return ApiRefusedError(
                f"{response.url}: {response.status_code} {response.reason_phrase}",
                status=response.status_code,
                kind="unavailable",
                retry_after_s=_retry_after_s(response),
            )
        return UnknownAnswerError(f"{response.url} is no metrics API: {response.status_code}, {shown!r}")
    return ApiRefusedError(
        said.message,
        status=response.status_code,
        kind=said.type,
        parameter=said.parameter,
        retry_after_s=_retry_after_s(response),
    )


def _retry_after_s(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def read(question: Question[Answer], response: httpx2.Response) -> Answer:
    """The answer as its type. Raises ``UnknownAnswerError``."""
    try:
        return msgspec.json.decode(response.content, type=question.answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnknownAnswerError(_unknown(response, str(error))) from error


def _unknown(response: httpx2.Response, why: str) -> str:
    try:
        theirs = msgspec.json.decode(response.content, type=_Versioned).app_version
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"{response.url} is no metrics API: its answer is not JSON of this shape ({why})"
    return (
        f"the answer of {response.url}, version {theirs}, cannot be read by this client, version {APP_VERSION} "
        f"({why}): install the same version here"
    )
