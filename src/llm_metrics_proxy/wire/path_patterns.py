"""How the paths in the table of ``endpoints`` are written, and how the row of a path is found.

    /api/chat              this path alone
    messages               below the known prefixes, and read wherever an API begins: ``/any/v1/messages``
    **/chat/completions    below the known prefixes, and read below anything: ``/any/thing/chat/completions``

``*`` is one segment or a part of one, ``**`` any number of them; a colon may also come encoded, as some URL builders
write it. A row with prefixes of its own (``below``) stands below those instead of the known ones. ``{id}`` is one
segment too, which names a thing and not a place: records show it as it is written here, or every answer that is fetched
would be an endpoint of its own.
"""

import re
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import Final

from llm_metrics_proxy.wire.dialects import Endpoint

ID: Final = "{id}"
MAX_PATH_CHARS: Final = 1024  # no endpoint comes near; it bounds the work on hostile paths

_SEGMENT: Final = r"(?:(?!%(?:25)*(?:2[fF]|5[cC]))[^/\\])+"  # one, however often a server decodes it
_COLON: Final = "(?::|%3[aA])"
_ESCAPED_ID: Final = re.escape(ID)
_NO_WORDS: Final = re.compile(rf"\*\*/|\*|:|{re.escape(ID)}")  # what need not be in a path as it is written
_ANYTHING: Final = "(?:/.*)?"
# Ends of what servers, gateways and SDKs put before an operation: /v1, /v1beta, /beta, /openai, a deployment of Azure.
_API: Final = rf"{_ANYTHING}/(?:v[0-9][a-z0-9.]*|beta|openai|anthropic|openai/deployments/[^/]+)"


def to_regex(path: str) -> str:
    """A path with wildcards as a regular expression."""
    known = re.escape(path).replace(":", _COLON)
    return known.replace(r"\*\*", ".+").replace(r"\*", _SEGMENT).replace(_ESCAPED_ID, _SEGMENT)


def below_prefixes(path: str, prefixes: Iterable[str]) -> str:
    """A path of the table as a regular expression: where it stands alone, or below one of ``prefixes``."""
    if path.startswith("/"):
        return to_regex(path)
    return f"(?:{'|'.join(map(to_regex, prefixes))})/{to_regex(path.removeprefix('**/'))}"


def below_anything(path: str) -> str:
    """A path of the table that does not stand alone as a regular expression: wherever else it is read."""
    start = _ANYTHING if path.startswith("**/") else _API
    return f"{start}/{to_regex(path.removeprefix('**/'))}"


class PathPlace:
    """One path of the table, and one way in which it may stand. Its pattern is made when a path first has its
    words: all patterns at once would be a tenth of a second and 5 MB of every process."""

    def __init__(self, path: str, row: Endpoint, to_pattern: Callable[[], str]) -> None:
        self.path, self.row, self._to_pattern = path, row, to_pattern
        self._words = max(_NO_WORDS.split(path), key=len)

    def has(self, path: str) -> bool:
        """Whether a raw path is this one."""
        return self._words in path and self._pattern.fullmatch(path) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self._to_pattern())


class EndpointFinder:
    """Finds the row of a path: first one that stands alone, then one below a known prefix, then one below anything.

    A path without an id goes before one with it: ``responses/compact`` is no answer called compact.
    """

    def __init__(self, endpoints: Iterable[Endpoint], prefixes: Iterable[str]) -> None:
        known = tuple(prefixes)
        written = sorted(((path, row) for row in endpoints for path in row.paths), key=lambda pair: ID in pair[0])
        below = [pair for pair in written if not pair[0].startswith("/")]
        self._any = [
            *(PathPlace(path, row, partial(to_regex, path)) for path, row in written if path.startswith("/")),
            *(PathPlace(path, row, partial(below_prefixes, path, row.below or known)) for path, row in below),
            *(PathPlace(path, row, partial(below_anything, path)) for path, row in below),
        ]
        self._by_method: dict[str, list[PathPlace]] = {}
        for place in self._any:
            self._by_method.setdefault(place.row.method, []).append(place)

    def __call__(self, path: str, method: str | None = None) -> Endpoint | None:
        """The row of a raw path without its query, of that method or of whichever is first; None if no row matches."""
        found = _first(self._any if method is None else self._by_method.get(method, ()), path)
        return None if found is None else found.row

    def shown(self, path: str, method: str) -> str:
        """A raw path as records of that method have it."""
        bare = path.rstrip("/")
        found = _first(self._by_method.get(method, ()), bare)
        if found is None or ID not in found.path:
            return path
        first = _first(self._any, bare)
        if first is None or ID not in first.path:
            return path  # a place, by another method
        written = found.path.removeprefix("**/").strip("/").split("/")
        sent = path.split("/")
        behind = len(sent) - len(bare.split("/"))  # of slashes at its end
        for number, segment in enumerate(reversed(written), 1 + behind):
            if segment == ID:
                sent[-number] = ID
        return "/".join(sent)


def _first(places: Iterable[PathPlace], path: str) -> PathPlace | None:
    return next((place for place in places if place.has(path)), None) if len(path) <= MAX_PATH_CHARS else None
