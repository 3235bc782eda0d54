"""Bytes for the client: heads of forwarded answers, and this proxy's own OpenAI-shaped errors. Pure."""

import re
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.proxy.headers import Fields
from llm_metrics_proxy.wire.aws_head import named_by_aws
from llm_metrics_proxy.wire.dialects import media_type
from llm_metrics_proxy.wire.head_counts import HeadCounts, read_counts
from llm_metrics_proxy.wire.rate_limits import read_limits

REQUEST_ID_FIELD: Final = b"x-llm-metrics-request-id: "
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")  # a tab may stand there (RFC 9112 section 4)

# Facts of almost every answer: none of them is a limit.
_USUAL: Final = frozenset(
    {"date", "connection", "transfer_encoding", "upgrade", "content_length", "content_type", "content_encoding"}
)


class Framing(Enum):
    """What marks the end of a message body (RFC 9112 section 6)."""

    NONE = auto()  # no body: HEAD, 204, 304
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


NONE, LENGTH, CHUNKED, UNTIL_CLOSE = Framing  # CPython 3.11 takes 45 ns to look one up in its class


class ResponseHead(NamedTuple):
    """An upstream's head, parsed. ``start`` is what of it goes on: status line and end-to-end fields."""

    status: int
    start: bytes
    facts: dict[str, bytes]
    framing: Framing
    media: bytes  # of its Content-Type, see ``media_type``
    limits: tuple[tuple[str, float | int | str], ...] = ()  # columns of the record that its fields fill
    counts: HeadCounts | None = None


def response_head(status: int, reason: bytes, fields: Fields, method: bytes) -> ResponseHead:
    """Put a parsed head together; ``method`` is the request's."""
    start = b"HTTP/1.1 %d %b\r\n%b" % (status, printable(reason), b"".join(fields.lines))
    facts = fields.facts
    # read here, because a head that was seen before is not taken apart again
    media = media_type(facts.get("content_type"))
    framing = response_framing(status, method, facts)
    if _USUAL.issuperset(facts):
        return ResponseHead(status, start, facts, framing, media)
    return ResponseHead(
        status, start, facts, framing, media, read_limits(facts) + named_by_aws(facts), read_counts(facts)
    )


def printable(reason: bytes) -> bytes:
    """A reason phrase without control characters, which a terminal might obey; obs-text may be UTF-8 or Latin-1."""
    if reason.isascii() and reason.isalnum():
        return reason
    try:
        text, coding = reason.decode(), "utf-8"
    except UnicodeDecodeError:
        text, coding = reason.decode("latin-1"), "latin-1"
    return _CONTROLS.sub("", text).encode(coding)


def response_framing(status: int, method: bytes, facts: dict[str, bytes]) -> Framing:
    """How a response's body is framed (RFC 9112 section 6.3)."""
    if method == b"HEAD" or status in {204, 304} or status < 200:
        return NONE
    if "transfer_encoding" in facts:
        return CHUNKED
    return LENGTH if "content_length" in facts else UNTIL_CLOSE


def client_framing(upstream: Framing, version: str, *, edited: bool) -> Framing:
    """How the same body is framed for the client. ``edited``: its length may change on the way."""
    if upstream is NONE or (upstream is LENGTH and not edited):
        return upstream
    return CHUNKED if version == "1.1" else UNTIL_CLOSE


def head_bytes(
    head: ResponseHead, framing: Framing, length: int | None, request_id: str, version: str, *, keep_alive: bool
) -> bytes:
    """The head for the client: what the upstream said, our framing and connection options, the request's id.

    ``length`` is the body's, or the one that an answer to HEAD announces.
    """
    if framing is CHUNKED:
        extra = b"Transfer-Encoding: chunked\r\n"
    elif length is not None and framing is not UNTIL_CLOSE and head.status != 204:  # RFC 9110 section 8.6
        extra = b"Content-Length: %d\r\n" % length
    else:
        extra = b""
    if not keep_alive:
        extra += b"Connection: close\r\n"
    elif version == "1.0":
        extra += b"Connection: keep-alive\r\n"
    return b"%b%b%b%b\r\n\r\n" % (head.start, extra, REQUEST_ID_FIELD, request_id.encode())


def informational_bytes(head: ResponseHead, request_id: str, extra: bytes = b"") -> bytes:
    """A 1xx head for the client."""
    return b"%b%b%b%b\r\n\r\n" % (head.start, extra, REQUEST_ID_FIELD, request_id.encode())


def error_body(code: str, message: str) -> bytes:
    """``{"error": {...}}`` as OpenAI's clients read it."""
    return msgspec.json.encode({"error": {"message": message, "type": "proxy_error", "code": code}})


def own_answer(
    status: int,
    body: bytes | None,
    request_id: str,
    version: str,
    keep_alive: bool,
    *,
    lines: bytes = b"",
    head_only: bool = False,
) -> bytes:
    """A whole answer of this proxy's own, with a JSON body or none, and with these field lines."""
    reason = HTTPStatus(status).phrase.encode()
    connection = b"Connection: close\r\n" if not keep_alive else b"Connection: keep-alive\r\n" * (version == "1.0")
    content = b"" if body is None else b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    retry = b"Retry-After: 1\r\n" if status == 503 else b""
    parts = (status, reason, content, connection, retry, lines, REQUEST_ID_FIELD, request_id.encode())
    head = b"HTTP/1.1 %d %b\r\n%b%b%b%b%b%b\r\n\r\n" % parts
    return head if head_only or body is None else head + body


def json_bytes(value: Any) -> bytes:
    """JSON with a final newline, so that it reads well in a terminal."""
    return msgspec.json.encode(value) + b"\n"
