"""Amazon Bedrock's InvokeModel: bodies in the words of each model's maker, and their streams.

Source: Amazon Bedrock's user guide, "Inference request parameters and response fields for foundation models", and API
reference (InvokeModel, InvokeModelWithResponseStream). A stream's messages hold the maker's events in Base64; the first
one shows whose they are. The last of every maker has ``amazon-bedrock-invocationMetrics``, which are Bedrock's own
counts, as the head of a whole answer has them. Where both are there, Bedrock's count.
"""

from binascii import Error, a2b_base64
from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.anthropic import TOOL_BLOCKS, AnthropicStreamReader, anthropic_tokens
from llm_metrics_proxy.wire.apis.bedrock_converse import (
    AwsStreamReader,
    ConverseEvent,
    ConverseOutput,
    ConverseStreamReader,
    bedrock,
    converse_tokens,
    usage_beside_cache,
)
from llm_metrics_proxy.wire.apis.cohere_v1 import CohereV1StreamReader
from llm_metrics_proxy.wire.apis.openai_stream import OpenAIStreamReader
from llm_metrics_proxy.wire.apis.openai_usage import read_usage
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, SAW_VISIBLE, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, response_facts, short_text, usage_of
from llm_metrics_proxy.wire.framing import AMAZON, BodyFraming
from llm_metrics_proxy.wire.head_counts import BEDROCK, WHERE
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.server_times import total_time
from llm_metrics_proxy.wire.sse import SseEvent
from llm_metrics_proxy.wire.tolerant import MISSING, count_items, decode
from llm_metrics_proxy.wire.usage_reports import TOP, Reports, UsageReports, members_given
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

METRICS: Final = "amazon-bedrock-invocationMetrics"

# Input, what the cache gave and took beside it, output.
_OWN: Final = ("inputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount", "outputTokenCount")
_PROMPT: Final = ("prompt_token_count", "inputTextTokenCount")  # Llama's and Titan's
_COMPLETION: Final = ("generation_token_count", "totalOutputTextTokenCount", "tokenCount")


def invoke_tokens(reports: Reports) -> Usage:
    """The token counts of InvokeModel, whichever of its makers' words they are in."""
    makers = _makers_tokens(reports)
    if METRICS in reports:
        counts = usage_beside_cache(reports[METRICS], _OWN)
    elif WHERE in reports:
        counts = usage_beside_cache(reports[WHERE], BEDROCK)
    else:
        return makers
    known = {name: getattr(counts, name) for name in counts.__struct_fields__ if getattr(counts, name) is not None}
    return msgspec.structs.replace(makers, **known)


def _makers_tokens(reports: Reports) -> Usage:
    usage = reports.get("usage", {})
    if "message.usage" in reports or "input_tokens" in usage or "output_tokens" in usage:
        return anthropic_tokens(reports)
    if "inputTokens" in usage or "outputTokens" in usage:  # Nova
        return converse_tokens(reports)
    if usage:
        return read_usage(usage)
    top = reports.get(TOP, {})
    return usage_of(prompt=_first(top, _PROMPT), completion=_first(top, _COMPLETION))


def _first(report: Any, names: tuple[str, ...]) -> object:
    return next((report[name] for name in names if report.get(name) is not None), None)


class _NovaConfig(msgspec.Struct):
    maxTokens: int | None = None  # noqa: N815 -- as it is written
    max_new_tokens: int | None = None
    temperature: float | None = None
    topP: float | None = None  # noqa: N815


class _TitanConfig(msgspec.Struct):
    maxTokenCount: int | None = None  # noqa: N815
    temperature: float | None = None
    topP: float | None = None  # noqa: N815


class InvokeRequest(ModelRequest):
    """``/model/{id}/invoke``, for any maker's model."""

    streams: ClassVar[bool] = False
    max_tokens: int | None = None
    max_gen_len: int | None = None  # Llama
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    p: float | None = None  # Cohere
    inferenceConfig: _NovaConfig | None = None  # noqa: N815
    textGenerationConfig: _TitanConfig | None = None  # noqa: N815
    messages: msgspec.Raw = MISSING
    prompt: msgspec.Raw = MISSING
    inputText: msgspec.Raw = MISSING  # noqa: N815 -- Titan
    texts: msgspec.Raw = MISSING  # Cohere's embeddings
    message: msgspec.Raw = MISSING  # Cohere's chat
    tools: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        nova, titan = self.inferenceConfig or _NovaConfig(), self.textGenerationConfig or _TitanConfig()
        limits = (
            self.max_tokens, self.max_completion_tokens, self.max_gen_len, nova.maxTokens, nova.max_new_tokens,
            titan.maxTokenCount,
        )  # fmt: skip
        given = (self.messages, self.prompt, self.inputText, self.texts, self.message)
        return self._facts(
            is_streaming=self.streams,
            max_tokens=_known(*limits),
            temperature=_known(self.temperature, nova.temperature, titan.temperature),
            top_p=_known(self.top_p, self.p, nova.topP, titan.topP),
            message_count=next((count_prompts(value) for value in given if value is not MISSING), None),
            tool_count=count_items(self.tools),
        )


def _known(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


class InvokeStreamRequest(InvokeRequest):
    """``/model/{id}/invoke-with-response-stream``."""

    streams: ClassVar[bool] = True


class _Counted(msgspec.Struct, gc=False):
    """Where makers put their counts, in whole answers and in events."""

    usage: Any = None
    prompt_token_count: Any = None
    generation_token_count: Any = None
    inputTextTokenCount: Any = None  # noqa: N815
    totalOutputTextTokenCount: Any = None  # noqa: N815


def _top_counts(counted: _Counted, titan: object = None) -> dict[str, Any] | None:
    counts = {name: getattr(counted, name) for name in (*_PROMPT, *_COMPLETION[:2])}
    return members_given(**counts, tokenCount=titan)


class _Part(msgspec.Struct, gc=False):
    """One of several texts: a choice, a result of Titan's, an output of Mistral's, a generation of Cohere's."""

    text: Any = None
    message: Any = None
    finish_reason: str | None = None
    stop_reason: str | None = None
    completionReason: str | None = None  # noqa: N815
    tokenCount: Any = None  # noqa: N815

    @property
    def reason(self) -> str | None:
        """Why it ended."""
        return self.finish_reason or self.stop_reason or self.completionReason

    @property
    def tool_calls(self) -> int:
        """How many tools it asks for."""
        calls = self.message.get("tool_calls") if isinstance(self.message, dict) else None
        return len(calls) if isinstance(calls, list) else 0


class _Parts(_Counted, gc=False):
    choices: list[_Part] | None = None
    results: list[_Part] | None = None
    outputs: list[_Part] | None = None
    generations: list[_Part] | None = None
    stop_reason: str | None = None  # Anthropic, Llama
    stopReason: str | None = None  # noqa: N815 -- Nova
    finish_reason: str | None = None  # Cohere
    completionReason: str | None = None  # noqa: N815 -- Titan's streams

    def parts(self) -> list[_Part]:
        """All of its texts."""
        return [part for some in (self.choices, self.results, self.outputs, self.generations) for part in some or ()]

    def reason(self, parts: list[_Part]) -> str | None:
        """Why it ended."""
        of_parts = next((part.reason for part in parts if part.reason), None)
        return self.stop_reason or self.stopReason or self.finish_reason or self.completionReason or of_parts


class _Block(msgspec.Struct, gc=False):
    type: str | None = None


class _InvokeAnswer(_Parts, gc=False):
    id: Any = None
    model: str | None = None
    content: list[_Block] | None = None
    output: ConverseOutput | None = None
    tool_calls: list[Any] | None = None  # Cohere's
    error: Any = None

    def calls(self, parts: list[_Part]) -> int | None:
        """How many tools it asks for; None if nothing in it could."""
        if self.content is not None:
            return sum(block.type in TOOL_BLOCKS for block in self.content)
        if self.output is not None:
            return self.output.tool_calls
        if self.tool_calls is not None:
            return len(self.tool_calls)
        return sum(part.tool_calls for part in parts) if parts else None


class InvokeBodyReader(WholeBodyReader):
    """Reads one answer."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _InvokeAnswer

    def facts_of(self, answer: _InvokeAnswer, **ends: Any) -> ResponseFacts:
        parts = answer.parts()
        reports = UsageReports()
        reports.take("usage", answer.usage)
        reports.take(TOP, _top_counts(answer, parts[0].tokenCount if parts else None))
        return response_facts(
            response_model=cut(answer.model),
            finish_reason=cut(answer.reason(parts)),
            reports=reports,
            tool_call_count=answer.calls(parts),
            response_id=short_text(answer.id),
            **ends,
        )


class _TextEvent(_Parts, gc=False):
    """An event of a maker whose streams are texts, and of Nova's, which are Converse's, each under its name."""

    outputText: Any = None  # noqa: N815 -- Titan
    generation: Any = None  # Llama
    completion: Any = None  # Anthropic's older API
    messageStart: ConverseEvent | None = None  # noqa: N815
    contentBlockStart: ConverseEvent | None = None  # noqa: N815
    contentBlockDelta: ConverseEvent | None = None  # noqa: N815
    messageStop: ConverseEvent | None = None  # noqa: N815
    metadata: ConverseEvent | None = None
    error: Any = None


class _TextStreamReader(ConverseStreamReader):
    """Reads events of Nova, Titan, Llama, Mistral and DeepSeek."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _TextEvent

    def read(self, event: Any) -> int:
        if event.error:
            return self.member_error_seen(event.error)
        seen = 0
        wrapped = (
            event.messageStart, event.contentBlockStart, event.contentBlockDelta, event.messageStop, event.metadata
        )  # fmt: skip
        for each in wrapped:
            if each is not None:
                seen |= super().read(each)
        parts = event.parts()
        calls = 0
        for part in parts:
            calls += part.tool_calls
            content = part.message.get("content") if isinstance(part.message, dict) else None
            if part.text or content or part.tool_calls:
                seen |= SAW_VISIBLE
        if calls:
            self._tool_calls = (self._tool_calls or 0) + calls
        if event.outputText or event.generation or event.completion:
            seen |= SAW_VISIBLE
        reason = event.reason(parts)
        if reason:
            self._finish_reason = cut(reason)
            seen |= self.end_seen()
        return seen


class _Chunk(msgspec.Struct, gc=False):
    bytes: Any = None


class _First(msgspec.Struct, gc=False):
    type: Any = None
    choices: Any = None
    event_type: Any = None
    is_finished: Any = None


def _reader_of(event: bytes) -> EventReader:
    """Who reads a stream that begins like this."""
    first = decode(_First, event) or _First()
    if isinstance(first.type, str):
        return AnthropicStreamReader()
    if first.event_type is not None or first.is_finished is not None:
        return CohereV1StreamReader()
    if isinstance(first.choices, list):  # DeepSeek's and Mistral's have a stop_reason, OpenAI's and AI21's have not
        stops = any(isinstance(each, dict) and "stop_reason" in each for each in first.choices)
        return _TextStreamReader() if stops else OpenAIStreamReader()
    return _TextStreamReader()


class _Begun(msgspec.Struct, gc=False):
    usage: Any = None


class _Reported(_Counted, gc=False):
    """Where events of any maker have counts."""

    message: _Begun | None = None
    metadata: _Begun | None = None
    metrics: Any = msgspec.field(name=METRICS, default=None)


_HINTS: Final = (b"usage", b"oken", b"Metrics")


class InvokeStreamReader(AwsStreamReader):
    """Reads one stream: unpacks the maker's events and hands them to who can read them."""

    __slots__ = ("_maker", "_reports")

    kind: ClassVar[type[msgspec.Struct]] = _Chunk

    def __init__(self) -> None:
        super().__init__()
        self._maker: EventReader | None = None
        self._reports = UsageReports()

    def read(self, event: _Chunk) -> int:
        if event.bytes is None:
            return 0
        try:
            inner = a2b_base64(event.bytes, strict_mode=True)
        except (Error, ValueError, TypeError):
            self.malformed = True
            return 0
        maker = self._maker
        if maker is None:
            maker = self._maker = _reader_of(inner)
        seen = maker._take(SseEvent(inner))
        self.malformed = self.malformed or maker.malformed
        if seen & SAW_ERROR:
            self.error_seen(maker.error)
        if any(hint in inner for hint in _HINTS):
            seen |= self._take_counts(inner)
        if seen & SAW_TERMINAL:
            self.terminal = True
        return seen

    def facts(self, **ends: Any) -> ResponseFacts:
        maker = (self._maker or _TextStreamReader()).facts(**ends)
        metrics = self._reports.merged.get(METRICS, {})
        return response_facts(
            response_model=maker.response_model,
            finish_reason=maker.finish_reason,
            reports=self._reports,
            times=total_time(metrics.get("invocationLatency")),
            tool_call_count=maker.tool_call_count,
            response_id=maker.response_id,
            service_tier=maker.service_tier,
            refused=maker.refused,
            **ends,
        )

    def _take_counts(self, inner: bytes) -> int:
        said = decode(_Reported, inner) or _Reported()
        for where, begun in (("message.usage", said.message), ("usage", said.metadata)):
            if begun is not None:
                self._reports.take(where, begun.usage)
        self._reports.take("usage", said.usage)
        self._reports.take(TOP, _top_counts(said))
        self._reports.take(METRICS, said.metrics)
        return SAW_TERMINAL if isinstance(said.metrics, dict) else 0


BEDROCK_INVOKE: Final = bedrock(
    "bedrock_invoke", "chat", "invoke",
    read_request=InvokeRequest.read, body_reader=InvokeBodyReader, raw=frozenset({BodyFraming.BINARY}),
    counts_in_head=True, tokens=invoke_tokens,
)  # fmt: skip
BEDROCK_INVOKE_STREAM: Final = bedrock(
    "bedrock_invoke_stream", "chat", "invoke-with-response-stream",
    read_request=InvokeStreamRequest.read, readers={AMAZON: InvokeStreamReader}, body_reader=InvokeBodyReader,
    counts_in_head=True, tokens=invoke_tokens,
)  # fmt: skip
DIALECTS: Final = (BEDROCK_INVOKE, BEDROCK_INVOKE_STREAM)
