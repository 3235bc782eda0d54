"""Which requests may pass: inference paths, and nothing that administers the server.

The decision is made on the path as sent *and* on the path as lenient servers could read it (percent-decoded,
dot segments and doubled slashes folded), so ``/v1/../api/delete`` gains nothing. What is forwarded is always the
path as sent.
"""

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from llm_metrics_proxy.wire import openai_chat
from llm_metrics_proxy.wire.base import Dialect, RequestFacts
from llm_metrics_proxy.wire.dialects import dialect_for, model_in_path

_ENDPOINT_CHARS: Final = 256
_CACHED_ROUTES: Final = 4096
_CACHED_PATH_BYTES: Final = 512
_MAX_PATH_BYTES: Final = 1024  # no inference path comes near; it bounds the work on hostile ones (2 ms at most)
_MOST_DECODINGS: Final = 3

READ: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CALL: Final = frozenset({"POST", "OPTIONS"})

# OpenAI's operations, below any of the prefixes under which servers offer them.
_OPENAI_PREFIXES: Final = (
    "/v1",
    "/openai/v1",  # Azure, Groq
    "/api/v1",  # OpenRouter
    "/anthropic/v1",  # DeepSeek, Moonshot, MiniMax, Azure, and LiteLLM's pass-through
    "/api/anthropic/v1",  # Z.ai
    "/v1beta/openai",  # Gemini
    "/api/v0",  # LM Studio
    "/openai/deployments/*",  # Azure
    "",  # llama.cpp offers its operations without a prefix too
)
_OPENAI_CALLS: Final = (
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/responses",
    "/responses/compact",
    "/responses/input_tokens",
    "/messages",
    "/messages/count_tokens",
    "/moderations",
    "/images/generations",
    "/images/edits",
    "/images/variations",
    "/audio/speech",
    "/audio/transcriptions",
    "/audio/translations",
    "/rerank",
    "/reranking",
    "/score",
    "/classify",
    "/pooling",
    "/tokenize",
    "/detokenize",
)
_OPENAI_READS: Final = ("/models", "/models/**", "/realtime")

# Other servers' own inference paths. Ollama's pull, push, create, copy, delete and blobs are absent on purpose, and so
# are vLLM's LoRA, sleep and cache controls, llama.cpp's slots and LM Studio's model loading.
_OTHER_CALLS: Final = (
    "/api/chat",  # Ollama
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/show",
    "/completion",  # llama.cpp
    "/embedding",
    "/infill",
    "/apply-template",
    "/generate",  # SGLang, TGI
    "/generate_stream",
    "/encode",
    "/v2/rerank",  # vLLM, Jina
    "/openai/responses",  # Azure, before its v1
)
_OTHER_READS: Final = (
    "/",
    "/openai/realtime",
    "/api/tags",
    "/api/ps",
    "/api/version",
    "/version",
    "/ping",
    "/props",
    "/info",
)


class Route(msgspec.Struct, frozen=True):
    """What is known about a method and path before anything else: may it pass, and who can read it."""

    allowed: bool
    endpoint: str
    dialect: Dialect | None
    read_request: Callable[[bytes], RequestFacts]  # of a JSON body
    model: str | None = None  # if the path names it


class PathPolicy:
    """Decides by method and path; decisions are remembered, because clients use few paths."""

    def __init__(self, allow_paths: Sequence[str] = (), *, allow_all: bool = False) -> None:
        reads = [prefix + path for prefix in _OPENAI_PREFIXES for path in _OPENAI_READS] + list(_OTHER_READS)
        calls = [prefix + path for prefix in _OPENAI_PREFIXES for path in _OPENAI_CALLS] + list(_OTHER_CALLS)
        self._reads = _compile([*reads, *allow_paths])
        self._calls = _compile([*calls, *allow_paths])
        self._extra = _compile(allow_paths) if allow_paths else None
        self._allow_all = allow_all
        self._routes: dict[tuple[bytes, bytes], Route] = {}

    def route(self, method: bytes, path: bytes) -> Route:
        """The route for a method and a raw path without its query."""
        known = self._routes.get((method, path))
        if known is not None:
            return known
        text = path.decode("latin-1")
        verb = method.decode("latin-1")
        dialect = dialect_for(verb, text)
        route = Route(
            allowed=self._allow_all
            or (len(path) <= _MAX_PATH_BYTES and all(self._passes(verb, reading) for reading in _readings(path))),
            endpoint=text[:_ENDPOINT_CHARS],
            dialect=dialect,
            # every API names model and stream alike
            read_request=openai_chat.read_request if dialect is None else dialect.read_request,
            model=model_in_path(text),
        )
        if len(self._routes) < _CACHED_ROUTES and len(path) <= _CACHED_PATH_BYTES:
            self._routes[method, path] = route
        return route

    def _passes(self, method: str, path: str) -> bool:
        if self._extra is not None and self._extra.fullmatch(path):
            return True
        return bool(
            (method in READ and self._reads.fullmatch(path)) or (method in CALL and self._calls.fullmatch(path))
        )


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


def _compile(patterns: Sequence[str]) -> re.Pattern[str]:
    """``*`` is one path segment, ``**`` any number of them; a trailing slash is as good as none."""
    translated = (
        re.escape(pattern.rstrip("/") or "/").replace(r"\*\*", ".+").replace(r"\*", "[^/]+") for pattern in patterns
    )
    return re.compile("(?:" + "|".join(translated) + ")/?")
