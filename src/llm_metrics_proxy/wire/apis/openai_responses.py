"""OpenAI Responses: what the request asks for, and its answers, streamed or not.

Source: OpenAI's API reference, "Create a model response" and "Streaming events". Every event names its type in its
data; those that begin or end the response carry the whole of it, and the last one alone its usage.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.openai_usage import read_usage, reported_cost
from llm_metrics_proxy.wire.base import SAW_TOKEN, SAW_VISIBLE, ErrorFacts, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.cache_misses import openai_miss
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.dialects import FETCH, Dialect
from llm_metrics_proxy.wire.error_body import error_facts, read_error_event
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, details, response_facts, short_text, usage_of, with_reasoning
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.tolerant import MISSING, count_items, decode
from llm_metrics_proxy.wire.usage_reports import REFUSED_IN, Reports, UsageReports
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
    prompt_cache_diagnostics: Any = None


def responses_tokens(reports: Reports) -> Usage:
    """The counts of a response, or of all responses of a session."""
    value = reports.get("usage") or reports.get("response.usage") or {}
    given = details(value, "input_tokens_details") or details(value, "input_token_details")  # the latter: Realtime
    made = details(value, "output_tokens_details") or details(value, "output_token_details")
    if "prompt_tokens" in value and "input_tokens" not in value:  # gateways leave the names of chat completions
        usage = read_usage(value)
    else:
        usage = with_reasoning(
            usage_of(
                prompt=value.get("input_tokens"),
                completion=value.get("output_tokens"),
                total=value.get("total_tokens"),
                cached=given.get("cached_tokens"),
                reasoning=made.get("reasoning_tokens"),
                cache_write=given.get("cache_write_tokens"),
                cost=reported_cost(value),
            )
        )
    return msgspec.structs.replace(usage, rejected=True) if REFUSED_IN + "response.usage" in reports else usage


def is_call(item: ResponsesItem) -> bool:
    """The model calls something: ``function_call``, ``custom_tool_call``, ``web_search_call``, ``mcp_call``, …."""
    return isinstance(item.type, str) and item.type.endswith("_call")


def has_refusal(response: ResponsesObject) -> bool:
    """A message in its output has a part in which the model refuses."""
    messages = (item.content for item in response.output or () if isinstance(item.content, list))
    return any(part.type == "refusal" for content in messages for part in content)


def finish_reason_of(response: ResponsesObject) -> str | None:
    """Why it is incomplete, else its status once it has ended; ``failed`` shows in the error."""
    if response.incomplete_details is not None and response.incomplete_details.reason:
        return cut(response.incomplete_details.reason)
    return cut(response.status) if response.status in {"completed", "incomplete", "cancelled"} else None


def response_error(response: ResponsesObject) -> ErrorFacts | None:
    """What went wrong with a response, if anything did."""
    if response.error:
        return error_facts(response.error) or ErrorFacts()
    return ErrorFacts(type="failed") if response.status == "failed" else None


class ResponsesBodyReader(WholeBodyReader):
    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = ResponsesObject

    def error_of(self, answer: ResponsesObject) -> ErrorFacts | None:
        return response_error(answer)

    def facts_of(self, answer: ResponsesObject, **ends: Any) -> ResponseFacts:
        reports = UsageReports()
        reports.take("usage", answer.usage)
        return response_facts(
            response_model=cut(answer.model),
            finish_reason=finish_reason_of(answer),
            reports=reports,
            tool_call_count=None if answer.output is None else sum(map(is_call, answer.output)),
            response_id=short_text(answer.id),
            service_tier=cut(answer.service_tier),
            further=openai_miss(answer.prompt_cache_diagnostics),
            refused=has_refusal(answer),
            **ends,
        )


_DELTA: Final = ".delta"
_REFUSAL: Final = "response.refusal.delta"
_RESULTS: Final = "_output_content.delta"  # what a tool of the server's gave, such as ``response.shell_call_…``
_PICTURE: Final = ".partial_image"
_ENDS: Final = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled"})
_NAMED_CALLS: Final = frozenset({"function_call", "custom_tool_call", "mcp_call"})


class _ResponsesEvent(msgspec.Struct, gc=False):
    type: str | None = None
    response: ResponsesObject | None = None
    item: ResponsesItem | None = None
    delta: Any = None  # a text; only whether it is empty matters
    partial_image_b64: msgspec.Raw = MISSING
    error: Any = None
    code: Any = None  # of a flat error
    message: Any = None


class ResponsesStreamReader(EventReader):
    __slots__ = ("_finish_reason", "_last", "_refused", "_reports", "_tool_calls")

    kind: ClassVar[type[msgspec.Struct]] = _ResponsesEvent
    rules: ClassVar[FormRules] = FormRules(
        texts=(b'"delta":"', b'"delta": "'),
        strings=(b'"obfuscation":"', b'"obfuscation": "'),  # padding against those who measure lengths
        numbers=(b'"sequence_number":', b'"sequence_number": '),
    )

    def __init__(self) -> None:
        super().__init__()
        self._finish_reason: str | None = None
        self._refused = False
        self._reports = UsageReports()
        self._tool_calls: int | None = None  # once the response has begun
        self._last = ResponsesObject()  # the newest of what is known of it

    def read(self, event: _ResponsesEvent) -> int:
        kind = event.type or ""
        if kind == "error" or (event.error and not kind):
            return self.error_seen(_flat_error(event))
        if event.response is not None:
            return self._read_response(event.response, ended=kind in _ENDS)
        if kind == "response.output_item.added" and event.item is not None:
            if not is_call(event.item):
                return 0
            self._tool_calls = (self._tool_calls or 0) + 1
            return SAW_VISIBLE if event.item.type in _NAMED_CALLS and event.item.name else 0
        if kind.endswith(_PICTURE):
            return SAW_VISIBLE if len(memoryview(event.partial_image_b64)) > len('""') else 0
        if kind.endswith(_DELTA) and event.delta and not kind.endswith(_RESULTS):
            self.only_text = True
            self._refused = self._refused or kind == _REFUSAL
            return SAW_TOKEN if kind.startswith("response.reasoning") else SAW_VISIBLE
        return 0

    def error_of(self, data: bytes) -> ErrorFacts:
        """Of a flat error the type, ``error``, says no more than the event's name."""
        event = decode(_ResponsesEvent, data)
        return read_error_event(data) if event is None else _flat_error(event)

    def _read_response(self, response: ResponsesObject, *, ended: bool) -> int:
        last = self._last
        response.model = response.model or last.model
        response.id = short_text(response.id) or last.id
        response.service_tier = cut(response.service_tier) or last.service_tier
        self._reports.take("response.usage", response.usage)
        self._last = response
        self._tool_calls = self._tool_calls or 0
        if not ended:
            return 0
        if response.output:
            self._tool_calls = sum(map(is_call, response.output))
        self._finish_reason = finish_reason_of(response)
        self._refused = self._refused or has_refusal(response)
        error = response_error(response)
        return self.end_seen() | (0 if error is None else self.error_seen(error))

    def facts(self, **ends: Any) -> ResponseFacts:
        last = self._last
        return response_facts(
            response_model=cut(last.model),
            finish_reason=self._finish_reason,
            reports=self._reports,
            tool_call_count=self._tool_calls,
            response_id=last.id,
            service_tier=last.service_tier,
            further=openai_miss(last.prompt_cache_diagnostics),
            refused=self._refused,
            **ends,
        )


def _flat_error(event: _ResponsesEvent) -> ErrorFacts:
    """OpenAI's error event is flat; others, and OpenAI's own in some cases, nest it."""
    return error_facts(event.error or {"code": event.code, "message": event.message}) or ErrorFacts()


OPENAI_RESPONSES: Final = Dialect(
    name="openai_responses",
    operation="chat",
    paths=("responses", "/openai/responses"),  # the latter is Azure's, before its v1
    read_request=ResponsesRequest.read,
    stream_reader=ResponsesStreamReader,
    body_reader=ResponsesBodyReader,
    signs=("output", "object:response"),
    tokens=responses_tokens,
)
# An answer that was made in the background, or is only read again. Its id, which no list shows, is the right to it.
OPENAI_RESPONSES_FETCH: Final = msgspec.structs.replace(
    OPENAI_RESPONSES,
    name="openai_responses_fetch",
    operation=FETCH,
    paths=("responses/{id}", "/openai/responses/{id}"),
    method="GET",
)
OPENAI_RESPONSES_CANCEL: Final = msgspec.structs.replace(
    OPENAI_RESPONSES_FETCH,
    paths=("responses/{id}/cancel", "/openai/responses/{id}/cancel"),
    method="POST",
)
OPENAI_RESPONSES_COMPACT: Final = msgspec.structs.replace(
    OPENAI_RESPONSES,
    name="openai_responses_compact",
    paths=("responses/compact", "/openai/responses/compact"),
    stream_reader=None,
)
OPENAI_INPUT_TOKENS: Final = Dialect(
    name="openai_input_tokens",
    operation="count_tokens",
    paths=("responses/input_tokens", "/openai/responses/input_tokens"),
    read_request=ResponsesRequest.read,  # no reader: it counts a prompt that is not run, and no tokens were used
)
DIALECTS: Final = (
    OPENAI_RESPONSES,
    OPENAI_RESPONSES_FETCH,
    OPENAI_RESPONSES_CANCEL,
    OPENAI_RESPONSES_COMPACT,
    OPENAI_INPUT_TOKENS,
)
