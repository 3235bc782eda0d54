"""How the paths in the table of ``endpoints`` are written, and how the row of a path is found.

    /api/chat              this path alone
    messages               below the known prefixes, and read wherever an API begins: ``/any/v1/messages``
    **/chat/completions    below the known prefixes, and read below anything: ``/any/thing/chat/completions``

``*`` is one segment or a part of one, ``**`` any number of them. A colon may also come encoded, as some URL builders
write it. Where a row names prefixes of its own (``below``), they replace the known ones.
"""

import re
from collections.abc import Iterable
from typing import Final

from llm_metrics_proxy.wire.dialects import Endpoint

MAX_PATH_CHARS: Final = 1024  # no endpoint comes near; it bounds the work on hostile paths

_SEGMENT: Final = r"(?:(?!%(?:25)*(?:2[fF]|5[cC]))[^/\\])+"  # one, however often a server decodes it
_COLON: Final = "(?::|%3[aA])"
_ANYTHING: Final = "(?:/.*)?"
# Ends of what servers, gateways and SDKs put before an operation: /v1, /v1beta, /beta, /openai, a deployment of Azure.
_API: Final = rf"{_ANYTHING}/(?:v[0-9][a-z0-9.]*|beta|openai|anthropic|openai/deployments/[^/]+)"


def to_regex(path: str) -> str:
    """A path with wildcards as a regular expression."""
    return re.escape(path).replace(":", _COLON).replace(r"\*\*", ".+").replace(r"\*", _SEGMENT)


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
    """Finds the row of a path: first one that stands alone, then one below a known prefix, then one below anything."""

    def __init__(self, endpoints: Iterable[Endpoint], prefixes: Iterable[str]) -> None:
        written = [(path, row) for row in endpoints for path in row.paths]
        alone = [(to_regex(path), row) for path, row in written if path.startswith("/")]
        below = [(path, row) for path, row in written if not path.startswith("/")]
        known = [(below_prefixes(path, row.below or prefixes), row) for path, row in below]
        every = alone + known + [(below_anything(path), row) for path, row in below]
        self._rows = [row for _, row in every]
        self._pattern = re.compile("|".join(f"({regex})" for regex, _ in every))

    def __call__(self, path: str) -> Endpoint | None:
        """The row of a raw path without its query; None if no row matches."""
        match = self._pattern.fullmatch(path) if len(path) <= MAX_PATH_CHARS else None
        return None if match is None or match.lastindex is None else self._rows[match.lastindex - 1]
