"""llama.cpp's own completions: what the request asks for, and its answers, streamed or not.

Source: llama.cpp, ``tools/server/README.md``, ``POST /completion`` and ``/infill``. ``/completions`` is the same there;
other servers answer that path as OpenAI does, so the members of that shape are known too.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.answer_list import AnswerListReader
from llm_metrics_proxy.wire.apis.openai_usage import counts_in_timings, openai_tokens
from llm_metrics_proxy.wire.base import SAW_VISIBLE, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, response_facts, short_text, usage_of
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.server_times import openai_times
from llm_metrics_proxy.wire.tolerant import MISSING
from llm_metrics_proxy.wire.usage_reports import TOP, Reports, UsageReports, members_given, summed


class LlamaRequest(ModelRequest):
    """``/completion`` and ``/infill``."""

    n_predict: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    prompt: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        return self._facts(
            max_tokens=self.max_tokens if self.n_predict is None else self.n_predict,
            temperature=self.temperature,
            top_p=self.top_p,
            message_count=count_prompts(self.prompt),
        )


class _LlamaChoice(msgspec.Struct, gc=False):
    text: Any = None
    finish_reason: str | None = None


class _LlamaAnswer(msgspec.Struct, gc=False):
    """A whole answer, or an event of a streamed one; the last event has what a whole answer has, except the text."""

    content: Any = None
    model: str | None = None
    stop: Any = None
    stop_type: str | None = None  # eos, limit, word; none before the end
    tokens_evaluated: Any = None  # of the prompt, cached ones included
    tokens_predicted: Any = None
    timings: Any = None
    choices: list[_LlamaChoice] | None = None
    usage: Any = None
    id: Any = None
    error: Any = None


def _facts(answer: _LlamaAnswer, **ends: Any) -> ResponseFacts:
    return response_facts(
        response_model=cut(answer.model),
        finish_reason=_finish_reason(answer),
        reports=_reports(answer),
        response_id=short_text(answer.id),
        times=openai_times(answer.timings, None),
        **ends,
    )


def _reports(answer: _LlamaAnswer) -> UsageReports:
    reports = UsageReports()
    counts = members_given(tokens_evaluated=answer.tokens_evaluated, tokens_predicted=answer.tokens_predicted)
    reports.take(TOP, counts)
    reports.take("usage", answer.usage)
    reports.take("timings", counts_in_timings(answer.timings))
    return reports


def llama_tokens(reports: Reports) -> Usage:
    """The counts of an answer in OpenAI's shape, or in llama.cpp's own."""
    if "usage" in reports:
        return openai_tokens(reports)
    if TOP not in reports:
        return Usage()
    answer, timings = summed(reports, TOP), summed(reports, "timings")
    return usage_of(
        prompt=answer.get("tokens_evaluated"), completion=answer.get("tokens_predicted"), cached=timings.get("cache_n")
    )


def _finish_reason(answer: _LlamaAnswer) -> str | None:
    if answer.stop_type and answer.stop_type != "none":
        return cut(answer.stop_type)
    return next((cut(choice.finish_reason) for choice in answer.choices or () if choice.finish_reason), None)


class LlamaBodyReader(AnswerListReader):
    """Several prompts give a list of answers, whose counts are summed."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _LlamaAnswer

    def facts_of_all(self, answers: Sequence[_LlamaAnswer], **ends: Any) -> ResponseFacts:
        if len(answers) == 1:
            return _facts(answers[0], **ends)
        reports = UsageReports()
        for answer in answers:
            for where, report in _reports(answer).merged.items():
                reports.add(where, report)
        reasons, models = map(_finish_reason, answers), (cut(answer.model) for answer in answers)
        return response_facts(
            response_model=next(filter(None, models), None),
            finish_reason=next(filter(None, reasons), None),
            reports=reports,
            **ends,
        )


class LlamaStreamReader(EventReader):
    __slots__ = ("_known",)

    kind: ClassVar[type[msgspec.Struct]] = _LlamaAnswer

    def __init__(self) -> None:
        super().__init__()
        self._known = _LlamaAnswer()  # the newest value of each fact

    def read(self, event: _LlamaAnswer) -> int:
        if event.error:
            return self.member_error_seen(event.error)
        known, choices = self._known, event.choices or ()
        known.model = known.model or event.model
        known.id = event.id if known.id is None else known.id
        known.timings = event.timings or known.timings
        known.usage = event.usage or known.usage
        seen = SAW_VISIBLE if event.content or any(choice.text for choice in choices) else 0
        reason = _finish_reason(event)
        if reason is None and event.stop is not True:
            return seen
        known.stop_type = known.stop_type or reason
        known.tokens_evaluated, known.tokens_predicted = event.tokens_evaluated, event.tokens_predicted
        return seen | self.end_seen()

    def facts(self, **ends: Any) -> ResponseFacts:
        return _facts(self._known, **ends)


LLAMA_COMPLETION: Final = Dialect(
    name="llama_completion",
    operation="text_completion",
    paths=("/completion", "/completions", "/infill"),  # without a prefix, llama.cpp means its own completions
    provider="llama_cpp",
    read_request=LlamaRequest.read,
    stream_reader=LlamaStreamReader,
    body_reader=LlamaBodyReader,
    signs=("content", "choices", "["),  # several prompts give a list
    tokens=llama_tokens,
)
DIALECTS: Final = (LLAMA_COMPLETION,)
