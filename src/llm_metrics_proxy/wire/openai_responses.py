"""OpenAI Responses: what the request asks for, and the answer that is one JSON body. ``openai_responses_stream`` reads
the others.

Source: OpenAI's API reference, "Create a model response". The input is a text or a list of items.
"""

from typing import Any, ClassVar

import msgspec

from llm_metrics_proxy.wire.base import ErrorFacts, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.error_body import error_facts
from llm_metrics_proxy.wire.facts import (
    Usage,
    cut,
    finite,
    response_facts,
    short_text,
    small_int,
    usage_of,
)
from llm_metrics_proxy.wire.openai_completions import count_prompts
from llm_metrics_proxy.wire.tolerant import count_items, decode
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_MISSING = msgspec.Raw()


class _Request(msgspec.Struct):
    model: str | None = None
    user: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    input: msgspec.Raw = _MISSING
    tools: msgspec.Raw = _MISSING


def read_request(body: bytes) -> RequestFacts:
    """The facts of a request's body; of one that is not a JSON object, none."""
    request = decode(_Request, body)
    if request is None:
        return RequestFacts()
    return RequestFacts(
        model=cut(request.model),
        user=cut(request.user),
        is_streaming=request.stream is True,
        max_tokens=small_int(request.max_output_tokens),
        temperature=finite(request.temperature),
        top_p=finite(request.top_p),
        message_count=None if request.input is _MISSING else count_prompts(request.input),
        tool_count=count_items(request.tools),
    )


class _Part(msgspec.Struct, gc=False):
    """A piece of a message: ``output_text`` or ``refusal``. Its text is skipped undecoded."""

    type: Any = None


class Item(msgspec.Struct, gc=False):
    """One item of ``output``: a message, reasoning, or a call of some kind."""

    type: Any = None
    name: Any = None
    content: list[_Part] | str | None = None  # of a message, and of reasoning


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class Response(msgspec.Struct, gc=False):
    """A response object, as the body or inside an event."""

    id: Any = None
    model: str | None = None
    status: str | None = None
    service_tier: Any = None
    incomplete_details: _Incomplete | None = None
    output: list[Item] | None = None
    usage: Any = None
    error: Any = None


def is_call(item: Item) -> bool:
    """The model calls something: ``function_call``, ``custom_tool_call``, ``web_search_call``, ``mcp_call``, …."""
    return isinstance(item.type, str) and item.type.endswith("_call")


def is_refusal(item: Item) -> bool:
    """The model's message has a part in which it refuses."""
    return isinstance(item.content, list) and any(part.type == "refusal" for part in item.content)


def response_usage(value: object) -> Usage | None:
    """The counts of a response's ``usage``; None without one."""
    if not isinstance(value, dict):
        return None
    inputs, outputs = value.get("input_tokens_details"), value.get("output_tokens_details")
    return usage_of(
        prompt=value.get("input_tokens"),
        completion=value.get("output_tokens"),
        total=value.get("total_tokens"),
        cached=inputs.get("cached_tokens") if isinstance(inputs, dict) else None,
        reasoning=outputs.get("reasoning_tokens") if isinstance(outputs, dict) else None,
        cost=value.get("cost"),
    )


def has_refusal(response: Response) -> bool:
    """A message in its output refuses."""
    return any(map(is_refusal, response.output or ()))


def finish_reason_of(response: Response) -> str | None:
    """Why it is incomplete, else its status once it has ended; ``failed`` is told by the error."""
    if response.incomplete_details is not None and response.incomplete_details.reason:
        return cut(response.incomplete_details.reason)
    return cut(response.status) if response.status in {"completed", "incomplete", "cancelled"} else None


def response_error(response: Response) -> ErrorFacts | None:
    """What went wrong with a response, if anything did."""
    if response.error:
        return error_facts(response.error) or ErrorFacts()
    return ErrorFacts(type="failed") if response.status == "failed" else None


class ResponsesBodyReader(WholeBodyReader):
    """Reads one answer that was not streamed."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = Response
    max_depth: ClassVar[int] = 5  # the answer, its output, a message, its parts, one of them

    def facts_of(self, answer: Response, *, terminal: bool, malformed: bool) -> ResponseFacts:
        """What an answer says."""
        return response_facts(
            model=cut(answer.model),
            finish_reason=finish_reason_of(answer),
            usage=response_usage(answer.usage),
            terminal=terminal,
            malformed=malformed,
            error=response_error(answer),
            tool_call_count=None if answer.output is None else sum(map(is_call, answer.output)),
            response_id=short_text(answer.id),
            service_tier=cut(answer.service_tier),
            refused=has_refusal(answer),
        )
