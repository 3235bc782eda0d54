"""How a body is framed, by its first bytes.

Its Content-Type is often wrong: gateways send event streams as JSON, JSON as event streams, pages in place of either,
and much without a type.

    data: {…            EVENTS      server-sent events, also behind a byte-order mark, blank lines and comments
    {…}\\n{…}           LINES       newline-delimited JSON
    { …                 DOCUMENT    one JSON object
    [ …                 LIST        one JSON array; Gemini streams so
    <html>              PAGE        an HTML page
    anything readable   TEXT        a JSON text or number alone too
    anything else       BINARY      sound, pictures; AMAZON, whose prelude has its own checksum
    (blank)             NOTHING

Pure. ``frame`` says ``None`` as long as more bytes may change its mind, and from then on the same for any longer
beginning: how a body is cut makes no difference.
"""

import re
import zlib
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from llm_metrics_proxy.wire.tolerant import UNREADABLE, decoder_of

MAX_OPEN_BYTES: Final = 64 * 1024  # by then it is decided; a stream's first line holds one token


class BodyFraming(StrEnum):
    """What a body is made of."""

    EVENTS = "events"
    LINES = "lines"
    DOCUMENT = "document"
    LIST = "list"
    AMAZON = "amazon"  # application/vnd.amazon.eventstream
    PAGE = "page"
    TEXT = "text"
    BINARY = "binary"
    NOTHING = "nothing"


EVENTS, LINES, DOCUMENT, LIST, AMAZON, PAGE, TEXT, BINARY, NOTHING = BodyFraming

# What a type promises: it decides only where the bytes leave a choice.
PROMISED: Final = {
    b"text/event-stream": EVENTS,
    b"application/x-ndjson": LINES,
    b"application/ndjson": LINES,
    b"application/jsonl": LINES,
    b"application/stream+json": LINES,
    b"application/vnd.amazon.eventstream": AMAZON,
}
BLANK: Final = b" \t\r\n"  # between the values of JSON (RFC 8259 section 2); before the first, sent to keep alive

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_FIELD: Final = re.compile(rb"(?:data|event|id|retry|error)?:")  # of an event stream; without a name it is a comment
_PAGE: Final = re.compile(rb"(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html|head|body)[\s>]", re.I)
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # no text has these
_SEEN_BYTES: Final = 64  # of what is none of the usual, to see what it is
_PRELUDE_BYTES: Final = 12  # of Amazon's messages: two lengths and their CRC-32


class _Any(msgspec.Struct):
    """Any JSON object: every member is checked and skipped."""


def begun(data: bytes) -> bytes:
    """``data`` from its first byte that says something on."""
    return data.lstrip(BLANK).removeprefix(_BYTE_ORDER_MARK).lstrip(BLANK)


def frame(
    data: bytes,
    promised: BodyFraming | None = None,
    opens: Callable[[bytes], bool] | None = None,
    *,
    ended: bool = False,
) -> BodyFraming | None:
    """The framing of a body that begins with ``data``, or is that (``ended``); ``None``: more must come first.

    One object in one line may be the first of LINES. It is if ``opens``, which knows a dialect's lines, says so, if
    LINES were ``promised``, or if another object follows.
    """
    if data.startswith(b"data:"):
        return EVENTS
    start = begun(data)
    if not start:
        return NOTHING if ended else None
    first = start[:1]
    if first == b"{":
        return _object(start, promised, opens, ended=ended)
    if first == b"[":
        return LIST
    if _FIELD.match(start):
        return EVENTS
    if not ended and len(start) < _SEEN_BYTES:
        if _CONTROL.search(start) and len(data) >= _PRELUDE_BYTES:
            return _other(data, start)
        return PAGE if _PAGE.match(start) else None
    return _other(data, start)


def _object(
    start: bytes, promised: BodyFraming | None, opens: Callable[[bytes], bool] | None, *, ended: bool
) -> BodyFraming | None:
    start, decides = start[:MAX_OPEN_BYTES], ended or len(start) >= MAX_OPEN_BYTES
    line, end, rest = start.partition(b"\n")
    if not end:
        if promised is not LINES:
            return DOCUMENT if decides else None
        return (LINES if not ended or is_object(line) else DOCUMENT) if decides else None
    if opens is not None and opens(line):
        return LINES
    rest = rest.lstrip(BLANK)
    if rest or promised is LINES:
        return LINES if (not rest or rest.startswith(b"{")) and is_object(line) else DOCUMENT
    return DOCUMENT if decides else None


def is_object(data: bytes) -> bool:
    """``data`` is one whole JSON object."""
    try:
        decoder_of(_Any)(data)
    except UNREADABLE:
        return False
    return True


def _other(data: bytes, start: bytes) -> BodyFraming:
    if len(data) >= _PRELUDE_BYTES and zlib.crc32(data[:8]) == int.from_bytes(data[8:_PRELUDE_BYTES], "big"):
        return AMAZON
    start = start[:_SEEN_BYTES]
    if _PAGE.match(start):
        return PAGE
    return BINARY if _CONTROL.search(start) or not _is_text(start) else TEXT


def _is_text(data: bytes) -> bool:
    """UTF-8, perhaps cut; a text in an older encoding has a few bytes of its own, sound has little else."""
    text = data.decode("utf-8", "replace").rstrip("\ufffd")
    return bool(text) and text.count("\ufffd") * 4 <= len(text)
