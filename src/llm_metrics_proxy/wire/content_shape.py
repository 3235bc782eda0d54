"""Events of a stream that differ in nothing but their text: the rest is read once.

A server streams a sentence as events that are equal byte for byte, but for the string behind ``"content":``. Once such
an event has been decoded, one of the same shape says the same: text was generated, and nothing else happened. That is
sound whatever the string means in the document, because only the inside of one JSON string differs, it was not empty
and is not now, and it may hold nothing that could end it, escape from it, or spoil its encoding.

Measured: 0.45 µs for an event of a known shape, 1.5 µs for framing and decoding it.
"""

import re
from typing import Final, NamedTuple

_MARKER: Final = b'"content":"'
_TEXT: Final = re.compile(rb"[ !#-\[\]-~]+")  # printable ASCII without the quote and the backslash


class Shape(NamedTuple):
    """A whole event, ``data:`` and blank line included, around its text."""

    before: bytes
    after: bytes

    def fits(self, data: bytes) -> bool:
        """``data`` is one event of this shape, with any text in it."""
        before, after = self
        return (
            data.startswith(before)
            and data.endswith(after)
            and _TEXT.fullmatch(data, len(before), len(data) - len(after)) is not None
        )


def shape_of(data: bytes) -> Shape | None:
    """The shape of ``data``; ``None`` if it is not exactly one event in one line with exactly one plain text."""
    if not (data.startswith(b"data: {") and data.endswith(b"}\n\n") and data.count(b"\n") == 2) or b"\r" in data:
        return None
    start = data.find(_MARKER) + len(_MARKER)
    if start < len(_MARKER) or data.find(_MARKER, start) >= 0:
        return None
    end = data.find(b'"', start)
    if _TEXT.fullmatch(data, start, end) is None:
        return None
    return Shape(data[:start], data[end:])
