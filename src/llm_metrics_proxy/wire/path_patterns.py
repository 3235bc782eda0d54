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
from collections.abc import Iterable
from typing import Final

from llm_metrics_proxy.wire.dialects import Endpoint

ID: Final = "{id}"
MAX_PATH_CHARS: Final = 1024  # no endpoint comes near; it bounds the work on hostile paths

_SEGMENT: Final = r"(?:(?!%(?:25)*(?:2[fF]|5[cC]))[^/\\])+"  # one, however often a server decodes it
_COLON: Final = "(?::|%3[aA])"
_ESCAPED_ID: Final = re.escape(ID)
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


class EndpointFinder:
    """Finds the row of a path: first one that stands alone, then one below a known prefix, then one below anything.

    A path without an id goes before one with it: ``responses/compact`` is no answer called compact.
    """

    def __init__(self, endpoints: Iterable[Endpoint], prefixes: Iterable[str]) -> None:
        rows = tuple(endpoints)
        self._any = _Table(rows, prefixes)
        self._by_method = {
            method: _Table([row for row in rows if row.method == method], prefixes)
            for method in {r.method for r in rows}
        }

    def __call__(self, path: str, method: str | None = None) -> Endpoint | None:
        """The row of a raw path without its query, of that method or of whichever is first; None if no row matches."""
        table = self._any if method is None else self._by_method.get(method)
        found = None if table is None else table.find(path)
        return None if found is None else found[1]

    def shown(self, path: str, method: str) -> str:
        """A raw path as records of that method have it."""
        table = self._by_method.get(method)
        if table is None or (found := table.find(path.rstrip("/"))) is None or ID not in found[0]:
            return path
        first = self._any.find(path.rstrip("/"))
        if first is None or ID not in first[0]:
            return path  # a place, by another method
        written = found[0].removeprefix("**/").strip("/").split("/")
        sent = path.split("/")
        behind = len(sent) - len(path.rstrip("/").split("/"))  # of slashes at its end
        for number, segment in enumerate(reversed(written), 1 + behind):
            if segment == ID:
                sent[-number] = ID
        return "/".join(sent)


class _Table:
    """Some rows as one pattern."""

    def __init__(self, rows: Iterable[Endpoint], prefixes: Iterable[str]) -> None:
        written = sorted(((path, row) for row in rows for path in row.paths), key=lambda pair: ID in pair[0])
        below = [pair for pair in written if not pair[0].startswith("/")]
        alone = [(to_regex(path), (path, row)) for path, row in written if path.startswith("/")]
        known = [(below_prefixes(path, row.below or prefixes), (path, row)) for path, row in below]
        every = alone + known + [(below_anything(path), (path, row)) for path, row in below]
        self._found = [found for _, found in every]
        self._pattern = re.compile("|".join(f"({regex})" for regex, _ in every))

    def find(self, path: str) -> tuple[str, Endpoint] | None:
        """The path as it is written, and its row."""
        match = self._pattern.fullmatch(path) if len(path) <= MAX_PATH_CHARS else None
        return None if match is None or match.lastindex is None else self._found[match.lastindex - 1]
