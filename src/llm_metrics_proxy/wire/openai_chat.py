"""OpenAI chat completions: what the request asks for. Its answers are read by ``openai_stream`` and ``json_body``.

Source: OpenAI's API reference, "Create chat completion"; the names are shared by vLLM, SGLang, llama.cpp, Ollama, ….
"""

from typing import Final

import msgspec

from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.facts import cut, finite, small_int
from llm_metrics_proxy.wire.tolerant import MAX_MEMBERS, UNREADABLE, count_items, decode, decoder_of

_MISSING = msgspec.Raw()


class StreamOptions(msgspec.Struct, gc=False):
    """``stream_options`` of chat completions and completions."""

    include_usage: bool | None = None


class _ChatRequest(msgspec.Struct):
    model: str | None = None
    user: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    messages: msgspec.Raw = _MISSING  # only counted: prompts never become Python objects
    tools: msgspec.Raw = _MISSING


class _PlainChatRequest(_ChatRequest):
    """The lists taken apart in the same pass; only for bodies too small to make this costly."""

    messages: list[msgspec.Raw] | None = None  # type: ignore[assignment]
    tools: list[msgspec.Raw] | None = None  # type: ignore[assignment]


_decode_plain: Final = decoder_of(_PlainChatRequest)


def read_request(body: bytes) -> RequestFacts:
    """The facts of a request's body; of one that is not a JSON object, none."""
    request = _read(body)
    if request is None:
        return RequestFacts()
    limit = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
    options = request.stream_options
    return RequestFacts(
        model=cut(request.model),
        user=cut(request.user),
        is_streaming=request.stream is True,
        include_usage=options is not None and options.include_usage is True,
        max_tokens=small_int(limit),
        temperature=finite(request.temperature),
        top_p=finite(request.top_p),
        message_count=_count(request.messages),
        tool_count=_count(request.tools),
        choice_count=small_int(request.n),
    )


def _read(body: bytes) -> _ChatRequest | None:
    if len(body) <= MAX_MEMBERS:
        try:
            return _decode_plain(body)  # type: ignore[no-any-return]
        except UNREADABLE:
            return decode(_ChatRequest, body)  # the careful way keeps what can be read
    return decode(_ChatRequest, body)


def _count(items: list[msgspec.Raw] | msgspec.Raw | None) -> int | None:
    if items is None or isinstance(items, list):
        return None if items is None else len(items)
    return count_items(items)
