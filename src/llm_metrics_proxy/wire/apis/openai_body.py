"""Answers in OpenAI's shape that are one JSON body: chat completions, completions and embeddings, not streamed."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.openai_requests import EmbeddingsRequest
from llm_metrics_proxy.wire.apis.openai_usage import counts_in_timings, openai_tokens, usage_of_groq
from llm_metrics_proxy.wire.base import MAX_TEXT_CHARS, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.error_body import error_facts, minimax_error
from llm_metrics_proxy.wire.facts import ENDS_OF_TEXT, cut, response_facts, short_text
from llm_metrics_proxy.wire.server_times import openai_times
from llm_metrics_proxy.wire.tolerant import MISSING, UNREADABLE, decoder_of
from llm_metrics_proxy.wire.usage_reports import UsageReports, kept_of_one
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


class _PlainChoice(_WholeChoice, gc=False):
    error: None = None


class _PlainChatAnswer(msgspec.Struct, gc=False):
    """An answer as nearly all are: no error in it, and nothing that few servers add. Anything else fails to decode."""

    model: str | None = None
    choices: list[_PlainChoice] | None = None
    usage: msgspec.Raw = MISSING
    error: None = None
    object: str | None = None
    id: str | None = None
    service_tier: str | None = None
    timings: None = None
    stats: None = None
    base_resp: None = None
    x_groq: None = None


_decode_plain: Final = decoder_of(_PlainChatAnswer)


class OpenAIBodyReader(WholeBodyReader):
    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _ChatAnswer

    def read_whole(self, data: bytes) -> ResponseFacts:
        """As the base class's, with the commonest answers checked by the decoder instead of in Python."""
        try:
            plain = _decode_plain(data)
        except UNREADABLE:
            plain = None
        if plain is not None and plain.object != "error":
            return _plain_facts(plain)
        return super().read_whole(data)

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


def _plain_facts(answer: _PlainChatAnswer) -> ResponseFacts:
    """As ``facts_of`` would say it, by the shortest way: nearly every answer that is not streamed passes here."""
    choices = answer.choices
    model, answer_id = answer.model, answer.id
    finish_reason: str | None = None
    tool_call_count: int | None = None
    refused = False
    if choices:
        if len(choices) == 1:  # what the functions below would say
            choice = choices[0]
            finish_reason = choice.finish_reason[:MAX_TEXT_CHARS] if choice.finish_reason else None
            tool_call_count = 0
            if (message := choice.message) is not None:
                if message.tool_calls:
                    tool_call_count = len(message.tool_calls)
                elif message.function_call:
                    tool_call_count = 1
                refused = bool(message.refusal) and finish_reason in ENDS_OF_TEXT
        else:
            finish_reason = _finish_reason(choices)
            tool_call_count = _tool_call_count(choices)
            refused = _refused(choices) and finish_reason in ENDS_OF_TEXT
    return ResponseFacts(
        response_model=model[:MAX_TEXT_CHARS] if model else None,
        finish_reason=finish_reason,
        terminal=True,
        tool_call_count=tool_call_count,
        service_tier=cut(answer.service_tier) if answer.service_tier else None,
        response_id=answer_id[:MAX_TEXT_CHARS] if answer_id else None,
        refused=refused,
        usage_reported=None if answer.usage is MISSING else kept_of_one("usage", answer.usage),
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
