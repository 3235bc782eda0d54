"""The table of dialects: which requests are understood, and who reads what comes back for them.

A request whose method and path are not here is forwarded all the same; only its timing and its errors are recorded.
"""

from collections.abc import Callable
from typing import Final

from llm_metrics_proxy.wire import openai_chat, openai_completions, openai_embeddings
from llm_metrics_proxy.wire.base import Dialect, ResponseReader
from llm_metrics_proxy.wire.error_body import ErrorBodyReader
from llm_metrics_proxy.wire.json_body import JsonBodyReader
from llm_metrics_proxy.wire.openai_stream import OpenAIStreamReader

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

_ENDPOINTS: Final = {
    "chat/completions": OPENAI_CHAT,
    "completions": OPENAI_COMPLETIONS,
    "embeddings": OPENAI_EMBEDDINGS,
}
_PREFIXES: Final = (
    "/v1/",  # OpenAI and nearly every local server
    "/openai/v1/",  # Azure OpenAI (v1), Groq
    "/api/v1/",  # OpenRouter
    "/v1beta/openai/",  # Gemini
)
_BY_PATH: Final = {prefix + endpoint: dialect for prefix in _PREFIXES for endpoint, dialect in _ENDPOINTS.items()}
_AZURE_PREFIX: Final = "/openai/deployments/"  # then the deployment's name, one path segment

_NO_CONTENT: Final = (204, 205)


def dialect_for(method: str, path: str) -> Dialect | None:
    """The dialect of a request; ``path`` is raw and without its query. A trailing slash makes no difference."""
    if method != "POST":
        return None
    dialect = _BY_PATH.get(path)
    if dialect is not None:
        return dialect
    path = path.removesuffix("/")
    if path.startswith(_AZURE_PREFIX):
        deployment, _, endpoint = path[len(_AZURE_PREFIX) :].partition("/")
        return _ENDPOINTS.get(endpoint) if deployment else None
    return _BY_PATH.get(path)


def reader_for(dialect: Dialect | None, status: int, content_type: bytes | None) -> ResponseReader | None:
    """The reader of a final response's body, by what the answer says of itself, whatever the request asked for.

    None: the body has no facts for us (no dialect, a redirect, no content). An error status is read without a dialect
    too; its reader sees for itself whether JSON, an event stream, HTML or text came.
    """
    if status >= 400:
        return ErrorBodyReader()
    if dialect is None or not 200 <= status < 300 or status in _NO_CONTENT:
        return None
    make: Callable[[], ResponseReader] = dialect.body_reader
    if dialect.stream_reader is not None and is_event_stream(content_type):
        make = dialect.stream_reader
    return make()


def is_event_stream(content_type: bytes | None) -> bool:
    """Whether a Content-Type names ``text/event-stream``, with any parameters."""
    if content_type is None:
        return False
    return content_type.partition(b";")[0].strip().lower() == b"text/event-stream"
