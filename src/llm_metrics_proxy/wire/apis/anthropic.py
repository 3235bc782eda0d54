"""Anthropic Messages: what the request asks for, and its answers, streamed or not.

Sources: Anthropic's API reference, "Create a Message" and "Streaming messages". LiteLLM, OpenRouter, DeepSeek, vLLM,
llama.cpp, Ollama and others serve it too. Every event names its type twice, in ``event:`` and in its data; the data's
counts, because some gateways leave the other out. Unknown types are passed over, as the reference asks.

Token counts come in parts and more than once, each report a total so far: ``usage`` of ``message_delta`` is cumulative.
``input_tokens`` leaves out what was read from or written to the cache; the whole input is the sum of the three.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.base import SAW_TOKEN, SAW_VISIBLE, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.cache_misses import CacheMiss, anthropic_miss
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.dialects import Dialect, Family, Seller
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import REFUSED, Usage, cut, details, response_facts, short_text, token_count, usage_of
from llm_metrics_proxy.wire.requests import ModelRequest
from llm_metrics_proxy.wire.tolerant import MISSING, count_items
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_INPUT: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_OUTPUT: Final = "output_tokens"
_START: Final = "message.usage"
_NOTHING: Final[dict[str, Any]] = {}


def anthropic_tokens(reports: Reports) -> Usage:
    """The last report of each count; zeros never replace more, because totals do not fall.

    The first report of a stream counts the output before there is any, so its output is no count. Where the server
    summarised the conversation before it answered, what that took is in no count but that of its own iteration. Other
    iterations are part of the counts (``message``), or another model's work at another price (``advisor_message``).
    """
    first, last = reports.get(_START, _NOTHING), reports.get("usage", _NOTHING)
    usage = {**first, **{name: value for name, value in last.items() if value or name not in first}}
    usage[_OUTPUT] = last.get(_OUTPUT)
    compactions = [each for each in _iterations(usage) if each.get("type") == "compaction"]
    parts = [_total(name, usage, compactions) for name in _INPUT]
    prompt, cache_write, cached = parts
    if prompt is not None:
        prompt = REFUSED if REFUSED in parts else sum(count or 0 for count in parts)
    written = details(usage, "cache_creation")
    writing = [details(each, "cache_creation") for each in compactions]
    return usage_of(
        prompt=prompt,
        completion=_total(_OUTPUT, usage, compactions),
        cached=cached,
        reasoning=details(usage, "output_tokens_details").get("thinking_tokens"),
        cache_write=cache_write,
        cache_write_5m=_total("ephemeral_5m_input_tokens", written, writing),
        cache_write_1h=_total("ephemeral_1h_input_tokens", written, writing),
    )


def _iterations(usage: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    listed = usage.get("iterations")
    return (each for each in listed if isinstance(each, dict)) if isinstance(listed, list) else iter(())


def _total(name: str, usage: Mapping[str, Any], more: Sequence[Mapping[str, Any]]) -> int | None:
    """A count with the same of ``more``; None if there is none, ``REFUSED`` if one of them cannot be one."""
    if not more:
        return token_count(usage.get(name))
    counts = [token_count(each.get(name)) for each in (usage, *more)]
    if counts[0] is None or REFUSED in counts:
        return None if counts[0] is None else REFUSED
    return sum(count or 0 for count in counts)


def _tier(reports: Reports) -> str | None:
    first, last = reports.get(_START, _NOTHING), reports.get("usage", _NOTHING)
    return cut(last.get("service_tier")) or cut(first.get("service_tier"))


TOOL_BLOCKS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


class AnthropicRequest(ModelRequest):
    """``/messages``."""

    claiming: ClassVar[Mapping[str, str]] = {**ModelRequest.claiming, "metadata": "metadata"}
    metadata: msgspec.Raw = MISSING
    user: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    messages: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        return self._facts(
            user=self.user,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            message_count=count_items(self.messages),
            tool_count=count_items(self.tools),
        )


class AnthropicBlock(msgspec.Struct, gc=False):
    """One block of an answer's content; ``Any``: only whether it is empty matters."""

    type: str | None = None
    text: Any = None
    thinking: Any = None
    data: Any = None  # of redacted_thinking
    content: Any = None  # of a compaction: the conversation so far, summed up by the model


class AnthropicMessage(msgspec.Struct, gc=False):
    """A whole answer; a streamed one begins with it, still empty."""

    id: Any = None
    model: str | None = None
    content: list[AnthropicBlock] | None = None
    stop_reason: str | None = None
    usage: Any = None
    error: Any = None
    diagnostics: Any = None


class AnthropicBodyReader(WholeBodyReader):
    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = AnthropicMessage

    def facts_of(self, answer: AnthropicMessage, **ends: Any) -> ResponseFacts:
        reports = UsageReports()
        reports.take("usage", answer.usage)
        content = answer.content
        return response_facts(
            response_model=cut(answer.model),
            finish_reason=cut(answer.stop_reason),
            reports=reports,
            tool_call_count=None if content is None else sum(block.type in TOOL_BLOCKS for block in content),
            response_id=short_text(answer.id),
            service_tier=_tier(reports.merged),
            further=anthropic_miss(answer.diagnostics),
            **ends,
        )


class _AnthropicDelta(msgspec.Struct, gc=False):
    """``Any``: only whether it is empty matters, and no type of it is a fault."""

    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    content: Any = None  # of a compaction
    stop_reason: str | None = None
    diagnostics: Any = None


class _AnthropicEvent(msgspec.Struct, gc=False):
    type: str | None = None
    message: AnthropicMessage | None = None
    content_block: AnthropicBlock | None = None
    delta: _AnthropicDelta | None = None
    usage: Any = None
    error: Any = None


class AnthropicStreamReader(EventReader):
    __slots__ = ("_finish_reason", "_id", "_miss", "_model", "_reports", "_tool_calls")

    kind: ClassVar[type[msgspec.Struct]] = _AnthropicEvent
    rules: ClassVar[FormRules] = FormRules(texts=(b'"text":"', b'"text": "', b'"thinking":"', b'"thinking": "'))

    def __init__(self) -> None:
        super().__init__()
        self._id: str | None = None
        self._model: str | None = None
        self._finish_reason: str | None = None
        self._tool_calls: int | None = None  # once the message has begun
        self._reports = UsageReports()
        self._miss: CacheMiss = None

    def read(self, event: _AnthropicEvent) -> int:
        if event.type == "error" or event.error:
            return self.member_error_seen(event.error)
        take = _READ.get(event.type or "")
        return 0 if take is None else take(self, event)

    def facts(self, **ends: Any) -> ResponseFacts:
        return response_facts(
            response_model=self._model,
            finish_reason=self._finish_reason,
            reports=self._reports,
            tool_call_count=self._tool_calls,
            response_id=self._id,
            service_tier=_tier(self._reports.merged),
            further=self._miss,
            **ends,
        )

    def _message_start(self, event: _AnthropicEvent) -> int:
        message = event.message or AnthropicMessage()
        self._id = self._id or short_text(message.id)
        self._model = self._model or cut(message.model)
        self._tool_calls = self._tool_calls or 0
        self._miss = anthropic_miss(message.diagnostics)
        self._reports.take(_START, message.usage)
        return 0

    def _block_start(self, event: _AnthropicEvent) -> int:
        block = event.content_block or AnthropicBlock()
        if block.type in TOOL_BLOCKS:  # the tool's name is the first that is generated of a call
            self._tool_calls = (self._tool_calls or 0) + 1
            return SAW_VISIBLE
        if block.text:
            return SAW_VISIBLE if block.type == "text" else 0  # what a server's own tool found is not generated
        thought = block.thinking or (block.data and block.type == "redacted_thinking")
        return SAW_TOKEN if thought or (block.content and block.type == "compaction") else 0

    def _block_delta(self, event: _AnthropicEvent) -> int:
        delta = event.delta or _AnthropicDelta()
        self.only_text = True
        if delta.text or delta.partial_json:
            return SAW_VISIBLE
        return SAW_TOKEN if delta.thinking or delta.content else 0  # signatures and citations are not tokens

    def _message_delta(self, event: _AnthropicEvent) -> int:
        self._reports.take("usage", event.usage)
        if event.delta is None:
            return 0
        self._miss = anthropic_miss(event.delta.diagnostics) or self._miss
        if not event.delta.stop_reason:
            return 0
        self._finish_reason = cut(event.delta.stop_reason)
        return self.end_seen()

    def _message_stop(self, event: _AnthropicEvent) -> int:  # noqa: ARG002 -- one of a table
        return self.end_seen()


_READ: Final[dict[str, Callable[[AnthropicStreamReader, _AnthropicEvent], int]]] = {
    "message_start": AnthropicStreamReader._message_start,
    "content_block_start": AnthropicStreamReader._block_start,
    "content_block_delta": AnthropicStreamReader._block_delta,
    "message_delta": AnthropicStreamReader._message_delta,
    "message_stop": AnthropicStreamReader._message_stop,
}


ANTHROPIC_MESSAGES: Final = Dialect(
    name="anthropic_messages",
    operation="chat",
    paths=("messages",),
    family=Family.ANTHROPIC,
    provider="anthropic",
    seller=Seller("anthropic", "claude"),
    read_request=AnthropicRequest.read,
    stream_reader=AnthropicStreamReader,
    body_reader=AnthropicBodyReader,
    signs=("content",),
    tokens=anthropic_tokens,
)
ANTHROPIC_COUNT_TOKENS: Final = Dialect(
    name="anthropic_count_tokens",
    operation="count_tokens",
    paths=("**/messages/count_tokens",),
    family=Family.ANTHROPIC,
    provider="anthropic",
    read_request=AnthropicRequest.read,  # no reader: it counts a prompt that is not run, and no tokens were used
)
DIALECTS: Final = (
    ANTHROPIC_MESSAGES,
    ANTHROPIC_COUNT_TOKENS,
)
