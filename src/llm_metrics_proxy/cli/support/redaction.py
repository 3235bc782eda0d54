"""Text made fit to be given away: what is not known to be harmless is replaced, not the other way round.

Harmless are the words of the program's own sources, numbers (perhaps with a unit) and times. Every other word becomes
<1>, <2>, …, the same word always the same number, so that one can still see what belongs together. Secrets and names
of the installation go first, since a user may be called like a word of the program.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

SECRET: Final = "<secret>"  # noqa: S105 -- what stands in place of one
ADDRESS: Final = "<address>"
_UNITS: Final = "ms|s|h|d|min|us|ns|B|kB|MB|GB|TB|KiB|MiB|GiB|Z|x|th|st|nd|rd"
_TOKEN: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)"
    r"|(?P<mail>[^\s@<>\"']+@[^\s@<>\"']+)"
    r"|(?P<v4>(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w))"
    r"|(?P<v6>(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,6}\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)"
    r"|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}(?!\w)|(?<![\w:])(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4})*)?"
    r"::[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4})*(?!\w))"
    rf"|(?P<number>(?<!\w)\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?(?:{_UNITS})?(?!\w))"
    r"|(?P<word>\w+)",
)
_OWN: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")  # a part of an identifier
_PUNCTUATION: Final = frozenset("…–—•→≈≤≥×µ·“”‘’\N{NO-BREAK SPACE}")  # noqa: RUF001 -- what our own texts use
_LOOPBACK: Final = re.compile(r"127\.|0\.0\.0\.0$")
_SHORT: Final = re.compile(r"\d{1,12}(?!\d).{0,12}")  # cards, telephones and accounts have more digits
_LEAST_NAME: Final = 2


class Redactor:
    """Replaces what is not harmless. The numbers in place of words are those of this object."""

    def __init__(self, vocabulary: frozenset[str], secrets: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        """``vocabulary``: words in lower case. ``secrets`` are taken out wherever they stand, ``names`` as words."""
        self._vocabulary = vocabulary
        self._secrets = sorted({each for each in secrets if len(each) >= _LEAST_NAME}, key=len, reverse=True)
        self._names: dict[str, list[str]] = {}  # by their first word
        for name in sorted({each.lower() for each in names}, key=len, reverse=True):
            first = _TOKEN.search(name)
            if first is not None and len(name) >= _LEAST_NAME:
                self._names.setdefault(first[0], []).append(name[first.start() :])
        self._numbers: dict[str, int] = {}

    def text(self, text: str) -> str:
        """One text, lines kept."""
        for secret in self._secrets:
            text = text.replace(secret, SECRET)
        parts: list[str] = []
        at, lower = 0, text.lower()
        if len(lower) != len(text):  # letters whose lower case is longer: no place would fit
            lower = text
        while (match := _TOKEN.search(text, at)) is not None:
            parts.append(_harmless(text[at : match.start()]))
            at = match.end()
            name = self._name_at(lower, match.start(), match.end())
            if name is None:
                parts.append(self._token(match))
            else:
                parts.append(self._in_place_of(name))
                at = match.start() + len(name)
        parts.append(_harmless(text[at:]))
        return "".join(parts)

    def value(self, value: Any) -> Any:
        """A JSON value: texts and keys as ``text``, the rest as it is."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        return value

    def _name_at(self, lower: str, start: int, end: int) -> str | None:
        for name in self._names.get(lower[start:end], ()):
            after = start + len(name)
            if lower.startswith(name, start) and not lower[after : after + 1].isalnum():
                return name
        return None

    def _token(self, match: re.Match[str]) -> str:
        kind, token = match.lastgroup, match[0]
        if kind == "time" or (kind == "number" and _SHORT.fullmatch(token)):
            return token
        if kind == "v4" and _LOOPBACK.match(token):
            return token
        if kind in {"v4", "v6"}:
            return "::1" if token == "::1" else ADDRESS  # noqa: S105 -- a token of the text
        if kind == "word" and self._is_ours(token):
            return token
        return self._in_place_of(token.lower())

    def _is_ours(self, word: str) -> bool:
        """All its parts are: ``first_token_ms`` is as good as its words."""
        if not word.isascii():
            return False
        return word.lower() in self._vocabulary or all(
            part.isdigit() or part.lower() in self._vocabulary for part in word.split("_") if part
        )

    def _in_place_of(self, word: str) -> str:
        return f"<{self._numbers.setdefault(word, len(self._numbers) + 1)}>"


def words_of(text: str) -> set[str]:
    """The words of a source, in lower case; identifiers whole and in parts."""
    return {word.lower() for word in _OWN.findall(text)}


def _harmless(between: str) -> str:
    """What stands between words: signs of ASCII, and those that our own texts use."""
    return "".join(char if char.isascii() or char in _PUNCTUATION else "?" for char in between)
