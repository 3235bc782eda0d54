"""llama.cpp's own completions: what the request asks for, and its answers, streamed or not.

Source: llama.cpp, ``tools/server/README.md``, ``POST /completion`` and ``/infill``. ``/completions`` is the same there;
other servers answer that path as OpenAI does, so the members of that shape are known too.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.base import SAW_OUTPUT, SAW_TOKEN, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.error_body import error_in_body
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import (
    Usage,
    answer_usage,
    cut,
    finite,
    response_facts,
    short_text,
    small_int,
    usage_of,
)
from llm_metrics_proxy.wire.openai_completions import count_prompts
from llm_metrics_proxy.wire.server_times import openai_times
from llm_metrics_proxy.wire.tolerant import decode
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_MISSING = msgspec.Raw()
_VISIBLE: Final = SAW_TOKEN | SAW_OUTPUT


class _Request(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None
    n_predict: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    prompt: msgspec.Raw = _MISSING


def read_request(body: bytes) -> RequestFacts:
    """The facts of a request's body; of one that is not a JSON object, none."""
    request = decode(_Request, body)
    if request is None:
        return RequestFacts()
    return RequestFacts(
        model=cut(request.model),
        is_streaming=request.stream is True,
        max_tokens=small_int(request.max_tokens if request.n_predict is None else request.n_predict),
        temperature=finite(request.temperature),
        top_p=finite(request.top_p),
        message_count=None if request.prompt is _MISSING else count_prompts(request.prompt),
    )


class _Choice(msgspec.Struct, gc=False):
    text: Any = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct, gc=False):
    """A whole answer, or an event of a streamed one; the last event has what a whole answer has, but for the text."""

    content: Any = None
    model: str | None = None
    stop: Any = None
    stop_type: str | None = None  # eos, limit, word; none before the end
    tokens_evaluated: Any = None  # of the prompt, cached ones included
    tokens_predicted: Any = None
    timings: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    id: Any = None
    error: Any = None


def _facts(answer: _Answer, **more: Any) -> ResponseFacts:
    return response_facts(
        model=cut(answer.model),
        finish_reason=_finish_reason(answer),
        usage=_usage(answer),
        response_id=short_text(answer.id),
        times=openai_times(answer.timings, None),
        **more,
    )


def _usage(answer: _Answer) -> Usage | None:
    if isinstance(answer.usage, dict):
        return answer_usage(answer.usage, answer.timings)
    if answer.tokens_evaluated is None and answer.tokens_predicted is None:
        return None
    cached = answer.timings.get("cache_n") if isinstance(answer.timings, dict) else None
    return usage_of(prompt=answer.tokens_evaluated, completion=answer.tokens_predicted, cached=cached)


def _finish_reason(answer: _Answer) -> str | None:
    if answer.stop_type and answer.stop_type != "none":
        return cut(answer.stop_type)
    return next((cut(choice.finish_reason) for choice in answer.choices or () if choice.finish_reason), None)


class LlamaBodyReader(WholeBodyReader):
    """Reads one answer that was not streamed."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _Answer

    def facts_of(self, answer: _Answer, *, terminal: bool, malformed: bool) -> ResponseFacts:
        """What an answer says."""
        error = error_in_body({"error": answer.error}) if answer.error else None
        return _facts(answer, terminal=terminal, malformed=malformed, error=error)


class LlamaStreamReader(EventReader):
    """Reads one stream."""

    __slots__ = ("_known",)

    kind: ClassVar[type[msgspec.Struct]] = _Answer

    def __init__(self) -> None:
        super().__init__()
        self._known = _Answer()  # the newest value of each fact

    def read(self, event: _Answer) -> int:
        """One event."""
        if event.error:
            return self.error_seen(error_in_body({"error": event.error}))
        known, choices = self._known, event.choices or ()
        known.model = known.model or event.model
        known.id = event.id if known.id is None else known.id
        known.timings = event.timings or known.timings
        known.usage = event.usage or known.usage
        seen = _VISIBLE if event.content or any(choice.text for choice in choices) else 0
        reason = _finish_reason(event)
        if reason is None and event.stop is not True:
            return seen
        known.stop_type = known.stop_type or reason
        known.tokens_evaluated, known.tokens_predicted = event.tokens_evaluated, event.tokens_predicted
        return seen | self.end_seen()

    def facts(self, *, malformed: bool) -> ResponseFacts:
        """All that is known."""
        return _facts(
            self._known,
            content_chunks=self.content_chunks,
            terminal=self.terminal,
            malformed=malformed,
            error=self.error,
        )
