"""Events of a stream that differ in nothing but their text: the rest is read once.

A server streams a sentence as events that are equal byte for byte, except the string behind ``"content":``. Once such
an event has been decoded, one of the same form says the same: text was generated, and nothing else happened. That is
sound whatever the string means in the document, because only the inside of one JSON string differs, it was not empty
and is not now, and it holds nothing but whole characters and whole escapes, which cannot end it or spoil its encoding.

Some dialects put more into each event that differs from the one before (a number, a time, padding) and that nobody
looks at: a ``Form`` leaves those open too, under the same rule.

Measured: 0.2 µs for each of sixteen events that are alike (``are_alike``); 0.5 for one of a known form, 1.1 µs if more
than its text is open (Responses); 1.1 to 1.8 µs for framing and decoding it.
"""

import re
from typing import Final, NamedTuple, Self

# What may be inside a string: printable ASCII without the quote and the backslash, escapes and characters of UTF-8, but
# no halves of any. Few of those in one event, and not much text: what is long is decoded faster than it is matched.
_TEXT: Final = re.compile(
    rb"""(?!")[ !#-\[\]-~]{0,2048}+(?:(?:
        \\["\\/bfnrt] | \\u(?:[0-9A-CEFa-cef][0-9A-Fa-f]{3} | [Dd][0-7][0-9A-Fa-f]{2})
        | [\xc2-\xdf][\x80-\xbf] | \xe0[\xa0-\xbf][\x80-\xbf] | [\xe1-\xec\xee\xef][\x80-\xbf]{2}
        | \xed[\x80-\x9f][\x80-\xbf] | \xf0[\x90-\xbf][\x80-\xbf]{2} | [\xf1-\xf3][\x80-\xbf]{3}
        | \xf4[\x80-\x8f][\x80-\xbf]{2}
    )[ !#-\[\]-~]{0,64}+){0,32}+""",
    re.X,
)
_PLAIN: Final = bytes(byte for byte in range(ord(" "), ord("~") + 1) if byte not in b'"\\')
_SHORT_TEXT_BYTES: Final = 64
_LONGEST_BYTES: Final = 8 * 1024  # of an event whose form is worth finding
_QUOTE: Final = ord('"')
_NUMBER: Final = re.compile(rb"(?:0|[1-9][0-9]{0,17})(?![0-9])")
_SSE_BEGINNING: Final = re.compile(rb"(?:event: [a-z_.]+\n)?data: \{")
_LINE_BEGINNING: Final = re.compile(rb"\{")


class FormRules(NamedTuple):
    """Where a dialect's events may differ without saying anything else. Each marker ends where the value begins."""

    texts: tuple[bytes, ...]  # exactly one of them is in an event, once: what was generated, not empty
    strings: tuple[bytes, ...] = ()  # nobody looks at these, if they are there
    numbers: tuple[bytes, ...] = ()  # nor at these
    is_line: bool = False  # an event is one line (NDJSON), else an SSE event with or without its name


class Form:
    """A whole event taken apart: what stands before each open value, what that may be, and what stands behind all."""

    __slots__ = ("_begins", "_between", "_ends_bytes", "_is_simple", "_text_at", "end", "opens")

    def __init__(self, opens: tuple[tuple[bytes, re.Pattern[bytes]], ...], end: bytes) -> None:
        self.opens = opens
        self.end = end
        self._is_simple = [value for _, value in opens] == [_TEXT]
        self._begins = opens[0][0]
        self._between = end + self._begins  # of two texts that follow each other
        self._text_at, self._ends_bytes = len(self._begins), len(end)

    def are_alike(self, events: list[bytes]) -> bool:
        """Each is one event of this form: put together from their texts, all are what they were.

        In a fraction of the time of asking for each; only forms without other open values can be known so.
        """
        if not self._is_simple:
            return False
        texts = [event[self._text_at : -self._ends_bytes] for event in events]
        if b"" in texts or self._begins + self._between.join(texts) + self.end != b"".join(events):
            return False
        return not b"".join(texts).strip(_PLAIN) or all(map(_TEXT.fullmatch, texts))

    def run(self, data: bytes) -> tuple[int, int]:
        """How many events of this form ``data`` begins with, and where the last of them ends."""
        if self._is_simple and data.startswith(self._begins) and data.endswith(self.end):
            text = data[self._text_at : -self._ends_bytes]
            if text and len(text) <= _SHORT_TEXT_BYTES and not text.strip(_PLAIN):
                return 1, len(data)  # as most are; what follows would say the same, in twice the time
        opens, end = self.opens, self.end
        count = stop = 0
        while stop < len(data):
            position = stop
            for before, value in opens:
                if not data.startswith(before, position):
                    return count, stop
                match = value.match(data, position + len(before))
                if match is None:
                    return count, stop
                position = match.end()
            if not data.startswith(end, position):
                break
            stop = position + len(end)
            count += 1
        return count, stop

    @classmethod
    def of(cls, data: bytes, rules: FormRules) -> Self | None:
        """The form of ``data``; ``None`` if it is not exactly one event with exactly one plain text."""
        beginning, ending = (_LINE_BEGINNING, b"}\n") if rules.is_line else (_SSE_BEGINNING, b"}\n\n")
        match = beginning.match(data)
        if len(data) > _LONGEST_BYTES or match is None or not data.endswith(ending) or b"\r" in data:
            return None
        if data.find(b"\n", match.end()) != len(data) - len(ending) + 1:
            return None
        texts = [marker for marker in rules.texts if marker in data]
        if len(texts) != 1:
            return None
        opens: list[tuple[int, int, re.Pattern[bytes]]] = []
        for markers, value in ((texts, _TEXT), (rules.strings, _TEXT), (rules.numbers, _NUMBER)):
            for marker in markers:
                start = data.find(marker)
                if start < 0:
                    continue
                match = value.match(data, start + len(marker))
                if match is None or data.find(marker, start + 1) >= 0:
                    return None
                if value is _TEXT and data[match.end()] != _QUOTE:
                    return None
                opens.append((match.start(), match.end(), value))
        opens.sort(key=lambda each: each[0])
        position, parts = 0, []
        for start, end, value in opens:
            parts.append((data[position:start], value))
            position = end
        form = cls(tuple(parts), data[position:])
        return form if form.run(data) == (1, len(data)) else None
