"""Streams of Anthropic Messages: events in, facts out.

Source: Anthropic's API reference, "Streaming messages". Every event names its type twice, in ``event:`` and in its
data; the data's counts, because some gateways leave the other out. Unknown types are passed over, as the reference
asks.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.anthropic_messages import TOOL_BLOCKS, Block
from llm_metrics_proxy.wire.anthropic_usage import AnthropicUsage
from llm_metrics_proxy.wire.base import SAW_OUTPUT, SAW_TOKEN, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.error_body import error_in_body
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import cut, response_facts, short_text

_VISIBLE: Final = SAW_TOKEN | SAW_OUTPUT


class _Message(msgspec.Struct, gc=False):
    id: Any = None
    model: str | None = None
    usage: Any = None


class _Delta(msgspec.Struct, gc=False):
    """``Any``: only whether it is empty matters, and no type of it is a fault."""

    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    stop_reason: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    message: _Message | None = None
    content_block: Block | None = None
    delta: _Delta | None = None
    usage: Any = None
    error: Any = None


class AnthropicStreamReader(EventReader):
    """Reads one stream."""

    __slots__ = ("_finish_reason", "_id", "_model", "_tool_calls", "_usage")

    kind: ClassVar[type[msgspec.Struct]] = _Event
    rules: ClassVar[FormRules] = FormRules(texts=(b'"text":"', b'"text": "', b'"thinking":"', b'"thinking": "'))

    def __init__(self) -> None:
        super().__init__()
        self._id: str | None = None
        self._model: str | None = None
        self._finish_reason: str | None = None
        self._tool_calls: int | None = None  # once the message has begun
        self._usage = AnthropicUsage()

    def read(self, event: _Event) -> int:
        """One event."""
        if event.type == "error" or event.error:
            return self.error_seen(error_in_body({"error": event.error}))
        take = _READ.get(event.type or "")
        return 0 if take is None else take(self, event)

    def facts(self, *, malformed: bool) -> ResponseFacts:
        """All that is known."""
        return response_facts(
            model=self._model,
            finish_reason=self._finish_reason,
            usage=self._usage.usage(),
            content_chunks=self.content_chunks,
            terminal=self.terminal,
            malformed=malformed,
            error=self.error,
            tool_call_count=self._tool_calls,
            response_id=self._id,
            service_tier=self._usage.service_tier,
        )

    def _message_start(self, event: _Event) -> int:
        message = event.message or _Message()
        self._id = self._id or short_text(message.id)
        self._model = self._model or cut(message.model)
        self._tool_calls = self._tool_calls or 0
        self._usage.take(message.usage, with_output=False)
        return 0

    def _block_start(self, event: _Event) -> int:
        block = event.content_block or Block()
        if block.type in TOOL_BLOCKS:  # the tool's name is the first that is generated of a call
            self._tool_calls = (self._tool_calls or 0) + 1
            return _VISIBLE
        if block.text:
            return _VISIBLE if block.type == "text" else 0  # what a server's own tool found is not generated
        return SAW_TOKEN if block.thinking or (block.data and block.type == "redacted_thinking") else 0

    def _block_delta(self, event: _Event) -> int:
        delta = event.delta or _Delta()
        self.only_text = True
        if delta.text or delta.partial_json:
            return _VISIBLE
        return SAW_TOKEN if delta.thinking else 0  # signatures and citations are no tokens

    def _message_delta(self, event: _Event) -> int:
        self._usage.take(event.usage, with_output=True)
        if event.delta is None or not event.delta.stop_reason:
            return 0
        self._finish_reason = cut(event.delta.stop_reason)
        return self.end_seen()

    def _message_stop(self, event: _Event) -> int:  # noqa: ARG002 -- one of a table
        return self.end_seen()


_READ: Final[dict[str, Callable[[AnthropicStreamReader, _Event], int]]] = {
    "message_start": AnthropicStreamReader._message_start,
    "content_block_start": AnthropicStreamReader._block_start,
    "content_block_delta": AnthropicStreamReader._block_delta,
    "message_delta": AnthropicStreamReader._message_delta,
    "message_stop": AnthropicStreamReader._message_stop,
}
