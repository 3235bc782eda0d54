"""Newline-delimited JSON, framed from bytes that are cut anywhere: every line that is not blank is one event."""

from functools import partial

from llm_metrics_proxy.wire.json_shrink import LargeJson, Shape
from llm_metrics_proxy.wire.lines import MAX_HELD_BYTES, Splitter
from llm_metrics_proxy.wire.sse import SseEvent


class NdjsonReader:
    """Feed bytes, get lines as events without a name; ``shape``: what is read of them.

    The CR of a CRLF stays: it is white space in JSON.
    """

    __slots__ = ("_lines",)

    def __init__(self, shape: Shape | None = None, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._lines = Splitter(b"\n", partial(LargeJson, shape), max_held_bytes)

    @property
    def at_boundary(self) -> bool:
        """The next byte is the first of a line."""
        return self._lines.is_empty

    def feed(self, data: bytes) -> list[SseEvent]:
        """The lines that ``data`` completes."""
        return [SseEvent(line) for line in self._lines.feed(data) if line and not line.isspace()]

    def finish(self) -> list[SseEvent]:
        """The line, if any, whose end never came. It may be cut short."""
        line = self._lines.finish()
        return [SseEvent(line)] if line and not line.isspace() else []
