"""Answers of Ollama's own API whose Content-Type does not say whether they are a stream: their bytes do.

Ollama streams unless asked not to, as ``application/x-ndjson``; gateways and imitations send the same lines as
``application/json``, or without a type. A stream's first line is an object of its own that is not the last one
(``done: false``), or that another line follows. A whole answer is one object, ``done: true``, over any number of lines.
"""

from typing import Final

from llm_metrics_proxy.wire.base import ResponseFacts, ResponseReader
from llm_metrics_proxy.wire.ollama_native import OllamaBodyReader, OllamaLine
from llm_metrics_proxy.wire.ollama_stream import OllamaStreamReader
from llm_metrics_proxy.wire.tolerant import UNREADABLE, decoder_of

_MAX_HELD_BYTES: Final = 64 * 1024  # a stream's first line holds one token
_BLANK: Final = b" \t\r\n"  # between the values of JSON (RFC 8259 section 2); before the first, sent to keep alive


class OllamaAnswerReader:
    """Holds the first line until it tells which of the two readers is right; from then on that one reads."""

    __slots__ = ("_held", "_reader")

    def __init__(self) -> None:
        self._held = b""
        self._reader: ResponseReader | None = None

    def feed(self, data: bytes) -> int:
        """Take the next bytes; what was held shows its bits together with those that decided."""
        if self._reader is None:
            data = (self._held + data).lstrip(_BLANK)
            self._reader = _reader_of(data)
            if self._reader is None:
                self._held = data
                return 0
            self._held = b""
        return self._reader.feed(data)

    def finish(self) -> ResponseFacts:
        """The facts. What never told what it is was one object."""
        if self._reader is None:
            self._reader = OllamaBodyReader()
            self._reader.feed(self._held)
        return self._reader.finish()


def _reader_of(begun: bytes) -> ResponseReader | None:
    """Who reads an answer that begins so; ``None``: it cannot be told yet."""
    line, end, rest = begun.partition(b"\n")
    undecided = OllamaBodyReader() if len(begun) > _MAX_HELD_BYTES else None  # blank lines may follow without end
    if not end:
        return undecided
    try:
        first = decoder_of(OllamaLine)(line)
    except UNREADABLE:
        return OllamaBodyReader()  # an object over several lines, or odd: the body's reader makes the best of it
    if first.done is False or (rest and not rest.isspace()):
        return OllamaStreamReader()
    return undecided
