"""Cohere's API: what its requests ask for, version 2 of its chat, streamed or not, and embeddings.

Source: Cohere's API reference (v2 Chat, v2 Chat with Streaming, Embed, Classify) and the types of its Python client.

Cohere counts twice: ``tokens`` are what the model read and wrote, with the templates that Cohere puts around a prompt;
``billed_units`` are what it charges. ``prompt_tokens`` and ``completion_tokens`` are the billed ones: prices are for
these, the others can be many times as large, and OpenTelemetry's conventions want the billed count where a provider
reports both. Where only ``tokens`` are given, they count.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.base import SAW_TOKEN, SAW_VISIBLE, ErrorFacts, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.dialects import Dialect, Family
from llm_metrics_proxy.wire.error_body import error_message
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import REFUSED, Usage, cut, details, response_facts, short_text, token_count, usage_of
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.tolerant import MISSING, count_items
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports, members_given
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

# Finish reasons of an answer that failed, though its status says success.
_FAILURES: Final = frozenset({"ERROR", "ERROR_TOXIC", "TIMEOUT"})


def cohere_tokens(reports: Reports) -> Usage:
    """The token counts of version 2's ``usage`` and version 1's ``meta``: billed ones, else those of the model.

    ``cached_tokens`` are of what the model read. More than the whole input was billed, they are no part of it.
    """
    report = reports.get("usage") or reports.get("meta") or {}
    counts = details(report, "billed_units")
    if counts.get("input_tokens") is None and counts.get("output_tokens") is None:
        counts = details(report, "tokens")
    prompt, cached = counts.get("input_tokens"), token_count(report.get("cached_tokens"))
    whole = token_count(prompt)
    if cached is not None and cached != REFUSED and (whole is None or whole == REFUSED or cached > whole):
        cached = None
    return usage_of(prompt=prompt, completion=counts.get("output_tokens"), cached=cached)


def counts_in_meta(meta: object) -> dict[str, Any] | None:
    """What ``meta`` says of tokens and other units; versions and warnings are no counts."""
    if not isinstance(meta, dict):
        return None
    return members_given(**{name: meta.get(name) for name in ("billed_units", "tokens", "cached_tokens")})


def failure(reason: str | None, words: object) -> ErrorFacts | None:
    """The error of an answer that ended for this reason, if it is one; ``words`` are the server's."""
    if reason not in _FAILURES:
        return None
    return ErrorFacts(type=reason.lower(), message=error_message(words) if isinstance(words, str) else None)


class CohereRequest(ModelRequest):
    """A request to chat, generate, embed or classify, of either version."""

    max_tokens: int | None = None
    temperature: float | None = None
    p: float | None = None
    num_generations: int | None = None
    messages: msgspec.Raw = MISSING
    message: msgspec.Raw = MISSING  # version 1's chat: the last one; those before it are in chat_history
    chat_history: msgspec.Raw = MISSING
    prompt: msgspec.Raw = MISSING
    texts: msgspec.Raw = MISSING
    images: msgspec.Raw = MISSING
    inputs: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        given = (self.messages, self.message, self.prompt, self.texts, self.images, self.inputs)
        count = next((count_prompts(value) for value in given if value is not MISSING), None)
        before = count_items(self.chat_history)
        return self._facts(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.p,
            message_count=count if count is None or before is None else count + before,
            tool_count=count_items(self.tools),
            choice_count=self.num_generations,
        )


class _CohereContent(msgspec.Struct, gc=False):
    """``Any``: only whether it is empty matters."""

    text: Any = None
    thinking: Any = None


class _CohereMessage(msgspec.Struct, gc=False):
    tool_calls: list[Any] | None = None


class _CohereAnswer(msgspec.Struct, gc=False):
    """A whole answer of version 2."""

    id: Any = None
    model: str | None = None
    finish_reason: str | None = None
    message: _CohereMessage | None = None
    usage: Any = None
    meta: Any = None  # of everything but chat
    error: Any = None


class CohereBodyReader(WholeBodyReader):
    """Reads one answer of chat's version 2, of embed or classify."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _CohereAnswer

    def error_of(self, answer: _CohereAnswer) -> ErrorFacts | None:
        return failure(answer.finish_reason, answer.error) or super().error_of(answer)

    def facts_of(self, answer: _CohereAnswer, **ends: Any) -> ResponseFacts:
        reports = UsageReports()
        reports.take("usage", answer.usage)
        reports.take("meta", counts_in_meta(answer.meta))
        message = answer.message
        return response_facts(
            response_model=cut(answer.model),
            finish_reason=cut(answer.finish_reason),
            reports=reports,
            tool_call_count=None if message is None else len(message.tool_calls or ()),
            response_id=short_text(answer.id),
            **ends,
        )


class _CohereNews(msgspec.Struct, gc=False):
    content: _CohereContent | None = None
    tool_plan: Any = None
    tool_calls: Any = None


class _CohereDelta(msgspec.Struct, gc=False):
    message: _CohereNews | None = None
    finish_reason: str | None = None
    usage: Any = None
    error: Any = None


class _CohereEvent(msgspec.Struct, gc=False):
    type: str | None = None
    id: Any = None
    delta: _CohereDelta | None = None
    error: Any = None


class CohereStreamReader(EventReader):
    """Reads a stream of version 2. A tool plan is reasoning: a token, but no output."""

    __slots__ = ("_finish_reason", "_id", "_reports", "_tool_calls")

    kind: ClassVar[type[msgspec.Struct]] = _CohereEvent
    rules: ClassVar[FormRules] = FormRules(texts=(b'"text":"', b'"thinking":"', b'"tool_plan":"'))

    def __init__(self) -> None:
        super().__init__()
        self._id: str | None = None
        self._finish_reason: str | None = None
        self._reports = UsageReports()
        self._tool_calls: int | None = None  # once the message has begun

    def read(self, event: _CohereEvent) -> int:
        if event.error:
            return self.member_error_seen(event.error)
        delta = event.delta or _CohereDelta()
        if event.type == "message-start":
            self._id = self._id or short_text(event.id)
            self._tool_calls = self._tool_calls or 0
            return 0
        if event.type == "message-end":
            return self._end(delta)
        if event.type == "tool-call-start":  # the tool's name is the first that is generated of a call
            self._tool_calls = (self._tool_calls or 0) + 1
            return SAW_VISIBLE
        return 0 if delta.message is None else self._news(delta.message)

    def facts(self, **ends: Any) -> ResponseFacts:
        return response_facts(
            finish_reason=self._finish_reason,
            reports=self._reports,
            tool_call_count=self._tool_calls,
            response_id=self._id,
            **ends,
        )

    def _end(self, delta: _CohereDelta) -> int:
        self._reports.take("usage", delta.usage)
        self._finish_reason = cut(delta.finish_reason)
        error = failure(delta.finish_reason, delta.error)
        return self.end_seen() if error is None else self.end_seen() | self.error_seen(error)

    def _news(self, message: _CohereNews) -> int:
        content = message.content or _CohereContent()
        self.only_text = message.tool_calls is None
        if content.text:
            return SAW_VISIBLE
        if isinstance(message.tool_calls, dict):
            return SAW_VISIBLE if details(message.tool_calls, "function").get("arguments") else 0
        return SAW_TOKEN if content.thinking or message.tool_plan else 0  # citations are not generated


def cohere(name: str, operation: str, *paths: str, **more: Any) -> Dialect:
    """A row whose paths stand alone: other APIs have their own below ``/v1``."""
    return Dialect(
        name=name,
        operation=operation,
        paths=paths,
        family=Family.COHERE,
        provider="cohere",
        read_request=CohereRequest.read,
        tokens=cohere_tokens,
        **more,
    )


COHERE_CHAT: Final = cohere(
    "cohere_chat",
    "chat",
    "/v2/chat",
    stream_reader=CohereStreamReader,
    body_reader=CohereBodyReader,
    signs=("finish_reason", "message"),
)
COHERE_EMBED: Final = cohere(
    "cohere_embed",
    "embeddings",
    "/v2/embed",
    "/v1/embed",
    body_reader=CohereBodyReader,
    has_output=False,
    signs=("embeddings",),
)
DIALECTS: Final = (COHERE_CHAT, COHERE_EMBED)
