"""Streams of OpenAI Responses: events in, facts out.

Source: OpenAI's API reference, "Streaming events". Every event names its type in its data; those that begin or end the
response carry the whole of it, and the last one alone its usage.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.base import SAW_OUTPUT, SAW_TOKEN, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.error_body import error_facts, read_error_event
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import cut, response_facts, short_text
from llm_metrics_proxy.wire.openai_responses import (
    Item,
    Response,
    finish_reason_of,
    has_refusal,
    is_call,
    response_error,
    response_usage,
)
from llm_metrics_proxy.wire.tolerant import decode

_VISIBLE: Final = SAW_TOKEN | SAW_OUTPUT
_DELTA: Final = ".delta"
_REFUSAL: Final = "response.refusal.delta"
_ENDS: Final = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled"})
_NAMED_CALLS: Final = frozenset({"function_call", "custom_tool_call", "mcp_call"})


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    response: Response | None = None
    item: Item | None = None
    delta: Any = None  # a text; only whether it is empty matters
    error: Any = None
    code: Any = None  # of a flat error
    message: Any = None


class ResponsesStreamReader(EventReader):
    """Reads one stream."""

    __slots__ = ("_finish_reason", "_last", "_refused", "_tool_calls")

    kind: ClassVar[type[msgspec.Struct]] = _Event
    rules: ClassVar[FormRules] = FormRules(
        texts=(b'"delta":"', b'"delta": "'),
        strings=(b'"obfuscation":"', b'"obfuscation": "'),  # padding against those who measure lengths
        numbers=(b'"sequence_number":', b'"sequence_number": '),
    )
    # The events that end it hold the whole answer, perhaps with images in it.
    max_event_bytes: ClassVar[int] = 8 * 1024 * 1024

    def __init__(self) -> None:
        super().__init__()
        self._finish_reason: str | None = None
        self._refused = False
        self._tool_calls: int | None = None  # once the response has begun
        self._last = Response()  # the newest of what is known of it

    def read(self, event: _Event) -> int:
        """One event."""
        kind = event.type or ""
        if kind == "error" or (event.error and not kind):
            return self.error_seen(_flat_error(event))
        if event.response is not None:
            return self._read_response(event.response, ended=kind in _ENDS)
        if kind == "response.output_item.added" and event.item is not None:
            if not is_call(event.item):
                return 0
            self._tool_calls = (self._tool_calls or 0) + 1
            return _VISIBLE if event.item.type in _NAMED_CALLS and event.item.name else 0
        if kind.endswith(_DELTA) and event.delta:
            self.only_text = True
            self._refused = self._refused or kind == _REFUSAL
            return SAW_TOKEN if kind.startswith("response.reasoning") else _VISIBLE
        return 0

    def error_of(self, data: bytes) -> ErrorFacts:
        """Of a flat error the type, ``error``, says no more than the event's name."""
        event = decode(_Event, data)
        return read_error_event(data) if event is None else _flat_error(event)

    def _read_response(self, response: Response, *, ended: bool) -> int:
        last = self._last
        response.model = response.model or last.model
        response.id = short_text(response.id) or last.id
        response.service_tier = cut(response.service_tier) or last.service_tier
        response.usage = response.usage if isinstance(response.usage, dict) else last.usage
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

    def facts(self, *, malformed: bool) -> ResponseFacts:
        """All that is known. After an event too long to be held nobody can say that the end is missing."""
        last = self._last
        return response_facts(
            model=cut(last.model),
            finish_reason=self._finish_reason,
            usage=response_usage(last.usage),
            content_chunks=self.content_chunks,
            terminal=self.terminal or self._framer.overflowed,
            malformed=malformed,
            error=self.error,
            tool_call_count=self._tool_calls,
            response_id=last.id,
            service_tier=last.service_tier,
            refused=self._refused,
        )


def _flat_error(event: _Event) -> ErrorFacts:
    """OpenAI's error event is flat; others, and OpenAI's own in some cases, nest it."""
    return error_facts(event.error or {"code": event.code, "message": event.message}) or ErrorFacts()
