"""Which requests may pass: inference paths, and nothing that administers the server.

The decision is made on the path as sent *and* on the path as lenient servers could read it (percent-decoded,
dot segments and doubled slashes folded), so ``/v1/../api/delete`` gains nothing. What is forwarded is always the
path as sent.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from llm_metrics_proxy.wire.apis.openai_requests import ChatRequest
from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.dialects import Dialect, Endpoint
from llm_metrics_proxy.wire.endpoints import (
    ENDPOINTS,
    PASSING_WITH,
    PREFIXES,
    answer_in_path,
    dialect_for,
    find,
    model_in_path,
)
from llm_metrics_proxy.wire.path_patterns import ID, MAX_PATH_CHARS, PathPlace, below_prefixes, to_regex
from llm_metrics_proxy.wire.requests import naming

_ENDPOINT_CHARS: Final = 256
_CACHED_ROUTES: Final = 4096
_CACHED_PATH_BYTES: Final = 512
_MOST_DECODINGS: Final = 3


def _any(regexes: Iterable[str]) -> str:
    """A trailing slash is as good as none."""
    return f"(?:{'|'.join(regexes)})/?"


def _built_in(path: str, row: Endpoint) -> str:
    return _any([below_prefixes(path, row.below or PREFIXES)])


# What passes unless an operator says otherwise.
_BUILT_IN: Final = [
    PathPlace(path, row, partial(_built_in, path, row))
    for row in ENDPOINTS
    if row.passes and row.method in PASSING_WITH
    for path in row.paths
]


class Route(msgspec.Struct, frozen=True):
    """What is known about a method and path before anything else: may it pass, and who can read it."""

    allowed: bool
    endpoint: str
    dialect: Dialect | None
    read_request: Callable[[bytes], RequestFacts]  # of a JSON body
    model: str | None = None  # if the path names it
    response_id: str | None = None  # likewise


class PathPolicy:
    """Decides by method and path; decisions are remembered, because clients use few paths."""

    def __init__(
        self, allow_paths: Sequence[str] = (), *, allow_all: bool = False, members: Sequence[str] = ()
    ) -> None:
        """``members``: of bodies, whose values say who asks by the settings."""
        self._extra: re.Pattern[str] | None = None
        if allow_paths:
            self._extra = re.compile(_any(to_regex(pattern.rstrip("/") or "/") for pattern in allow_paths))
        self._allow_all = allow_all
        self._members = members
        self._routes: dict[tuple[bytes, bytes], Route] = {}

    def route(self, method: bytes, path: bytes) -> Route:
        """The route for a method and a raw path without its query."""
        known = self._routes.get((method, path))
        if known is not None:
            return known
        text = path.decode("latin-1")
        verb = method.decode("latin-1")
        allowed = self._allow_all or (
            len(path) <= MAX_PATH_CHARS and all(self._passes(verb, reading) for reading in _readings(path))
        )
        dialect = dialect_for(verb, text) if allowed else None
        route = Route(
            allowed=allowed,
            endpoint=find.shown(text, verb)[:_ENDPOINT_CHARS],
            dialect=dialect,
            # every API names model and stream alike
            read_request=naming(ChatRequest.read if dialect is None else dialect.read_request, self._members),
            model=model_in_path(text),
            response_id=answer_in_path(text),
        )
        has_id = ID in route.endpoint  # asked for a few times, and never again
        if not has_id and len(self._routes) < _CACHED_ROUTES and len(path) <= _CACHED_PATH_BYTES:
            self._routes[method, path] = route
        return route

    def _passes(self, method: str, path: str) -> bool:
        if self._extra is not None and self._extra.fullmatch(path):
            return True
        return any(method in PASSING_WITH[place.row.method] and place.has(path) for place in _BUILT_IN)


def _readings(path: bytes) -> set[str]:
    """The path as sent, and as every server might read it that does more to it before it looks it up.

    Servers decode it no, one or (behind another proxy) two times; take backslashes for slashes or not; let ``;``, ``?``
    and ``#`` that came encoded end the path or not, and ``;`` end a segment (Tomcat); then fold dot segments.
    """
    readings = {path}
    for _ in range(_MOST_DECODINGS):
        readings |= {unquote_to_bytes(reading) for reading in readings}
        readings |= {reading.replace(b"\\", b"/") for reading in readings}
        readings |= {_folded(reading) for reading in readings}
    for ending in (b"?", b"#", b";", b"\0"):
        readings |= {reading.split(ending)[0] for reading in readings}
    readings |= {re.sub(rb";[^/]*", b"", reading) for reading in readings}
    return {reading.decode("latin-1") for reading in (path, *map(_folded, readings))}


def _folded(path: bytes) -> bytes:
    """Dot segments resolved, doubled slashes made one."""
    return posixpath.normpath(re.sub(rb"/+", b"/", path) or b"/")
