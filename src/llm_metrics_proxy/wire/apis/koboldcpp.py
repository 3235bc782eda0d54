"""KoboldCpp's own text generation, streamed and not.

Source: KoboldCpp's API reference and ``koboldcpp.py``. A whole answer counts tokens in each of its ``results``; a
stream, ``event: message`` with one ``token`` of text each, does not count at all, and ends with a ``finish_reason``.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.base import SAW_VISIBLE, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, response_facts, usage_of
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.tolerant import MISSING
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports, members_given, summed
from llm_metrics_proxy.wire.whole_body import WholeBodyReader


class KoboldRequest(ModelRequest):
    """``/api/v1/generate`` and ``/api/latest/generate``."""

    always_streams: ClassVar[bool] = False
    max_length: int | None = None  # of what is generated; max_context_length is the prompt's
    temperature: float | None = None
    top_p: float | None = None
    prompt: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        return self._facts(
            is_streaming=self.always_streams,
            max_tokens=self.max_length,
            temperature=self.temperature,
            top_p=self.top_p,
            message_count=count_prompts(self.prompt),
        )


class KoboldStreamRequest(KoboldRequest):
    """``/api/extra/generate/stream``."""

    always_streams: ClassVar[bool] = True


class _Result(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    prompt_tokens: Any = None
    completion_tokens: Any = None


class _KoboldAnswer(msgspec.Struct, gc=False):
    """A whole answer, or an event of a streamed one."""

    results: list[_Result] | None = None
    token: Any = None
    finish_reason: str | None = None
    error: Any = None


def kobold_tokens(reports: Reports) -> Usage:
    """The sums over all results."""
    counts = summed(reports, "results")
    return usage_of(prompt=counts.get("prompt_tokens"), completion=counts.get("completion_tokens"))


def _reason(value: str | None) -> str | None:
    return None if value == "null" else cut(value)  # so older builds say that there is none


class KoboldBodyReader(WholeBodyReader):
    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _KoboldAnswer

    def facts_of(self, answer: _KoboldAnswer, **ends: Any) -> ResponseFacts:
        reports, results = UsageReports(), answer.results or []
        for result in results:
            counts = members_given(prompt_tokens=result.prompt_tokens, completion_tokens=result.completion_tokens)
            reports.add("results", counts)
        return response_facts(
            finish_reason=next((reason for result in results if (reason := _reason(result.finish_reason))), None),
            reports=reports,
            **ends,
        )


class KoboldStreamReader(EventReader):
    __slots__ = ("_reason",)

    kind: ClassVar[type[msgspec.Struct]] = _KoboldAnswer
    rules: ClassVar[FormRules] = FormRules(texts=(b'"token": "', b'"token":"'))

    def __init__(self) -> None:
        super().__init__()
        self._reason: str | None = None

    def read(self, event: _KoboldAnswer) -> int:
        if event.error:
            return self.member_error_seen(event.error)
        seen = SAW_VISIBLE if event.token else 0
        self._reason = _reason(event.finish_reason) or self._reason
        if self._reason:
            return seen | self.end_seen()
        self.only_text = True
        return seen

    def facts(self, **ends: Any) -> ResponseFacts:
        return response_facts(finish_reason=self._reason, **ends)


KOBOLD_GENERATE: Final = Dialect(
    name="koboldcpp_generate",
    operation="text_completion",
    paths=("/api/v1/generate", "/api/latest/generate"),
    provider="koboldcpp",
    read_request=KoboldRequest.read,
    body_reader=KoboldBodyReader,
    tokens=kobold_tokens,
    signs=("results",),
)
KOBOLD_STREAM: Final = Dialect(
    name="koboldcpp_stream",
    operation="text_completion",
    paths=("/api/extra/generate/stream",),
    provider="koboldcpp",
    read_request=KoboldStreamRequest.read,
    stream_reader=KoboldStreamReader,
)
DIALECTS: Final = (KOBOLD_GENERATE, KOBOLD_STREAM)
