"""Where the members of a JSON object are in its text, so that one can be added or removed and no other byte changes.

For whole objects that a decoder has already found valid; on anything else the answer is None or meaningless spans.
"""

import re
from typing import Final, NamedTuple

from llm_metrics_proxy.wire.json_shrink import BLANK, TO_BRACKET, end_of

_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.S)
_SCALAR: Final = re.compile(rb"[^,\]}\s]++")


class Member(NamedTuple):
    """One member of an object; offsets into the text. ``key`` is as written, without its quotes."""

    key: bytes
    start: int  # of the key's opening quote
    value_start: int
    end: int  # behind the value


def members(text: bytes, start: int = 0) -> list[Member] | None:
    """The members of the object that begins at ``start``, white space before it allowed, in their order."""
    found: list[Member] = []
    position = end_of(BLANK, text, start)
    if text[position : position + 1] != b"{":
        return None
    position = end_of(BLANK, text, position + 1)
    while text[position : position + 1] == b'"':
        key = _STRING.match(text, position)
        if key is None:
            return None
        value_start = end_of(BLANK, text, end_of(BLANK, text, key.end()) + 1)  # behind the colon
        end = _value_end(text, value_start)
        if end is None:
            return None
        found.append(Member(key.group()[1:-1], position, value_start, end))
        position = end_of(BLANK, text, end)
        if text[position : position + 1] == b",":
            position = end_of(BLANK, text, position + 1)
    return found if text[position : position + 1] == b"}" else None


def without(text: bytes, found: list[Member], number: int) -> bytes:
    """``text`` without the member ``found[number]`` and the comma that joined it to its neighbours."""
    member = found[number]
    if number > 0:
        return text[: found[number - 1].end] + text[member.end :]
    stop = found[1].start if len(found) > 1 else member.end
    return text[: member.start] + text[stop:]


def _value_end(text: bytes, start: int) -> int | None:
    if text[start : start + 1] in (b"{", b"["):
        return _container_end(text, start)
    match = (_STRING if text[start : start + 1] == b'"' else _SCALAR).match(text, start)
    return None if match is None else match.end()


def _container_end(text: bytes, position: int) -> int | None:
    depth = 0
    while position < len(text):
        depth += 1 if text[position] in b"{[" else -1
        position += 1
        if not depth:
            return position
        position = end_of(TO_BRACKET, text, position)
        if text[position : position + 1] == b'"':
            return None  # a string without its end
    return None
