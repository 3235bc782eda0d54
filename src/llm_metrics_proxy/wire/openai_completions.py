"""OpenAI completions (the older text API): what the request asks for. Its answers are read as those of chat are.

Source: OpenAI's API reference, "Create completion". A prompt is a text, a list of texts, a list of token numbers, or a
list of such lists.
"""

import msgspec

from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.facts import cut, finite, small_int
from llm_metrics_proxy.wire.openai_chat import StreamOptions
from llm_metrics_proxy.wire.tolerant import decode, read_items

_MISSING = msgspec.Raw()


class _CompletionRequest(msgspec.Struct):
    model: str | None = None
    user: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    prompt: msgspec.Raw = _MISSING


def read_request(body: bytes) -> RequestFacts:
    """The facts of a request's body; of one that is not a JSON object, none."""
    request = decode(_CompletionRequest, body)
    if request is None:
        return RequestFacts()
    options = request.stream_options
    return RequestFacts(
        model=cut(request.model),
        user=cut(request.user),
        is_streaming=request.stream is True,
        include_usage=options is not None and options.include_usage is True,
        max_tokens=small_int(request.max_tokens),
        temperature=finite(request.temperature),
        top_p=finite(request.top_p),
        message_count=count_prompts(request.prompt),
        choice_count=small_int(request.n),
    )


def count_prompts(value: msgspec.Raw) -> int | None:
    """How many prompts (or embedding inputs) ``value`` holds: one text, or one list of token numbers, is one."""
    if bytes(memoryview(value)[:1]) == b'"':
        return 1
    items = read_items(value)
    if items and bytes(memoryview(items[0])[:1]).isdigit():
        return 1
    return None if items is None else len(items)
