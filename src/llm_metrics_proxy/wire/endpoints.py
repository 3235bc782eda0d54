"""The table of endpoints: every path that this program knows, one row each. Nothing else names a path.

``policy`` forwards what the rows let pass, ``choice`` routes by their family, the data plane reads with their readers,
telemetry and pricing take names from them. A new dialect is its readers and one row of ``DIALECTS``.

``path_patterns`` says how paths are written. What is read and what passes are two questions. Nothing passes below a
prefix that ``PREFIXES`` does not name; an operator who lets ``/gateway/**`` pass has its ``/gateway/v1/messages`` read
like ``/v1/messages``.
"""

import re
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from llm_metrics_proxy.wire.apis.anthropic import AnthropicBodyReader, AnthropicRequest, AnthropicStreamReader
from llm_metrics_proxy.wire.apis.llama_native import LlamaBodyReader, LlamaRequest, LlamaStreamReader
from llm_metrics_proxy.wire.apis.ollama import (
    OllamaBodyReader,
    OllamaEmbedRequest,
    OllamaRequest,
    OllamaStreamReader,
    opens_stream,
)
from llm_metrics_proxy.wire.apis.openai_body import OpenAIBodyReader
from llm_metrics_proxy.wire.apis.openai_requests import ChatRequest, CompletionRequest, EmbeddingsRequest
from llm_metrics_proxy.wire.apis.openai_responses import ResponsesBodyReader, ResponsesRequest, ResponsesStreamReader
from llm_metrics_proxy.wire.apis.openai_stream import OpenAIStreamReader
from llm_metrics_proxy.wire.apis.other_operations import OtherBodyReader, OtherRequest, OtherStreamReader
from llm_metrics_proxy.wire.dialects import Dialect, Endpoint, Family, Seller
from llm_metrics_proxy.wire.facts import cut
from llm_metrics_proxy.wire.framing import Framing
from llm_metrics_proxy.wire.path_patterns import EndpointFinder

MODELS_PATH: Final = "/v1/models"

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
    read_request=ChatRequest.read,
    stream_reader=OpenAIStreamReader,
    body_reader=OpenAIBodyReader,
    can_inject_usage=True,
    signs=("choices",),
    never_empty=True,
)
OPENAI_COMPLETIONS: Final = Dialect(
    name="openai_completions",
    operation="text_completion",
    paths=("completions", "/beta/completions"),  # DeepSeek
    read_request=CompletionRequest.read,
    stream_reader=OpenAIStreamReader,
    body_reader=OpenAIBodyReader,
    can_inject_usage=True,
    signs=("choices",),
    never_empty=True,
)
OPENAI_EMBEDDINGS: Final = Dialect(
    name="openai_embeddings",
    operation="embeddings",
    paths=("embeddings",),
    read_request=EmbeddingsRequest.read,
    body_reader=OpenAIBodyReader,
    has_output=False,
    signs=("data", "embeddings", "embedding", "vectors", "["),  # llama.cpp, without a prefix, gives a list
)
OPENAI_RESPONSES: Final = Dialect(
    name="openai_responses",
    operation="chat",
    paths=("responses", "/openai/responses"),  # the latter is Azure's, before its v1
    read_request=ResponsesRequest.read,
    stream_reader=ResponsesStreamReader,
    body_reader=ResponsesBodyReader,
    signs=("output",),
)
OPENAI_REALTIME: Final = Dialect(
    name="openai_realtime",
    operation="realtime",
    paths=("realtime", "/openai/realtime"),
    method="GET",
    read_request=ResponsesRequest.read,  # a session over a WebSocket, which RealtimeReader reads
)
ANTHROPIC_MESSAGES: Final = Dialect(
    name="anthropic_messages",
    operation="chat",
    paths=("messages",),
    family=Family.ANTHROPIC,
    provider="anthropic",
    seller=Seller("anthropic", "claude"),
    read_request=AnthropicRequest.read,
    stream_reader=AnthropicStreamReader,
    body_reader=AnthropicBodyReader,
    signs=("content",),
)
ANTHROPIC_COUNT_TOKENS: Final = Dialect(
    name="anthropic_count_tokens",
    operation="count_tokens",
    paths=("**/messages/count_tokens",),
    family=Family.ANTHROPIC,
    provider="anthropic",
    read_request=AnthropicRequest.read,  # no reader: it counts a prompt that is not run, and no tokens were used
)
LLAMA_COMPLETION: Final = Dialect(
    name="llama_completion",
    operation="text_completion",
    paths=("/completion", "/completions", "/infill"),  # without a prefix, llama.cpp means its own completions
    provider="llama_cpp",
    read_request=LlamaRequest.read,
    stream_reader=LlamaStreamReader,
    body_reader=LlamaBodyReader,
    signs=("content", "choices", "["),  # several prompts give a list
)
OLLAMA_CHAT: Final = Dialect(
    name="ollama_chat",
    operation="chat",
    paths=("/api/chat",),
    family=Family.OLLAMA,
    provider="ollama",
    read_request=OllamaRequest.read,
    stream_reader=OllamaStreamReader,
    body_reader=OllamaBodyReader,
    opens_stream=opens_stream,
    signs=("done", "role", "response"),
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
    read_request=OllamaEmbedRequest.read,
    body_reader=OllamaBodyReader,
    has_output=False,
    signs=("embeddings", "embedding"),
)


SOUND: Final = frozenset({Framing.BINARY})  # and pictures
TEXTS: Final = frozenset({Framing.TEXT})


def _other(name: str, operation: str, *paths: str, streams: bool = False, **more: Any) -> Dialect:
    return Dialect(
        name=name,
        operation=operation,
        paths=paths,
        read_request=OtherRequest.read,
        stream_reader=OtherStreamReader if streams else None,
        body_reader=OtherBodyReader,
        **more,
    )


# llama.cpp calls it reranking too; /v2 is Cohere's, vLLM's and Jina's.
RERANK: Final = _other(
    "rerank",
    "rerank",
    "rerank",
    "reranking",
    "/v2/rerank",
    provider=None,
    has_output=False,
    signs=("results", "data", "["),
)
OPENAI_MODERATIONS: Final = _other(
    "openai_moderations", "moderation", "moderations", has_output=False, signs=("results",)
)
OPENAI_SPEECH: Final = _other("openai_speech", "speech", "**/audio/speech", streams=True, raw=SOUND)
OPENAI_TRANSCRIPTIONS: Final = _other(
    "openai_transcriptions", "transcription", "**/audio/transcriptions", streams=True, raw=TEXTS
)
OPENAI_TRANSLATIONS: Final = _other("openai_translations", "translation", "**/audio/translations", raw=TEXTS)
OPENAI_IMAGES: Final = _other(
    "openai_images", "image_generation",
    "**/images/generations", "**/images/edits", "**/images/variations",
    streams=True, raw=SOUND,
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
    # Routed as Anthropic's, but not read: OpenAI's threads have messages too.
    Endpoint(
        paths=("**/messages", "**/messages/batches", "**/messages/batches/**"), family=Family.ANTHROPIC, passes=False
    ),
)

_DEPLOYMENT: Final = re.compile(r"(?:/.*?)?/openai/deployments/([^/]+)(?:/.*)?")
_MODELS: Final = re.compile(r".*/models(?:/(?P<model>.+))?")

find: Final = EndpointFinder(ENDPOINTS, PREFIXES)


def dialect_for(method: str, path: str) -> Dialect | None:
    """The dialect of a request; ``path`` is raw and without its query. A trailing slash makes no difference."""
    row = find(path.removesuffix("/"))
    return row if isinstance(row, Dialect) and row.method == method and "//" not in path else None


def family_of(path: str) -> Family | None:
    """The API that a path belongs to; OpenAI's for unknown paths, ``None`` for what every API has."""
    row = find(path.rstrip("/") or "/")
    return Family.OPENAI if row is None else row.family


def model_in_path(path: str) -> str | None:
    """The model that a raw path names, for requests whose body need not: Azure's deployment; None elsewhere."""
    match = _DEPLOYMENT.fullmatch(path)
    return None if match is None else cut(unquote(match[1]))


def listed_model(path: str) -> str | None:
    """The model in ``/v1/models/{model}``, whose name may hold slashes."""
    match = _MODELS.fullmatch(path)
    return None if match is None or not match["model"] else unquote(match["model"])
