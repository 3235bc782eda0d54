"""The table of endpoints: every path that this program knows, one row each. Nothing else names a path.

``policy`` forwards what the rows let pass, ``choice`` routes by their family, the data plane reads with their readers,
telemetry and pricing take names from them. A new dialect is its readers and one row of ``DIALECTS``.

A path is written in one of three ways; ``*`` is one segment, ``**`` any number of them:

    /api/chat              this path alone
    messages               below ``PREFIXES``, and read wherever an API begins: ``/any/v1/messages``
    **/chat/completions    below ``PREFIXES``, and read below anything: ``/any/thing/chat/completions``

What is read and what passes are two questions. Nothing passes below a prefix that ``PREFIXES`` does not name; an
operator who lets ``/gateway/**`` pass has its ``/gateway/v1/messages`` read like ``/v1/messages``.
"""

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from llm_metrics_proxy.wire import (
    anthropic_messages,
    llama_native,
    ollama_native,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
    other_operations,
)
from llm_metrics_proxy.wire.anthropic_messages import AnthropicBodyReader
from llm_metrics_proxy.wire.anthropic_stream import AnthropicStreamReader
from llm_metrics_proxy.wire.base import NDJSON
from llm_metrics_proxy.wire.dialects import Dialect, Endpoint, Family, Seller
from llm_metrics_proxy.wire.facts import cut
from llm_metrics_proxy.wire.json_body import JsonBodyReader
from llm_metrics_proxy.wire.llama_native import LlamaBodyReader, LlamaStreamReader
from llm_metrics_proxy.wire.ollama_answer import OllamaAnswerReader
from llm_metrics_proxy.wire.ollama_native import OllamaBodyReader
from llm_metrics_proxy.wire.ollama_stream import OllamaStreamReader
from llm_metrics_proxy.wire.openai_responses import ResponsesBodyReader
from llm_metrics_proxy.wire.openai_responses_stream import ResponsesStreamReader
from llm_metrics_proxy.wire.openai_stream import OpenAIStreamReader
from llm_metrics_proxy.wire.other_operations import OtherBodyReader, OtherStreamReader

MODELS_PATH: Final = "/v1/models"
MAX_PATH_CHARS: Final = 1024  # no endpoint comes near; it bounds the work on hostile paths

# Where servers offer their operations.
PREFIXES: Final = (
    "/v1",
    "/openai/v1",  # Azure, Groq
    "/api/v1",  # OpenRouter
    "/anthropic/v1",  # DeepSeek, Moonshot, MiniMax, Azure, and LiteLLM's pass-through
    "/api/anthropic/v1",  # Z.ai
    "/v1beta/openai",  # Gemini
    "/api/v0",  # LM Studio
    "/engines/v1",  # Docker Model Runner
    "/engines/llama.cpp/v1",
    "/engines/vllm/v1",
    "/openai/deployments/*",  # Azure
    "",  # llama.cpp offers its operations without a prefix too
)
# Methods that pass with the one of a row.
PASSING_WITH: Final = {"GET": frozenset({"GET", "HEAD", "OPTIONS"}), "POST": frozenset({"POST", "OPTIONS"})}

OPENAI_CHAT: Final = Dialect(
    name="openai_chat",
    operation="chat",
    paths=("**/chat/completions", "/api/chat/completions", "/beta/chat/completions"),  # Open WebUI, DeepSeek
    read_request=openai_chat.read_request,
    stream_reader=OpenAIStreamReader,
    body_reader=JsonBodyReader,
    can_inject_usage=True,
)
OPENAI_COMPLETIONS: Final = Dialect(
    name="openai_completions",
    operation="text_completion",
    paths=("completions", "/beta/completions"),  # DeepSeek
    read_request=openai_completions.read_request,
    stream_reader=OpenAIStreamReader,
    body_reader=JsonBodyReader,
    can_inject_usage=True,
)
OPENAI_EMBEDDINGS: Final = Dialect(
    name="openai_embeddings",
    operation="embeddings",
    paths=("embeddings",),
    read_request=openai_embeddings.read_request,
    body_reader=JsonBodyReader,
    has_output=False,
)
OPENAI_RESPONSES: Final = Dialect(
    name="openai_responses",
    operation="chat",
    paths=("responses", "/openai/responses"),  # the latter is Azure's, before its v1
    read_request=openai_responses.read_request,
    stream_reader=ResponsesStreamReader,
    body_reader=ResponsesBodyReader,
)
OPENAI_REALTIME: Final = Dialect(
    name="openai_realtime",
    operation="realtime",
    paths=("realtime", "/openai/realtime"),
    method="GET",
    read_request=openai_responses.read_request,  # a session over a WebSocket, which RealtimeReader reads
)
ANTHROPIC_MESSAGES: Final = Dialect(
    name="anthropic_messages",
    operation="chat",
    paths=("messages",),
    family=Family.ANTHROPIC,
    provider="anthropic",
    seller=Seller("anthropic", "claude"),
    read_request=anthropic_messages.read_request,
    stream_reader=AnthropicStreamReader,
    body_reader=AnthropicBodyReader,
)
ANTHROPIC_COUNT_TOKENS: Final = Dialect(
    name="anthropic_count_tokens",
    operation="count_tokens",
    paths=("**/messages/count_tokens",),
    family=Family.ANTHROPIC,
    provider="anthropic",
    read_request=anthropic_messages.read_request,  # no reader: it counts what might be asked, and no tokens were used
)
LLAMA_COMPLETION: Final = Dialect(
    name="llama_completion",
    operation="text_completion",
    paths=("/completion", "/completions", "/infill"),  # without a prefix, llama.cpp means its own completions
    provider="llama_cpp",
    read_request=llama_native.read_request,
    stream_reader=LlamaStreamReader,
    body_reader=LlamaBodyReader,
)
OLLAMA_CHAT: Final = Dialect(
    name="ollama_chat",
    operation="chat",
    paths=("/api/chat",),
    family=Family.OLLAMA,
    provider="ollama",
    read_request=ollama_native.read_generation,
    stream_reader=OllamaStreamReader,
    body_reader=OllamaAnswerReader,
    stream_types=NDJSON,
)
OLLAMA_GENERATE: Final = msgspec.structs.replace(
    OLLAMA_CHAT, name="ollama_generate", operation="text_completion", paths=("/api/generate",)
)
OLLAMA_EMBED: Final = Dialect(
    name="ollama_embed",
    operation="embeddings",
    paths=("/api/embed", "/api/embeddings"),
    family=Family.OLLAMA,
    provider="ollama",
    read_request=ollama_native.read_embedding,
    body_reader=OllamaBodyReader,
    has_output=False,
)


def _other(name: str, operation: str, *paths: str, streams: bool = False, **more: Any) -> Dialect:
    return Dialect(
        name=name,
        operation=operation,
        paths=paths,
        read_request=other_operations.read_request,
        stream_reader=OtherStreamReader if streams else None,
        body_reader=OtherBodyReader,
        only_json=True,
        **more,
    )


# llama.cpp calls it reranking too; /v2 is Cohere's, vLLM's and Jina's.
RERANK: Final = _other("rerank", "rerank", "rerank", "reranking", "/v2/rerank", provider=None, has_output=False)
OPENAI_MODERATIONS: Final = _other("openai_moderations", "moderation", "moderations", has_output=False)
OPENAI_SPEECH: Final = _other("openai_speech", "speech", "**/audio/speech", streams=True)
OPENAI_TRANSCRIPTIONS: Final = _other("openai_transcriptions", "transcription", "**/audio/transcriptions", streams=True)
OPENAI_TRANSLATIONS: Final = _other("openai_translations", "translation", "**/audio/translations")
OPENAI_IMAGES: Final = _other(
    "openai_images", "image_generation",
    "**/images/generations", "**/images/edits", "**/images/variations",
    streams=True,
)  # fmt: skip

DIALECTS: Final = (
    OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS, OPENAI_RESPONSES, OPENAI_REALTIME,
    ANTHROPIC_MESSAGES, ANTHROPIC_COUNT_TOKENS, LLAMA_COMPLETION, OLLAMA_CHAT, OLLAMA_GENERATE, OLLAMA_EMBED,
    RERANK, OPENAI_MODERATIONS, OPENAI_SPEECH, OPENAI_TRANSCRIPTIONS, OPENAI_TRANSLATIONS, OPENAI_IMAGES,
)  # fmt: skip

# Ollama's pull, push, create, copy, delete and blobs are absent on purpose, and so are vLLM's LoRA, sleep and cache
# controls, llama.cpp's slots and LM Studio's model loading.
ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *DIALECTS,
    Endpoint(paths=("responses/compact", "responses/input_tokens")),
    Endpoint(paths=("score", "classify", "pooling", "tokenize", "detokenize")),  # vLLM, llama.cpp
    Endpoint(paths=("/embedding", "/apply-template")),  # llama.cpp
    Endpoint(paths=("/generate", "/generate_stream", "/encode")),  # SGLang, TGI
    Endpoint(paths=("/api/show",), family=Family.OLLAMA),
    Endpoint(paths=("/api/tags", "/api/ps", "/api/version"), method="GET", family=Family.OLLAMA),
    Endpoint(paths=("/version", "/ping", "/props", "/info"), method="GET"),
    Endpoint(paths=("/", "**/models", "**/models/**"), method="GET", family=None),
    # Anthropic's for whoever routes by it; OpenAI's threads have messages too, so nobody reads these.
    Endpoint(
        paths=("**/messages", "**/messages/batches", "**/messages/batches/**"), family=Family.ANTHROPIC, passes=False
    ),
)

_SEGMENT: Final = r"(?:(?!%(?:25)*(?:2[fF]|5[cC]))[^/\\])+"  # one, however often a server decodes it
_ANYTHING: Final = "(?:/.*)?"
# Ends of what servers, gateways and SDKs put before an operation: /v1, /v1beta, /beta, /openai, a deployment of Azure.
_API: Final = rf"{_ANYTHING}/(?:v[0-9][a-z0-9.]*|beta|openai|anthropic|openai/deployments/[^/]+)"
_DEPLOYMENT: Final = re.compile(r"(?:/.*?)?/openai/deployments/([^/]+)(?:/.*)?")
_MODELS: Final = re.compile(r".*/models(?:/(?P<model>.+))?")


def to_regex(path: str) -> str:
    """A path with wildcards as a regular expression."""
    return re.escape(path).replace(r"\*\*", ".+").replace(r"\*", _SEGMENT)


_PREFIX: Final = "(?:" + "|".join(map(to_regex, PREFIXES)) + ")"


def below_prefixes(path: str) -> str:
    """A path of the table as a regular expression: where it stands below ``PREFIXES``, or alone."""
    return to_regex(path) if path.startswith("/") else f"{_PREFIX}/{to_regex(path.removeprefix('**/'))}"


def below_anything(path: str) -> str:
    """A path of the table that does not stand alone as a regular expression: wherever else it is read."""
    start = _ANYTHING if path.startswith("**/") else _API
    return f"{start}/{to_regex(path.removeprefix('**/'))}"


class EndpointFinder:
    """Finds the row of a path: first one that stands alone, then one below ``PREFIXES``, then one below anything."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        written = [(path, row) for row in endpoints for path in row.paths]
        alone = [(to_regex(path), row) for path, row in written if path.startswith("/")]
        below = [(path, row) for path, row in written if not path.startswith("/")]
        every = alone + [(turn(path), row) for turn in (below_prefixes, below_anything) for path, row in below]
        self._rows = [row for _, row in every]
        self._pattern = re.compile("|".join(f"({regex})" for regex, _ in every))

    def __call__(self, path: str) -> Endpoint | None:
        """The row of a raw path without its query; None: nobody knows it."""
        match = self._pattern.fullmatch(path) if len(path) <= MAX_PATH_CHARS else None
        return None if match is None or match.lastindex is None else self._rows[match.lastindex - 1]


find: Final = EndpointFinder(ENDPOINTS)


def dialect_for(method: str, path: str) -> Dialect | None:
    """The dialect of a request; ``path`` is raw and without its query. A trailing slash makes no difference."""
    row = find(path.removesuffix("/"))
    return row if isinstance(row, Dialect) and row.method == method and "//" not in path else None


def family_of(path: str) -> Family | None:
    """The API that a path belongs to, OpenAI's if nobody knows it; ``None`` for what every API has."""
    row = find(path.rstrip("/") or "/")
    return Family.OPENAI if row is None else row.family


def model_in_path(path: str) -> str | None:
    """The model that a raw path names, for requests whose body need not: Azure's deployment; None elsewhere."""
    match = _DEPLOYMENT.fullmatch(path)
    return None if match is None else cut(unquote(match[1]))


def listed_model(path: str) -> str | None:
    """The model that somebody asks about: ``/v1/models/{model}``. Its name may hold slashes."""
    match = _MODELS.fullmatch(path)
    return None if match is None or not match["model"] else unquote(match["model"])
