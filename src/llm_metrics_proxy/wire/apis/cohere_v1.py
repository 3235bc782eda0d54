"""Cohere's older API: version 1 of chat and generate, streamed or not.

Source: Cohere's API reference (v1 Chat, v1 Generate) and the types of its Python client. A stream is one JSON object
per line (``application/stream+json``), or server-sent events where the client asks for them. Its last event holds the
whole answer.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.cohere import cohere, counts_in_meta, failure
from llm_metrics_proxy.wire.base import SAW_VISIBLE, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import cut, response_facts, short_text
from llm_metrics_proxy.wire.ndjson import NdjsonReader
from llm_metrics_proxy.wire.tolerant import decode
from llm_metrics_proxy.wire.usage_reports import UsageReports
from llm_metrics_proxy.wire.whole_body import WholeBodyReader


class _CohereGeneration(msgspec.Struct, gc=False):
    finish_reason: str | None = None


class CohereV1Answer(msgspec.Struct, gc=False):
    """A whole answer; the last event of a stream holds one."""

    response_id: Any = None
    generation_id: Any = None
    id: Any = None  # generate's
    model: str | None = None
    finish_reason: str | None = None
    generations: list[_CohereGeneration] | None = None
    tool_calls: list[Any] | None = None
    meta: Any = None
    error: Any = None

    @property
    def reason(self) -> str | None:
        """Why it ended: of several generations, the first that says so."""
        return self.finish_reason or next((each.finish_reason for each in self.generations or ()), None)

    def facts(self, reason: str | None, calls: int | None, **ends: Any) -> ResponseFacts:
        """What it says; ``reason`` and ``calls`` as the stream had them."""
        reports = UsageReports()
        reports.take("meta", counts_in_meta(self.meta))
        return response_facts(
            response_model=cut(self.model),
            finish_reason=cut(reason),
            reports=reports,
            tool_call_count=calls,
            response_id=short_text(self.response_id) or short_text(self.generation_id) or short_text(self.id),
            **ends,
        )


class CohereV1BodyReader(WholeBodyReader):
    """Reads one answer."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = CohereV1Answer

    def error_of(self, answer: CohereV1Answer) -> ErrorFacts | None:
        return failure(answer.reason, answer.error) or super().error_of(answer)

    def facts_of(self, answer: CohereV1Answer, **ends: Any) -> ResponseFacts:
        return answer.facts(answer.reason, len(answer.tool_calls or ()), **ends)


class _CohereV1Event(msgspec.Struct, gc=False):
    event_type: str | None = None
    text: Any = None
    tool_calls: list[Any] | None = None
    tool_call_delta: Any = None
    generation_id: Any = None
    is_finished: Any = None
    finish_reason: str | None = None
    response: CohereV1Answer | None = None
    err: Any = None  # of stream-error
    error: Any = None


class CohereV1StreamReader(EventReader):
    __slots__ = ("_answer", "_finish_reason", "_tool_calls")

    kind: ClassVar[type[msgspec.Struct]] = _CohereV1Event
    frame = NdjsonReader

    def __init__(self) -> None:
        super().__init__()
        self._finish_reason: str | None = None
        self._tool_calls = 0
        self._answer = CohereV1Answer()

    def read(self, event: _CohereV1Event) -> int:
        if event.error or event.event_type == "stream-error":
            error = failure(event.finish_reason, event.err)
            return self.member_error_seen(event.error or event.err) if error is None else self.error_seen(error)
        if event.generation_id is not None:
            self._answer.generation_id = event.generation_id
        if event.event_type == "stream-end" or event.is_finished is True:
            return self._end(event)
        if event.tool_calls:
            self._tool_calls += len(event.tool_calls)
        return SAW_VISIBLE if event.text or event.tool_calls or event.tool_call_delta else 0

    def facts(self, **ends: Any) -> ResponseFacts:
        return self._answer.facts(self._finish_reason, self._tool_calls, **ends)

    def _end(self, event: _CohereV1Event) -> int:
        answer = event.response
        if answer is not None:
            answer.generation_id = answer.generation_id or self._answer.generation_id
            self._answer = answer
            self._tool_calls = max(self._tool_calls, len(answer.tool_calls or ()))
        self._finish_reason = event.finish_reason or self._answer.reason
        error = failure(self._finish_reason, event.err)
        return self.end_seen() if error is None else self.end_seen() | self.error_seen(error)


def _opens(line: bytes) -> bool:
    """Of a stream: every event says whether it is the last."""
    event = decode(_CohereV1Event, line)
    return event is not None and event.is_finished is False


COHERE_V1_CHAT: Final = cohere(
    "cohere_v1_chat", "chat", "/v1/chat",
    stream_reader=CohereV1StreamReader, body_reader=CohereV1BodyReader, opens_stream=_opens,
    signs=("text", "generations"),
)  # fmt: skip
COHERE_V1_GENERATE: Final = cohere(
    "cohere_v1_generate", "text_completion", "/v1/generate",
    stream_reader=CohereV1StreamReader, body_reader=CohereV1BodyReader, opens_stream=_opens,
    signs=("text", "generations"),
)  # fmt: skip
DIALECTS: Final = (COHERE_V1_CHAT, COHERE_V1_GENERATE)
