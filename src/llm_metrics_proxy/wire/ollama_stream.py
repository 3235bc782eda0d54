"""Streams of Ollama's own API: one JSON object per line, the last one with ``done: true`` and all the numbers.

Source: Ollama's API reference. An error in the middle is a line ``{"error": "text"}``, and no ``done`` follows it.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.base import SAW_OUTPUT, SAW_TOKEN, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.error_body import error_in_body
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import cut, response_facts
from llm_metrics_proxy.wire.ndjson import NdjsonReader
from llm_metrics_proxy.wire.ollama_native import Line, line_times, line_usage, tool_calls_of

_VISIBLE: Final = SAW_TOKEN | SAW_OUTPUT


class OllamaStreamReader(EventReader):
    """Reads one stream."""

    __slots__ = ("_last", "_model", "_tool_calls")

    kind: ClassVar[type[msgspec.Struct]] = Line
    rules: ClassVar[FormRules] = FormRules(
        texts=(b'"content":"', b'"response":"', b'"thinking":"'), strings=(b'"created_at":"',), is_line=True
    )
    frame: ClassVar[Any] = NdjsonReader

    def __init__(self) -> None:
        super().__init__()
        self._model: str | None = None
        self._tool_calls: int | None = None  # once there was a message
        self._last = Line()

    def read(self, event: Line) -> int:
        """One line."""
        if event.error:
            return self.error_seen(error_in_body({"error": event.error}))
        if self._model is None:
            self._model = cut(event.model)
        message = event.message
        seen = SAW_TOKEN if event.thinking else 0
        if event.response:
            seen = _VISIBLE
        if message is not None:
            calls = tool_calls_of(message)
            self._tool_calls = (self._tool_calls or 0) + calls
            if message.content or calls:
                seen = _VISIBLE
            elif message.thinking:
                seen |= SAW_TOKEN
            self.only_text = not calls
        else:
            self.only_text = True
        if event.done is True:
            self.only_text = False
            self._last = event
            seen |= self.end_seen()
        return seen

    def facts(self, *, malformed: bool) -> ResponseFacts:
        """All that is known."""
        last = self._last
        return response_facts(
            model=self._model,
            finish_reason=cut(last.done_reason),
            usage=line_usage(last),
            content_chunks=self.content_chunks,
            terminal=self.terminal,
            malformed=malformed,
            error=self.error,
            tool_call_count=self._tool_calls,
            times=line_times(last),
        )
