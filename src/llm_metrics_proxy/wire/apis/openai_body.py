"""Answers in OpenAI's shape that are one JSON body: chat completions, completions and embeddings, not streamed."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.openai_requests import EmbeddingsRequest
from llm_metrics_proxy.wire.apis.openai_usage import counts_in_timings, openai_tokens, usage_of_groq
from llm_metrics_proxy.wire.base import MAX_TEXT_CHARS, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.error_body import error_facts, minimax_error
from llm_metrics_proxy.wire.facts import cut, response_facts, short_text
from llm_metrics_proxy.wire.server_times import openai_times
from llm_metrics_proxy.wire.tolerant import UNREADABLE, decoder_of
from llm_metrics_proxy.wire.usage_reports import Report, UsageReports, kept_of_one
from llm_metrics_proxy.wire.whole_body import WholeBodyReader


class OpenAIAnswer(msgspec.Struct, gc=False):
    """What a whole answer and an event of a streamed one have in common."""

    model: str | None = None
    usage: Any = None
    error: Any = None
    object: str | None = None
    message: Any = None  # of {"object": "error", "message": …}
    type: Any = None
    code: Any = None
    id: Any = None
    service_tier: Any = None
    timings: Any = None  # llama.cpp
    stats: Any = None  # LM Studio
    base_resp: Any = None  # MiniMax
    x_groq: Any = None


class OpenAIChoice(msgspec.Struct, gc=False):
    """What a choice has in both."""

    finish_reason: str | None = None
    index: Any = 0
    error: Any = None  # OpenRouter: the provider failed after the head was sent
    usage: Any = None  # Kimi, in streams


def answer_error(answer: OpenAIAnswer) -> ErrorFacts | None:
    """The error of an answer, or of an event, that is one."""
    if answer.error or answer.object == "error":
        beside = {"message": answer.message, "type": answer.type, "code": answer.code}
        return error_facts(answer.error) or error_facts(beside) or ErrorFacts()
    if answer.base_resp is not None:
        return minimax_error(answer.base_resp)
    if isinstance(answer.x_groq, dict) and answer.x_groq.get("error"):  # why Groq ended a stream early
        return error_facts(answer.x_groq["error"]) or ErrorFacts()
    return None


class _ChatMessage(msgspec.Struct, gc=False):
    tool_calls: list[Any] | None = None
    function_call: Any = None
    refusal: Any = None  # the text of it; only whether there is one matters


class _WholeChoice(OpenAIChoice, gc=False):
    message: _ChatMessage | None = None


class _ChatAnswer(OpenAIAnswer, gc=False):
    choices: list[_WholeChoice] | None = None


# An answer as nearly all are: one choice or none, no refusal, no error, and nothing that few servers add. Anything else
# fails to decode.
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT_CHARS)]


class _PlainMessage(msgspec.Struct, gc=False):
    tool_calls: list[msgspec.Raw] | None = None
    function_call: None = None
    refusal: None = None


class _PlainChoice(msgspec.Struct, gc=False):
    finish_reason: _Text | None = None
    message: _PlainMessage | None = None
    error: None = None
    usage: None = None


class _PlainAnswer(msgspec.Struct, gc=False):
    model: _Text | None = None
    choices: Annotated[list[_PlainChoice], msgspec.Meta(min_length=1, max_length=1)] | None = None
    usage: Report | None = None
    error: None = None
    object: str | None = None
    id: _Text | None = None
    service_tier: _Text | None = None
    timings: None = None
    stats: None = None
    base_resp: None = None
    x_groq: None = None


_decode_plain: Final = decoder_of(_PlainAnswer)


class OpenAIBodyReader(WholeBodyReader):
    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _ChatAnswer

    def read_whole(self, data: bytes) -> ResponseFacts:
        """As the base class's, with the commonest answers checked by the decoder instead of in Python."""
        try:
            plain = _decode_plain(data)
        except UNREADABLE:
            return super().read_whole(data)
        return super().read_whole(data) if plain.object == "error" else _plain_facts(plain)

    def error_of(self, answer: _ChatAnswer) -> ErrorFacts | None:
        """With a successful status: OpenRouter, and servers that send all their errors so."""
        error = answer_error(answer)
        failed = (choice.error for choice in answer.choices or () if choice.error)
        return error or next((error_facts(value) or ErrorFacts() for value in failed), None)

    def facts_of(self, answer: _ChatAnswer, **ends: Any) -> ResponseFacts:
        reports = UsageReports()
        reports.take("usage", answer.usage)
        reports.take("x_groq.usage", usage_of_groq(answer.x_groq))
        reports.take("timings", counts_in_timings(answer.timings))
        for choice in answer.choices or ():
            reports.take("choices[0].usage", choice.usage)
        return response_facts(
            response_model=cut(answer.model),
            finish_reason=_finish_reason(answer.choices) if answer.choices else None,
            reports=reports,
            tool_call_count=_tool_call_count(answer.choices),
            response_id=short_text(answer.id),
            service_tier=short_text(answer.service_tier),
            times=openai_times(answer.timings, answer.stats),
            refused=_refused(answer.choices),
            **ends,
        )


def _plain_facts(answer: _PlainAnswer) -> ResponseFacts:
    """As ``facts_of`` would say it, of what the decoder has checked."""
    finish_reason = tool_call_count = None
    if answer.choices is not None:
        choice = answer.choices[0]
        finish_reason, message = choice.finish_reason, choice.message
        tool_call_count = 0 if message is None or message.tool_calls is None else len(message.tool_calls)
    return ResponseFacts(
        response_model=answer.model,
        finish_reason=finish_reason,
        terminal=True,
        tool_call_count=tool_call_count,
        service_tier=answer.service_tier,
        response_id=answer.id,
        usage_reported=None if answer.usage is None else kept_of_one("usage", answer.usage),
    )


def _refused(choices: Sequence[_WholeChoice] | None) -> bool:
    """Some choice holds the text of a refusal."""
    for choice in choices or ():  # noqa: SIM110 -- a generator costs each answer more than this loop
        if choice.message is not None and choice.message.refusal:
            return True
    return False


def _finish_reason(choices: Sequence[_WholeChoice]) -> str | None:
    """Of the choice with the lowest index that gave one."""
    if len(choices) == 1:
        return cut(choices[0].finish_reason)
    given = [choice for choice in choices if choice.finish_reason]
    if not given:
        return None
    first = min(given, key=lambda choice: choice.index if isinstance(choice.index, int) else 0)
    return cut(first.finish_reason)


def _tool_call_count(choices: Sequence[_WholeChoice] | None) -> int | None:
    """Tool calls of all choices; None without any choice."""
    if not choices:
        return None
    count = 0
    for choice in choices:
        message = choice.message
        if message is not None:
            if message.tool_calls:
                count += len(message.tool_calls)
            elif message.function_call:
                count += 1  # the older form: one function at most
    return count


OPENAI_EMBEDDINGS: Final = Dialect(
    name="openai_embeddings",
    operation="embeddings",
    paths=("embeddings",),
    read_request=EmbeddingsRequest.read,
    body_reader=OpenAIBodyReader,
    has_output=False,
    signs=("data", "embeddings", "embedding", "vectors", "["),  # llama.cpp, without a prefix, gives a list
    tokens=openai_tokens,
)
DIALECTS: Final = (OPENAI_EMBEDDINGS,)
