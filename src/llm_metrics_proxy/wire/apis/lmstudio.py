"""LM Studio's own chat: what the request asks for, and its answers, streamed or not.

Source: LM Studio's REST API reference, ``POST /api/v1/chat`` and "Streaming events". A stream ends with ``chat.end``,
which holds the whole answer; it comes after an ``error`` event too, "with whatever was generated". That a tool failed
is no error of the answer.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.base import SAW_TOKEN, SAW_VISIBLE, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, response_facts, short_text, usage_of
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.server_times import lmstudio_times
from llm_metrics_proxy.wire.tolerant import MISSING, count_items
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports
from llm_metrics_proxy.wire.whole_body import WholeBodyReader


class LmStudioRequest(ModelRequest):
    """``/api/v1/chat``."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    input: msgspec.Raw = MISSING
    integrations: msgspec.Raw = MISSING  # plug-ins and MCP servers, which bring the tools

    def facts(self) -> RequestFacts:
        return self._facts(
            max_tokens=self.max_output_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            message_count=count_prompts(self.input),
            tool_count=count_items(self.integrations),
        )


class _Item(msgspec.Struct, gc=False):
    type: str | None = None


class _LmStudioAnswer(msgspec.Struct, gc=False):
    model_instance_id: str | None = None
    output: list[_Item] | None = None
    stats: Any = None
    response_id: Any = None
    error: Any = None


class _LmStudioEvent(msgspec.Struct, gc=False):
    type: str | None = None
    model_instance_id: str | None = None
    content: Any = None  # of a delta; only whether it is empty matters
    result: _LmStudioAnswer | None = None
    error: Any = None


def lmstudio_tokens(reports: Reports) -> Usage:
    """``total_output_tokens`` has what was spent on reasoning in it."""
    stats = reports.get("stats", {})
    return usage_of(
        prompt=stats.get("input_tokens"),
        completion=stats.get("total_output_tokens"),
        reasoning=stats.get("reasoning_output_tokens"),
    )


def _facts(answer: _LmStudioAnswer, model: str | None, **ends: Any) -> ResponseFacts:
    reports = UsageReports()
    reports.take("stats", answer.stats)
    calls = None if answer.output is None else sum(item.type == "tool_call" for item in answer.output)
    return response_facts(
        response_model=cut(answer.model_instance_id) or model,
        reports=reports,
        tool_call_count=calls,
        response_id=short_text(answer.response_id),
        times=lmstudio_times(answer.stats),
        **ends,
    )


class LmStudioBodyReader(WholeBodyReader):
    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _LmStudioAnswer

    def facts_of(self, answer: _LmStudioAnswer, **ends: Any) -> ResponseFacts:
        return _facts(answer, None, **ends)


class LmStudioStreamReader(EventReader):
    __slots__ = ("_answer", "_model")

    kind: ClassVar[type[msgspec.Struct]] = _LmStudioEvent
    rules: ClassVar[FormRules] = FormRules(texts=(b'"content":"',))

    def __init__(self) -> None:
        super().__init__()
        self._model: str | None = None
        self._answer = _LmStudioAnswer()

    def read(self, event: _LmStudioEvent) -> int:
        if event.type == "error":
            return self.member_error_seen(event.error)
        self._model = self._model or cut(event.model_instance_id)
        if event.type == "chat.end":
            self._answer = event.result or self._answer
            return self.end_seen()
        if event.type == "tool_call.start":  # the tool's name is the first that is generated of a call
            return SAW_VISIBLE
        self.only_text = True
        if not event.content:
            return 0
        return {"message.delta": SAW_VISIBLE, "reasoning.delta": SAW_TOKEN}.get(event.type or "", 0)

    def facts(self, **ends: Any) -> ResponseFacts:
        return _facts(self._answer, self._model, **ends)


LMSTUDIO_CHAT: Final = Dialect(
    name="lmstudio_chat",
    operation="chat",
    paths=("/api/v1/chat",),
    provider="lmstudio",
    read_request=LmStudioRequest.read,
    stream_reader=LmStudioStreamReader,
    body_reader=LmStudioBodyReader,
    tokens=lmstudio_tokens,
    signs=("output",),
)
DIALECTS: Final = (LMSTUDIO_CHAT,)
