"""One text message as it comes in parts: held up to a bound, and beyond it made small, or lost."""

from collections.abc import Callable

from llm_metrics_proxy.wire.lines import MAX_HELD_BYTES, Large

MakeLarge = Callable[[], Large]


class MessageText:
    """``add`` its parts, then ``finish``."""

    __slots__ = ("_held", "_large", "_make_large", "_max_bytes")

    def __init__(self, max_bytes: int, make_large: MakeLarge | None) -> None:
        """``make_large``: makes what is larger than ``MAX_HELD_BYTES`` small while it passes; without, nothing is left
        of what is larger than ``max_bytes``."""
        self._max_bytes = max_bytes
        self._make_large = make_large
        self._large: Large | None = None
        self._held: bytearray | None = bytearray()

    @property
    def held_bytes(self) -> int:
        """How much is in memory; of a large one, little is."""
        return len(self._held or b"")

    def add(self, data: bytes) -> None:
        """Its next part."""
        if self._large is not None:
            self._large.feed(data)
            return
        if self._held is None:
            return
        self._held += data
        if self._make_large is not None and len(self._held) > MAX_HELD_BYTES:
            self._large = self._make_large()
            self._large.feed(bytes(self._held))
            self._held.clear()
        elif len(self._held) > self._max_bytes:
            self._held = None

    def finish(self) -> bytes | None:
        """All of it, or the small piece that says the same; None if it was lost."""
        if self._large is not None:
            return self._large.finish()
        return None if self._held is None else bytes(self._held)
