"""OpenAI Responses: what the request asks for, and the answer that is one JSON body. ``openai_responses_stream`` reads
the others.

Source: OpenAI's API reference, "Create a model response".
"""

from typing import Any, ClassVar

import msgspec

from llm_metrics_proxy.wire.base import ErrorFacts, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.error_body import error_facts
from llm_metrics_proxy.wire.facts import cut, input_output_usage, response_facts, short_text
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.tolerant import MISSING, count_items
from llm_metrics_proxy.wire.whole_body import WholeBodyReader


class ResponsesRequest(ModelRequest):
    """``/responses``. The input is a text or a list of items."""

    user: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    input: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        """What it says."""
        return self._facts(
            user=self.user,
            max_tokens=self.max_output_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            message_count=count_prompts(self.input),
            tool_count=count_items(self.tools),
        )


class _ResponsesPart(msgspec.Struct, gc=False):
    """A piece of a message: ``output_text`` or ``refusal``. Its text is skipped undecoded."""

    type: Any = None


class ResponsesItem(msgspec.Struct, gc=False):
    """One item of ``output``: a message, reasoning, or a call of some kind."""

    type: Any = None
    name: Any = None
    content: list[_ResponsesPart] | str | None = None  # of a message, and of reasoning


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class ResponsesObject(msgspec.Struct, gc=False):
    """A response object, as the body or inside an event."""

    id: Any = None
    model: str | None = None
    status: str | None = None
    service_tier: Any = None
    incomplete_details: _Incomplete | None = None
    output: list[ResponsesItem] | None = None
    usage: Any = None
    error: Any = None


def is_call(item: ResponsesItem) -> bool:
    """The model calls something: ``function_call``, ``custom_tool_call``, ``web_search_call``, ``mcp_call``, …."""
    return isinstance(item.type, str) and item.type.endswith("_call")


def has_refusal(response: ResponsesObject) -> bool:
    """A message in its output has a part in which the model refuses."""
    messages = (item.content for item in response.output or () if isinstance(item.content, list))
    return any(part.type == "refusal" for content in messages for part in content)


def finish_reason_of(response: ResponsesObject) -> str | None:
    """Why it is incomplete, else its status once it has ended; ``failed`` is told by the error."""
    if response.incomplete_details is not None and response.incomplete_details.reason:
        return cut(response.incomplete_details.reason)
    return cut(response.status) if response.status in {"completed", "incomplete", "cancelled"} else None


def response_error(response: ResponsesObject) -> ErrorFacts | None:
    """What went wrong with a response, if anything did."""
    if response.error:
        return error_facts(response.error) or ErrorFacts()
    return ErrorFacts(type="failed") if response.status == "failed" else None


class ResponsesBodyReader(WholeBodyReader):
    """Reads one answer that was not streamed."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = ResponsesObject
    max_depth: ClassVar[int] = 5  # the answer, its output, a message, its parts, one of them

    def error_of(self, answer: ResponsesObject) -> ErrorFacts | None:
        """What went wrong with it."""
        return response_error(answer)

    def facts_of(self, answer: ResponsesObject, **ends: Any) -> ResponseFacts:
        """What an answer says."""
        return response_facts(
            response_model=cut(answer.model),
            finish_reason=finish_reason_of(answer),
            usage=input_output_usage(answer.usage),
            tool_call_count=None if answer.output is None else sum(map(is_call, answer.output)),
            response_id=short_text(answer.id),
            service_tier=cut(answer.service_tier),
            refused=has_refusal(answer),
            **ends,
        )
