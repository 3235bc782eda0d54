"""Opt-in usage injection: ask a stream for its token counts on the client's behalf, and leave no trace of it.

``inject_include_usage`` adds ``stream_options.include_usage`` to a request's body. With it, an OpenAI-style server does
two things that the client did not request: it sends one more event at the end, with ``choices: []`` and the usage, and
it puts ``"usage":null`` into every other event. ``UsageFilter`` takes both out again. All other bytes stay as they are.

Events are left alone when they carry choices and a usage that is not null: servers such as Gemini and OpenRouter send
usage there in any case. An event whose JSON spans several ``data:`` lines is dropped whole or not
at all.
"""

import re
from typing import Any, Final

import msgspec

from llm_metrics_proxy.wire.json_shrink import end_of
from llm_metrics_proxy.wire.json_spans import Member, members, without
from llm_metrics_proxy.wire.tolerant import MISSING, UNREADABLE, decoder_of

MAX_EVENT_BYTES: Final = 1024 * 1024  # a longer one holds what was generated, and no usage
_OPTION: Final = b'"include_usage":true'
_SETTABLE: Final = (b"false", b"null")


class _StreamRequest(msgspec.Struct):
    stream: bool | None = None
    stream_options: msgspec.Raw = MISSING


def inject_include_usage(body: bytes) -> bytes | None:
    """``body`` with the option spliced in. None: not a streaming request, has it already, or is nothing we know."""
    try:
        request: _StreamRequest = decoder_of(_StreamRequest)(body)
    except UNREADABLE:
        return None
    if request.stream is not True:
        return None
    if request.stream_options is MISSING:
        start = body.index(b"{") + 1
        return b'%b"stream_options":{%b},%b' % (body[:start], _OPTION, body[start:])
    options = _only(members(body), b"stream_options")
    if options is None:
        return None
    value = body[options.value_start : options.end]
    if value == b"null":
        return b"%b{%b}%b" % (body[: options.value_start], _OPTION, body[options.end :])
    return _set_option(body, options.value_start)


def _set_option(body: bytes, start: int) -> bytes | None:
    """``body`` with the option set in the object at ``start``."""
    inner = members(body, start)
    if inner is None:
        return None
    if not any(member.key == b"include_usage" for member in inner):
        comma = b"," if inner else b""
        return b"%b%b%b%b" % (body[: start + 1], _OPTION, comma, body[start + 1 :])
    option = _only(inner, b"include_usage")
    if option is None or body[option.value_start : option.end] not in _SETTABLE:
        return None
    return b"%btrue%b" % (body[: option.value_start], body[option.end :])


def _only(found: list[Member] | None, key: bytes) -> Member | None:
    """The one member with that key; None if there is none, or several (servers disagree on which one counts)."""
    named = [member for member in found or () if member.key == key]
    return named[0] if len(named) == 1 else None


# --- the way back ---

# Two line ends, each CR LF, LF or CR. Spelt out by first byte: the search then runs at memory speed up to one of them.
_EVENT_END: Final = re.compile(rb"\n(?:\r\n?|\n)|\r(?:\r\n?|\n(?:\r\n?|\n))")
_LINE_TEXT: Final = re.compile(rb"[^\r\n]*+")
_BLANK_LINES: Final = re.compile(rb"[\r\n]*+")
_DATA_LINE: Final = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|(?<=[\r\n]))data:[ ]?([^\r\n]*+)")
_LAST_MEMBER: Final = re.compile(rb',[ \t\r\n]*"usage"[ \t\r\n]*:[ \t\r\n]*null(?=[ \t\r\n]*\}[ \t\r\n]*\Z)')
_USAGE_KEY: Final = b'"usage"'
_NO_FIELD: Final = b"{[< \t"  # how JSON and pages begin
_HALF_END_BYTES: Final = 2  # of an event's end may have come already: LF, CR or CR LF


class _UsageChunk(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = MISSING
    error: Any = None


_decode_chunk: Final = decoder_of(_UsageChunk)


class UsageFilter:
    """Feed what the server sends; what comes out is for the client. Comments and blank lines pass at once, and so does
    all of a body that is no event stream.

    Held back is at most one unfinished event. One above ``max_event_bytes`` passes as it is; ``passed_unfiltered``
    counts those.
    """

    __slots__ = ("_dropped_at_cr", "_held", "_max_event_bytes", "_out", "_searched", "_state", "passed_unfiltered")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._state = self._begin
        self._out: list[bytes] = []
        self._held = bytearray()  # the unfinished event; of one that passes, its last bytes, already passed
        self._searched = 0  # up to where no end of an event begins in _held
        self._dropped_at_cr = False  # the last byte dropped was a CR: an LF that follows belongs to it
        self.passed_unfiltered = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.__name__.strip('_')}, {len(self._held)} bytes held>"

    def feed(self, data: bytes) -> bytes:
        """What the client may see now."""
        position = 0
        while position < len(data):
            position = self._state(data, position)
        out = b"".join(self._out)
        self._out.clear()
        return out

    def finish(self) -> bytes:
        """What was held back, filtered like any event if only its blank line is missing."""
        held = bytes(self._held)
        self._held.clear()
        return _filtered(held) if self._state == self._event else b""

    # The states. Each takes what it can of ``data`` from ``position``, sets the next one, and returns where it stopped.

    def _begin(self, data: bytes, position: int) -> int:
        """Whatever its type says, a body whose first line cannot be one of an event stream is none, and passes."""
        end = end_of(_BLANK_LINES, data, position)
        self._out.append(data[position:end])
        if end < len(data):
            self._state = self._other if data[end] in _NO_FIELD else self._between
        return end

    def _other(self, data: bytes, position: int) -> int:
        self._out.append(data[position:])
        return len(data)

    def _between(self, data: bytes, position: int) -> int:
        """Before an event: blank lines and comments pass."""
        if self._dropped_at_cr:
            self._dropped_at_cr = False
            if data.startswith(b"\n", position):
                return position + 1
        end = end_of(_BLANK_LINES, data, position)
        self._out.append(data[position:end])
        if end < len(data):
            self._state = self._comment if data.startswith(b":", end) else self._event
        return end

    def _comment(self, data: bytes, position: int) -> int:
        end = end_of(_LINE_TEXT, data, position)
        self._out.append(data[position:end])
        if end < len(data):
            self._state = self._between
        return end

    def _event(self, data: bytes, position: int) -> int:
        held = self._held
        if not held:  # nearly always: the event is whole in this piece
            end = _EVENT_END.search(data, position)
            if end is not None:
                self._state = self._between
                self._pass(data[position : end.end()])
                return end.end()
        before = len(held)
        held += data[position:]
        end = _EVENT_END.search(held, self._searched)
        if end is not None:
            event = bytes(held[: end.end()])
            held.clear()
            self._searched = 0
            self._state = self._between
            self._pass(event)
            return position + len(event) - before
        self._searched = max(0, len(held) - _HALF_END_BYTES)
        if len(held) > self._max_event_bytes:
            self.passed_unfiltered += 1
            self._out.append(bytes(held))
            del held[: self._searched]
            self._searched = 0
            self._state = self._long_event
        return len(data)

    def _long_event(self, data: bytes, position: int) -> int:
        half = bytes(self._held)
        data = half + data[position:]
        end = _EVENT_END.search(data)
        if end is None:
            self._out.append(data[len(half) :])
            self._held[:] = data[-_HALF_END_BYTES:]
            return position + len(data) - len(half)
        self._out.append(data[len(half) : end.end()])
        self._held.clear()
        self._state = self._between
        return position + end.end() - len(half)

    def _pass(self, event: bytes) -> None:
        if len(event) > self._max_event_bytes:
            self.passed_unfiltered += 1
            self._out.append(event)
            return
        kept = _filtered(event)
        if kept:
            self._out.append(kept)
        else:
            self._dropped_at_cr = event.endswith(b"\r")


def _filtered(event: bytes) -> bytes:
    """A whole event as the client is to see it; empty if not at all."""
    if _USAGE_KEY not in event:
        return event
    lines = list(_DATA_LINE.finditer(event))
    text = b"\n".join(line[1] for line in lines)
    try:
        chunk: _UsageChunk = _decode_chunk(text)
    except UNREADABLE:
        return event
    if chunk.usage is MISSING or chunk.error:
        return event
    if bytes(chunk.usage) != b"null":
        return event if chunk.choices else b""
    if len(lines) > 1:
        return event
    start, end = lines[0].span(1)
    return event[:start] + _without_usage(text) + event[end:]


def _without_usage(text: bytes) -> bytes:
    """The object ``text``, which has a ``usage`` of null, without that member."""
    key = text.rfind(_USAGE_KEY)
    comma = text.rfind(b",", 0, key)
    last = _LAST_MEMBER.match(text, comma) if comma >= 0 else None
    if last is not None and text.find(_USAGE_KEY) == key:  # where servers put it: 10 times as fast as the general way
        return text[:comma].rstrip() + text[last.end() :]
    found = members(text)
    usage = _only(found, b"usage")
    return text if found is None or usage is None else without(text, found, found.index(usage))
