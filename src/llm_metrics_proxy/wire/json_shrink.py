"""A JSON document made small as it streams by, so that one that is too large to hold can be decoded in the end.

What is left out does not matter to the decoder: values of top-level members that nobody reads become
``null``, containers below ``max_depth`` become empty, long strings lose their ends. Everything else is copied byte for
byte. So the small document is read by the very code that reads whole ones, and the two cannot disagree.

Left-out values are jumped over by regular expressions that run in C; brackets are counted there, not checked. Measured
on one noisy core, in pieces of 64 KiB: an embeddings answer of 20 MB at 365 MB/s, a content string of 5 MB at 370 MB/s,
one with an escape every 15 bytes at 240 MB/s, log probabilities, which are nearly all quotes and brackets, at 35 MB/s.
"""

import re
from typing import Final

MAX_KEPT_BYTES: Final = 1024 * 1024  # of the small document; more is given up
MAX_STRING_BYTES: Final = 8 * 1024  # 500 characters, the longest text that is stored, need at most 6,000 when escaped

# Possessive (*+): nothing is ever given back, so no input makes them slow. Strings are unrolled for speed: text, then
# escape and text again and again.
_TEXT: Final = re.compile(rb'[^"\[\]{},:]*+')
_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.S)
_WHOLE_ESCAPES: Final = re.compile(rb'[^"\\]*+(?:\\(?:u[\da-fA-F]{4}|[^u])[^"\\]*+)*+')
_TO_MEMBER_END: Final = re.compile(rb'[^"\[\]{},]*+')
TO_BRACKET: Final = re.compile(rb'[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+', re.S)
BLANK: Final = re.compile(rb"[ \t\r\n]*+")

_QUOTE, _COMMA, _COLON = b'",:'
CLOSER: Final = {ord("{"): ord("}"), ord("["): ord("]")}


class JsonShrinker:
    """Feed pieces, then ``finish``. ``keep``: top-level keys to keep (None: all), ``drop``: keys below to leave out.

    Both as they are written.
    """

    def __init__(
        self,
        keep: frozenset[bytes] | None = None,
        max_depth: int = 3,
        max_string_bytes: int = MAX_STRING_BYTES,
        max_kept_bytes: int = MAX_KEPT_BYTES,
        drop: frozenset[bytes] = frozenset(),
    ) -> None:
        self._keep = keep
        self._drop = drop
        self._max_depth = max_depth
        self._max_string_bytes = max_string_bytes
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
        position = self.take(data, 0)
        while position < len(data):  # behind the document
            position = self._state(data, position)

    def take(self, data: bytes, position: int) -> int:
        """Take ``data`` from ``position`` to the end of the document, or of the piece; return where that is."""
        end = len(data)
        while position < end and not self.complete:
            position = self._state(data, position)
            if len(self._kept) > self._max_kept_bytes:
                position = self._break(data, position)
        return position

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
            self._string_start = len(self._kept)
            self._string_cut = False
            self._state = self._string
        elif byte == _COMMA:
            self._sound = (len(self._kept), bytes(self._closers))
        elif byte == _COLON:
            return self._colon(stop)
        elif byte in CLOSER:
            return self._open(byte, stop)
        else:
            return self._close(data, stop)
        self._kept.append(byte)
        return stop + 1

    def _colon(self, position: int) -> int:
        self._kept.append(_COLON)
        at_top = len(self._closers) == 1
        if self._keep is not None if at_top else self._drop:
            key = bytes(self._kept[self._string_start + 1 :]).split(b'"', 1)[0]
            if key not in self._keep if at_top and self._keep is not None else key in self._drop:
                self._kept += b"null"
                self._state = self._skip_to_member_end
        return position + 1

    def _open(self, byte: int, position: int) -> int:
        self._kept.append(byte)
        if len(self._closers) == self._max_depth:
            self._kept.append(CLOSER[byte])
            self._skipped_depth = 1
            self._state = self._skip
        else:
            self._closers.append(CLOSER[byte])
            self._sound = (len(self._kept), bytes(self._closers))
        return position + 1

    def _close(self, data: bytes, position: int) -> int:
        byte = data[position]
        if not self._closers or self._closers.pop() != byte:
            return self._break(data, position)
        self._kept.append(byte)
        self._sound = (len(self._kept), bytes(self._closers))
        if not self._closers:
            self.complete = True
            self._state = self._after
        return position + 1

    def _string(self, data: bytes, position: int) -> int:
        """Inside a kept string: copied up to its bound."""
        stop, closed = self._string_end(data, position)
        room = self._string_start + 1 + self._max_string_bytes - len(self._kept)
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
        elif byte in CLOSER:
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
        elif byte in CLOSER:
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


def end_of(pattern: re.Pattern[bytes], data: bytes, position: int) -> int:
    """Where the match at ``position`` of a pattern that matches the empty text ends."""
    match = pattern.match(data, position)
    assert match is not None
    return match.end()
