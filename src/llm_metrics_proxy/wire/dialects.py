"""The table of dialects: which requests are understood, and who reads what comes back for them.

A request whose method and path are not here is forwarded all the same; only its timing and its errors are recorded.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

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
from llm_metrics_proxy.wire.base import NDJSON, Dialect, ResponseReader
from llm_metrics_proxy.wire.error_body import ErrorBodyReader
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

OPENAI_CHAT: Final = Dialect(
    name="openai_chat",
    operation="chat",
    read_request=openai_chat.read_request,
    stream_reader=OpenAIStreamReader,
    body_reader=JsonBodyReader,
    can_inject_usage=True,
)
OPENAI_COMPLETIONS: Final = Dialect(
    name="openai_completions",
    operation="text_completion",
    read_request=openai_completions.read_request,
    stream_reader=OpenAIStreamReader,
    body_reader=JsonBodyReader,
    can_inject_usage=True,
)
OPENAI_EMBEDDINGS: Final = Dialect(
    name="openai_embeddings",
    operation="embeddings",
    read_request=openai_embeddings.read_request,
    stream_reader=None,
    body_reader=JsonBodyReader,
)
OPENAI_RESPONSES: Final = Dialect(
    name="openai_responses",
    operation="chat",
    read_request=openai_responses.read_request,
    stream_reader=ResponsesStreamReader,
    body_reader=ResponsesBodyReader,
)
ANTHROPIC_MESSAGES: Final = Dialect(
    name="anthropic_messages",
    operation="chat",
    read_request=anthropic_messages.read_request,
    stream_reader=AnthropicStreamReader,
    body_reader=AnthropicBodyReader,
)
ANTHROPIC_COUNT_TOKENS: Final = Dialect(
    name="anthropic_count_tokens",
    operation="count_tokens",
    read_request=anthropic_messages.read_request,
    stream_reader=None,
    body_reader=None,  # it counts what might be asked: no tokens were used
)
OPENAI_REALTIME: Final = Dialect(
    name="openai_realtime",
    operation="realtime",
    read_request=openai_responses.read_request,
    stream_reader=None,
    body_reader=None,  # a session over a WebSocket: RealtimeReader reads it
)
LLAMA_COMPLETION: Final = Dialect(
    name="llama_completion",
    operation="text_completion",
    read_request=llama_native.read_request,
    stream_reader=LlamaStreamReader,
    body_reader=LlamaBodyReader,
)
OLLAMA_CHAT: Final = Dialect(
    name="ollama_chat",
    operation="chat",
    read_request=ollama_native.read_generation,
    stream_reader=OllamaStreamReader,
    body_reader=OllamaAnswerReader,
    stream_types=NDJSON,
)
OLLAMA_GENERATE: Final = Dialect(
    name="ollama_generate",
    operation="text_completion",
    read_request=ollama_native.read_generation,
    stream_reader=OllamaStreamReader,
    body_reader=OllamaAnswerReader,
    stream_types=NDJSON,
)
OLLAMA_EMBED: Final = Dialect(
    name="ollama_embed",
    operation="embeddings",
    read_request=ollama_native.read_embedding,
    stream_reader=None,
    body_reader=OllamaBodyReader,
)


def _other(name: str, operation: str, *, streams: bool = False) -> Dialect:
    return Dialect(
        name=name,
        operation=operation,
        read_request=other_operations.read_request,
        stream_reader=OtherStreamReader if streams else None,
        body_reader=OtherBodyReader,
        only_json=True,
    )


RERANK: Final = _other("rerank", "rerank")
OPENAI_MODERATIONS: Final = _other("openai_moderations", "moderation")
OPENAI_SPEECH: Final = _other("openai_speech", "speech", streams=True)
OPENAI_TRANSCRIPTIONS: Final = _other("openai_transcriptions", "transcription", streams=True)
OPENAI_TRANSLATIONS: Final = _other("openai_translations", "translation")
OPENAI_IMAGES: Final = _other("openai_images", "image_generation", streams=True)

_ENDPOINTS: Final = {
    "chat/completions": OPENAI_CHAT,
    "completions": OPENAI_COMPLETIONS,
    "embeddings": OPENAI_EMBEDDINGS,
    "responses": OPENAI_RESPONSES,
    "messages": ANTHROPIC_MESSAGES,
    "messages/count_tokens": ANTHROPIC_COUNT_TOKENS,
    "rerank": RERANK,
    "reranking": RERANK,  # llama.cpp's other name for it
    "moderations": OPENAI_MODERATIONS,
    "audio/speech": OPENAI_SPEECH,
    "audio/transcriptions": OPENAI_TRANSCRIPTIONS,
    "audio/translations": OPENAI_TRANSLATIONS,
    "images/generations": OPENAI_IMAGES,
    "images/edits": OPENAI_IMAGES,
    "images/variations": OPENAI_IMAGES,
}
_PREFIXES: Final = (
    "/v1/",  # OpenAI, Anthropic and nearly every local server
    "/openai/v1/",  # Azure OpenAI (v1), Groq
    "/api/v1/",  # OpenRouter
    "/api/v0/",  # LM Studio
    "/v1beta/openai/",  # Gemini
    "/anthropic/v1/",  # DeepSeek, Moonshot, MiniMax, Azure, and LiteLLM's pass-through
    "/api/anthropic/v1/",  # Z.ai
    "/",  # llama.cpp and DeepSeek offer theirs without a prefix too
)
_BY_PATH: Final = {
    **{prefix + endpoint: dialect for prefix in _PREFIXES for endpoint, dialect in _ENDPOINTS.items()},
    "/openai/responses": OPENAI_RESPONSES,  # Azure, before its v1
    "/completion": LLAMA_COMPLETION,
    "/completions": LLAMA_COMPLETION,  # without a prefix, llama.cpp means its own
    "/infill": LLAMA_COMPLETION,
    "/v2/rerank": RERANK,  # Cohere, vLLM, Jina
    "/api/chat": OLLAMA_CHAT,
    "/api/generate": OLLAMA_GENERATE,
    "/api/embed": OLLAMA_EMBED,
    "/api/embeddings": OLLAMA_EMBED,
}
_REALTIME: Final = frozenset(prefix + "realtime" for prefix in (*_PREFIXES, "/openai/"))
_AZURE_PREFIX: Final = "/openai/deployments/"  # then the deployment's name, one path segment

_NO_CONTENT: Final = (204, 205)
_JSON: Final = (b"", b"application/json")  # a body without a type is taken for JSON, as everywhere


def dialect_for(method: str, path: str) -> Dialect | None:
    """The dialect of a request; ``path`` is raw and without its query. A trailing slash makes no difference."""
    if method != "POST":
        return OPENAI_REALTIME if method == "GET" and path.removesuffix("/") in _REALTIME else None
    dialect = _BY_PATH.get(path)
    if dialect is not None:
        return dialect
    path = path.removesuffix("/")
    if path.startswith(_AZURE_PREFIX):
        deployment, _, endpoint = path[len(_AZURE_PREFIX) :].partition("/")
        return _ENDPOINTS.get(endpoint) if deployment else None
    return _BY_PATH.get(path)


def model_in_path(path: str) -> str | None:
    """The model that a raw path names, for requests whose body need not: Azure's deployment; None elsewhere."""
    if not path.startswith(_AZURE_PREFIX):
        return None
    return cut(unquote(path[len(_AZURE_PREFIX) :].partition("/")[0]))


def reader_for(dialect: Dialect | None, status: int, media: bytes) -> ResponseReader | None:
    """The reader of a final response's body, by what the answer says of itself, whatever the request asked for;
    ``media`` is its ``media_type``.

    None: the body has no facts for us (no dialect, a redirect, no content, sound or pictures). An error status is read
    without a dialect too; its reader sees for itself whether JSON, an event stream, HTML or text came.
    """
    if status >= 400:
        return ErrorBodyReader()
    if dialect is None or not 200 <= status < 300 or status in _NO_CONTENT:
        return None
    make: Callable[[], ResponseReader] | None = dialect.body_reader
    if dialect.stream_reader is not None and media in dialect.stream_types:
        make = dialect.stream_reader
    elif dialect.only_json and media not in _JSON:
        return None
    return None if make is None else make()


def media_type(content_type: bytes | None) -> bytes:
    """A Content-Type in lower case and without its parameters; empty if there is none."""
    return b"" if content_type is None else content_type.partition(b";")[0].strip().lower()
