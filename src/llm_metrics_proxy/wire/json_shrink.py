"""A JSON document made small as it streams by, so that one that is too large to hold can be decoded in the end.

What is left out does not matter to the decoder: values of members that its ``Shape`` does not name become ``null``,
containers deep inside the others become empty, long strings lose their ends. Everything else is copied byte for byte.
So the small document is read by the very code that reads whole ones, and the two cannot disagree.

Left-out values are jumped over by regular expressions that run in C; brackets are counted there, not checked. Measured
on one noisy core, in pieces of 64 KiB: an embeddings answer of 20 MB at 365 MB/s, a content string of 5 MB at 370 MB/s,
one with an escape every 15 bytes at 240 MB/s, log probabilities, which are nearly all quotes and brackets, at 35 MB/s.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec

MAX_KEPT_BYTES: Final = 1024 * 1024  # of the small document; more is given up
MAX_STRING_BYTES: Final = 8 * 1024  # 500 characters, the longest text that is stored, need at most 6,000 when escaped
_MANY_KEPT_BYTES: Final = MAX_KEPT_BYTES // 4  # from here on it must be a list of texts, and types and names are short
_SHORT_STRING_BYTES: Final = 64
_MANY_ITEMS_BYTES: Final = MAX_KEPT_BYTES // 2  # from here on lists of anything, such as numbers, lose their ends
MAX_DEPTH: Final = 4  # of containers that are not described any further, such as a usage or an error

# What somebody reads of an object: members as they are written, and of each one what is read of the objects in it; or
# how many containers deep it is read. None: ``MAX_DEPTH``.
Shape = Mapping[bytes, Union["Shape", int, None]]
_ONLY_COUNTED: Final = 1  # deep: what is kept as ``Raw`` is looked at from outside


@cache
def shape_of(kind: type[msgspec.Struct]) -> Shape:
    """What a decoder for ``kind`` reads."""
    hints = get_type_hints(kind)
    names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    return {written.encode(): _shape_in(hints[name]) for name, written in names}


def _shape_in(hint: Any) -> Shape | int | None:
    if hint is msgspec.Raw:
        return _ONLY_COUNTED
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return shape_of(hint)
    parts = () if get_origin(hint) is dict else get_args(hint)
    return next((shape for shape in map(_shape_in, parts) if shape is not None), None)


# Possessive (*+): nothing is ever given back, so no input makes them slow. Strings are unrolled for speed: text, then
# escape and text again and again.
_TEXT: Final = re.compile(rb'[^"\[\]{},:]*+')
_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.S)
_WHOLE_ESCAPES: Final = re.compile(rb'[^"\\]*+(?:\\(?:u[\da-fA-F]{4}|[^u])[^"\\]*+)*+')
_TO_MEMBER_END: Final = re.compile(rb'[^"\[\]{},]*+')
TO_BRACKET: Final = re.compile(rb'[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+', re.S)
BLANK: Final = re.compile(rb"[ \t\r\n]*+")

_QUOTE, _COMMA, _COLON = b'",:'
_OBJECT: Final = ord("{")
_ARRAY_END: Final = ord("]")
_CLOSER: Final = {_OBJECT: ord("}"), ord("["): _ARRAY_END}


class JsonShrinker:
    """Feed pieces, then ``finish``. ``max_depth``: see ``MAX_DEPTH``."""

    def __init__(
        self,
        shape: Shape | None = None,
        max_depth: int = MAX_DEPTH,
        max_string_bytes: int = MAX_STRING_BYTES,
        max_kept_bytes: int = MAX_KEPT_BYTES,
    ) -> None:
        self._max_depth = max_depth
        # Of what comes next: its shape, or how many containers deep it is kept; then the same of each open container.
        self._next: Shape | int = max_depth if shape is None else shape
        self._open_ones: list[Shape | int] = []
        self._max_string_bytes = max_string_bytes
        self._room_until = 0  # where in _kept the current string is cut
        self._max_kept_bytes = max_kept_bytes
        self._kept = bytearray()
        self._closers = bytearray()  # of the open containers that are kept, outermost first
        self._sound = (0, b"")  # length of what was kept up to the last complete value, and its closers
        self._string_start = 0  # where the current or last kept string begins in _kept
        self._string_cut = False
        self._escaped = False  # the piece ended after a backslash
        self._skipped_depth = 0  # containers open inside a value that is left out
        self._state = self._text
        self.complete = False  # the outermost container has been closed
        self.broken = False  # something that no JSON document has, or more to keep than is allowed

    def __repr__(self) -> str:
        state = "broken" if self.broken else "complete" if self.complete else self._state.__name__.strip("_")
        return f"<{type(self).__name__} {state} at depth {len(self._closers)}, {len(self._kept)} bytes kept>"

    def feed(self, data: bytes) -> None:
        """Take the next piece, cut anywhere."""
        position = 0
        end = len(data)
        while position < end:
            position = self._state(data, position)
            if len(self._kept) > self._max_kept_bytes:
                position = self._break(data, position)

    def finish(self) -> bytes:
        """The small document. If the large one broke off: its members that were complete, closed by us."""
        if self.complete or self.broken:
            return bytes(self._kept)
        length, closers = self._sound
        return bytes(self._kept[:length]) + closers[::-1]

    # The states. Each takes what it can of ``data`` from ``position``, sets the next one, and returns where it stopped.

    def _text(self, data: bytes, position: int) -> int:
        """Between the strings of a kept part: copied."""
        stop = end_of(_TEXT, data, position)
        self._kept += data[position:stop]
        if stop == len(data):
            return stop
        byte = data[stop]
        if byte == _QUOTE:
            self._string_start = start = len(self._kept)
            most = self._max_string_bytes if start < _MANY_KEPT_BYTES else _SHORT_STRING_BYTES
            self._room_until = start + 1 + most
            self._string_cut = False
            self._state = self._string
        elif byte == _COMMA:
            self._sound = (len(self._kept), bytes(self._closers))
            if self._sound[0] > _MANY_ITEMS_BYTES and len(self._closers) > 1:
                return self._end_list(stop)
        elif byte == _COLON:
            return self._colon(stop)
        elif byte in _CLOSER:
            return self._open(byte, stop)
        else:
            return self._close(data, stop)
        self._kept.append(byte)
        return stop + 1

    def _end_list(self, position: int) -> int:
        """Behind an item of what nobody described, when much is kept already: leave the others out."""
        around = self._open_ones[-1]
        if self._closers[-1] != _ARRAY_END or not isinstance(around, int) or around == _ONLY_COUNTED:
            self._kept.append(_COMMA)
        else:
            self._closers.pop()
            self._open_ones.pop()
            self._kept.append(_ARRAY_END)
            self._sound = (len(self._kept), bytes(self._closers))
            self._skipped_depth = 1
            self._state = self._skip
        return position + 1

    def _colon(self, position: int) -> int:
        self._kept.append(_COLON)
        around = self._open_ones[-1] if self._open_ones else 1
        if isinstance(around, int):
            self._next = around - 1
            return position + 1
        key = bytes(self._kept[self._string_start + 1 :]).split(b'"', 1)[0]
        if key in around:
            shape = around[key]
            self._next = self._max_depth if shape is None else shape
        else:
            self._kept += b"null"
            self._state = self._skip_to_member_end
        return position + 1

    def _open(self, byte: int, position: int) -> int:
        self._kept.append(byte)
        inside, self._next = self._next, 0  # nothing is kept that follows without a key
        if self._closers and self._closers[-1] == _ARRAY_END:
            around = self._open_ones[-1]
            listed = around if byte == _OBJECT else 0  # of what is described there are lists, and no lists of lists
            inside = around - 1 if isinstance(around, int) else listed
        if inside == 0:
            self._kept.append(_CLOSER[byte])
            self._skipped_depth = 1
            self._state = self._skip
        else:
            self._closers.append(_CLOSER[byte])
            self._open_ones.append(inside)
            self._sound = (len(self._kept), bytes(self._closers))
        return position + 1

    def _close(self, data: bytes, position: int) -> int:
        byte = data[position]
        if not self._closers or self._closers.pop() != byte:
            return self._break(data, position)
        self._open_ones.pop()
        self._kept.append(byte)
        self._sound = (len(self._kept), bytes(self._closers))
        if not self._closers:
            self.complete = True
            self._state = self._after
        return position + 1

    def _string(self, data: bytes, position: int) -> int:
        """Inside a kept string: copied up to its bound."""
        stop, closed = self._string_end(data, position)
        room = self._room_until - len(self._kept)
        if stop - position > room:
            self._string_cut = True
            self._kept += data[position : position + room]
        else:
            self._kept += data[position:stop]
        if closed:
            if self._string_cut:
                self._mend_cut_string()
            self._kept.append(_QUOTE)
            self._state = self._text
            stop += 1
        return stop

    def _mend_cut_string(self) -> None:
        """Take away the half escape or half character that the cut may have left."""
        start = self._string_start + 1
        raw = bytes(self._kept[start:])
        whole = raw[: end_of(_WHOLE_ESCAPES, raw, 0)]
        self._kept[start:] = whole.decode("utf-8", "ignore").encode()

    def _skip_to_member_end(self, data: bytes, position: int) -> int:
        """At a value of a member that is left out."""
        stop = end_of(_TO_MEMBER_END, data, position)
        if stop == len(data):
            return stop
        byte = data[stop]
        if byte == _QUOTE:
            self._state = self._skip_string
        elif byte in _CLOSER:
            self._skipped_depth = 1
            self._state = self._skip
        else:
            self._state = self._text
            return stop
        return stop + 1

    def _skip(self, data: bytes, position: int) -> int:
        """Inside a container that is left out."""
        stop = end_of(TO_BRACKET, data, position)
        if stop == len(data):
            return stop
        byte = data[stop]
        if byte == _QUOTE:
            self._state = self._skip_string
        elif byte in _CLOSER:
            self._skipped_depth += 1
        else:
            self._skipped_depth -= 1
            if not self._skipped_depth:
                self._state = self._text
        return stop + 1

    def _skip_string(self, data: bytes, position: int) -> int:
        """Inside a string that is left out, from the cut between two pieces on."""
        stop, closed = self._string_end(data, position)
        if closed:
            self._state = self._skip if self._skipped_depth else self._text
            stop += 1
        return stop

    def _string_end(self, data: bytes, position: int) -> tuple[int, bool]:
        """Where the string's text stops in this piece, and whether a closing quote is there."""
        if self._escaped:
            self._escaped = False
            position += 1
        stop = end_of(_STRING, data, position)
        if stop == len(data):
            return stop, False
        if data[stop] == _QUOTE:
            return stop, True
        self._escaped = True  # a backslash that is the last byte of this piece
        return stop + 1, False

    def _after(self, data: bytes, position: int) -> int:
        """Behind the document: only white space."""
        stop = end_of(BLANK, data, position)
        return stop if stop == len(data) else self._break(data, stop)

    def _break(self, data: bytes, position: int) -> int:
        """From ``position`` on nothing more can be learned; the rest of every piece is passed over."""
        self.broken = True
        self._kept.clear()
        self._state = self._break
        return max(position, len(data))


class LargeJson:
    """One value that is too large to be held, taken as it comes. ``finish`` gives it small; of one that is not whole,
    or no JSON, the beginning, which is as little JSON and says what an error's text says."""

    __slots__ = ("_beginning", "_shrinker")

    def __init__(self, shape: Shape | None = None) -> None:
        self._beginning = b""
        self._shrinker = JsonShrinker(shape)

    def feed(self, data: bytes) -> None:
        """Take the next piece, cut anywhere."""
        if len(self._beginning) < MAX_STRING_BYTES:
            self._beginning += data[: MAX_STRING_BYTES - len(self._beginning)]
        self._shrinker.feed(data)

    def finish(self) -> bytes:
        """The value as it can be decoded."""
        shrinker = self._shrinker
        return shrinker.finish() if shrinker.complete and not shrinker.broken else self._beginning


def end_of(pattern: re.Pattern[bytes], data: bytes, position: int) -> int:
    """Where the match at ``position`` of a pattern that matches the empty text ends."""
    match = pattern.match(data, position)
    assert match is not None
    return match.end()
