"""OpenAI's Realtime API: a session over a WebSocket, read from what the server says.

Source: OpenAI's API reference, "Realtime server events": ``response.done`` carries the usage of one response. A session
has many; each is paid for, its input anew every time, so their counts are summed.
"""

from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from llm_metrics_proxy.wire.base import SAW_TERMINAL, ResponseFacts
from llm_metrics_proxy.wire.openai_common import Usage, cut, response_facts, usage_of
from llm_metrics_proxy.wire.openai_responses import Item, is_call
from llm_metrics_proxy.wire.tolerant import decode
from llm_metrics_proxy.wire.websocket import FrameReader

_ENDS: Final = frozenset({"response.done", "response.completed", "response.incomplete", "response.failed"})
_HINTS: Final = (b'"response.', b'"session.')  # most messages are sound, and long: they are not decoded
_MAX_QUERY_BYTES: Final = 8192


class _Response(msgspec.Struct, gc=False):
    usage: Any = None
    output: list[Item] | None = None


class _Session(msgspec.Struct, gc=False):
    model: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    session: _Session | None = None
    response: _Response | None = None


class RealtimeReader:
    """Reads what the server sends of one session, as a ``ResponseReader``; ``frames`` counts its frames."""

    __slots__ = ("_model", "_tool_calls", "_usage", "frames")

    def __init__(self) -> None:
        self.frames = FrameReader()
        self._model: str | None = None
        self._tool_calls: int | None = None
        self._usage: Usage | None = None

    def feed(self, data: bytes) -> int:
        """Take the next bytes; a response that ended is ``SAW_TERMINAL``."""
        seen = 0
        for message in self.frames.feed(data):
            seen |= self._take(message)
        return seen

    def finish(self) -> ResponseFacts:
        """The sums over the session. It may end at any time, so any end is ``terminal``."""
        return response_facts(
            model=self._model,
            finish_reason=None,
            usage=self._usage,
            terminal=True,
            malformed=self.frames.broken,
            error=None,  # an error event refuses one message; the session goes on
            tool_call_count=self._tool_calls,
        )

    def _take(self, message: bytes) -> int:
        if b".delta" in message[:256] or not any(hint in message for hint in _HINTS):
            return 0
        event = decode(_Event, message)
        if event is None:
            return 0
        if event.session is not None:
            self._model = self._model or cut(event.session.model)
        if event.type not in _ENDS or event.response is None:
            return 0
        self._tool_calls = (self._tool_calls or 0) + sum(map(is_call, event.response.output or ()))
        usage = _usage(event.response.usage)
        if usage is not None:
            self._usage = usage if self._usage is None else _sum(self._usage, usage)
        return SAW_TERMINAL


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    inputs = value.get("input_token_details", value.get("input_tokens_details"))
    outputs = value.get("output_token_details", value.get("output_tokens_details"))
    return usage_of(
        prompt=value.get("input_tokens"),
        completion=value.get("output_tokens"),
        total=value.get("total_tokens"),
        cached=inputs.get("cached_tokens") if isinstance(inputs, dict) else None,
        reasoning=outputs.get("reasoning_tokens") if isinstance(outputs, dict) else None,
    )


def _sum(one: Usage, other: Usage) -> Usage:
    """Counts of both; one that a report left out was not refused, and adds nothing."""

    def add(name: str) -> int | None:
        known = [count for count in (getattr(one, name), getattr(other, name)) if count is not None]
        return sum(known) if known else None

    return Usage(
        prompt_tokens=add("prompt_tokens"),
        completion_tokens=add("completion_tokens"),
        total_tokens=add("total_tokens"),
        cached_tokens=add("cached_tokens"),
        reasoning_tokens=add("reasoning_tokens"),
        rejected=one.rejected or other.rejected,
    )


def model_in_query(target: bytes) -> str | None:
    """The model that a session was asked for: ``?model=``, or Azure's ``?deployment=``; None if the query has none."""
    query = target.partition(b"?")[2]
    if not query or len(query) > _MAX_QUERY_BYTES:
        return None
    try:
        asked = parse_qs(query.decode("latin-1"), max_num_fields=100)
    except ValueError:  # more fields than that
        return None
    return cut(next((asked[name][0] for name in ("model", "deployment") if name in asked), None))
