"""Amazon Bedrock's Converse: one API for the models of all makers, and its stream.

Source: Amazon Bedrock's API reference (Converse, ConverseStream, CountTokens) and botocore's model of the service,
2023-09-30. The path names the model, and whether the answer is streamed. Events have no type in their payload; their
members say what they are. ``inputTokens`` leaves out what was read from or written to a cache (user guide, "Prompt
caching"); the whole input is the sum of the three, and ``totalTokens`` holds all of it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.aws_events import AwsEvent, AwsEventReader
from llm_metrics_proxy.wire.base import SAW_TOKEN, SAW_VISIBLE, ErrorFacts, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.dialects import Dialect, Family
from llm_metrics_proxy.wire.error_body import read_error_event
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import REFUSED, Usage, cut, details, response_facts, token_count, usage_of
from llm_metrics_proxy.wire.framing import AMAZON
from llm_metrics_proxy.wire.requests import ModelRequest
from llm_metrics_proxy.wire.server_times import total_time
from llm_metrics_proxy.wire.sse import SseEvent
from llm_metrics_proxy.wire.tolerant import MISSING, count_items
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_CONVERSE: Final = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "outputTokens")


def usage_beside_cache(report: Mapping[str, Any], names: tuple[str, str, str, str], total: object = None) -> Usage:
    """Counts of a report whose input leaves the cache out. ``names``: input, cache read, cache written, output."""
    parts = [token_count(report.get(name)) for name in names[:3]]
    prompt = None
    if parts[0] is not None:
        prompt = REFUSED if REFUSED in parts else sum(count or 0 for count in parts)
    listed = report.get("cacheDetails")
    some = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    written = {str(each.get("ttl")): each.get("inputTokens") for each in some}
    return usage_of(
        prompt=prompt, completion=report.get(names[3]), total=total, cached=parts[1], cache_write=parts[2],
        cache_write_5m=written.get("5m"), cache_write_1h=written.get("1h"),
    )  # fmt: skip


def converse_tokens(reports: Reports) -> Usage:
    """The token counts of Converse."""
    usage = reports.get("usage", {})
    return usage_beside_cache(usage, _CONVERSE, usage.get("totalTokens"))


class _ConverseConfig(msgspec.Struct):
    maxTokens: int | None = None  # noqa: N815 -- as it is written
    temperature: float | None = None
    topP: float | None = None  # noqa: N815


class _ToolConfig(msgspec.Struct):
    tools: msgspec.Raw = MISSING


class ConverseRequest(ModelRequest):
    """``/model/{id}/converse``."""

    streams: ClassVar[bool] = False
    inferenceConfig: _ConverseConfig | None = None  # noqa: N815
    toolConfig: _ToolConfig | None = None  # noqa: N815
    messages: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        config = self.inferenceConfig or _ConverseConfig()
        return self._facts(
            is_streaming=self.streams,
            max_tokens=config.maxTokens,
            temperature=config.temperature,
            top_p=config.topP,
            message_count=count_items(self.messages),
            tool_count=None if self.toolConfig is None else count_items(self.toolConfig.tools),
        )


class ConverseStreamRequest(ConverseRequest):
    """``/model/{id}/converse-stream``."""

    streams: ClassVar[bool] = True


class _ConverseBlock(msgspec.Struct, gc=False):
    """One block of an answer. ``Any``: only whether it is there matters."""

    toolUse: Any = None  # noqa: N815


class _ConverseMessage(msgspec.Struct, gc=False):
    content: list[_ConverseBlock] | None = None


class ConverseOutput(msgspec.Struct, gc=False):
    message: _ConverseMessage | None = None

    @property
    def tool_calls(self) -> int | None:
        """How many tools it asks for."""
        blocks = None if self.message is None else self.message.content
        return None if blocks is None else sum(block.toolUse is not None for block in blocks)


class _Metered(msgspec.Struct, gc=False):
    """What a whole answer and the last event of a stream both have."""

    usage: Any = None
    metrics: Any = None
    trace: Any = None
    serviceTier: Any = None  # noqa: N815


class _ConverseAnswer(_Metered, gc=False):
    output: ConverseOutput | None = None
    stopReason: str | None = None  # noqa: N815
    error: Any = None


class _Met:
    """What the answers say of themselves, gathered for both readers."""

    __slots__ = ("latency_ms", "model", "reports", "tier")

    def __init__(self) -> None:
        self.reports = UsageReports()
        self.latency_ms: object = None
        self.model: str | None = None  # that a prompt router chose
        self.tier: str | None = None

    def take(self, said: _Metered) -> None:
        self.reports.take("usage", said.usage)
        if isinstance(said.metrics, dict):
            self.latency_ms = said.metrics.get("latencyMs")
        if isinstance(said.trace, dict):
            self.model = cut(details(said.trace, "promptRouter").get("invokedModelId"))
        if isinstance(said.serviceTier, dict):
            self.tier = cut(said.serviceTier.get("type"))

    def facts(self, **others: Any) -> ResponseFacts:
        return response_facts(
            response_model=self.model,
            reports=self.reports,
            times=total_time(self.latency_ms),
            service_tier=self.tier,
            **others,
        )


class ConverseBodyReader(WholeBodyReader):
    """Reads one answer."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _ConverseAnswer

    def facts_of(self, answer: _ConverseAnswer, **ends: Any) -> ResponseFacts:
        met = _Met()
        met.take(answer)
        return met.facts(
            finish_reason=cut(answer.stopReason),
            tool_call_count=None if answer.output is None else answer.output.tool_calls,
            **ends,
        )


class _Reasoning(msgspec.Struct, gc=False):
    text: Any = None
    redactedContent: Any = None  # noqa: N815


class _ConverseDelta(msgspec.Struct, gc=False):
    text: Any = None
    toolUse: Any = None  # noqa: N815
    reasoningContent: _Reasoning | None = None  # noqa: N815
    image: Any = None


class ConverseEvent(_Metered, gc=False):
    """Any event: a member that is there says which one."""

    role: Any = None  # messageStart
    start: Any = None  # contentBlockStart
    delta: _ConverseDelta | None = None  # contentBlockDelta
    stopReason: str | None = None  # noqa: N815 -- messageStop


class AwsStreamReader(EventReader):
    """Reads one stream of AWS. Errors in it are messages of a type of their own."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = ConverseEvent
    frame = AwsEventReader

    def finish(self) -> ResponseFacts:
        """The facts. After a wrong checksum nothing more was read."""
        if isinstance(self._framer, AwsEventReader) and self._framer.spoilt:
            self.malformed = True
        return super().finish()

    def _take(self, event: SseEvent) -> int:
        if not isinstance(event, AwsEvent) or not event.failure:
            return super()._take(event)
        words = read_error_event(event.data)
        return self.error_seen(
            ErrorFacts(code=words.code, type=cut(event.failure.decode("utf-8", "replace")), message=words.message)
        )


class ConverseStreamReader(AwsStreamReader):
    """Reads one stream: the stop reason comes in the event before the last, the usage in the last."""

    __slots__ = ("_finish_reason", "_met", "_tool_calls")

    def __init__(self) -> None:
        super().__init__()
        self._met = _Met()
        self._finish_reason: str | None = None
        self._tool_calls: int | None = None  # once the message has begun

    def read(self, event: ConverseEvent) -> int:
        if event.delta is not None:
            return _news(event.delta)
        if event.role:
            self._tool_calls = self._tool_calls or 0
        if isinstance(event.start, dict):
            if not event.start.get("toolUse"):
                return 0
            self._tool_calls = (self._tool_calls or 0) + 1
            return SAW_VISIBLE  # the tool's name is the first that is generated of a call
        if event.usage is not None or event.metrics is not None:
            self._met.take(event)
        if not event.stopReason:
            return 0
        self._finish_reason = cut(event.stopReason)
        return self.end_seen()

    def facts(self, **ends: Any) -> ResponseFacts:
        return self._met.facts(finish_reason=self._finish_reason, tool_call_count=self._tool_calls, **ends)


def _news(delta: _ConverseDelta) -> int:
    """Citations, signatures, and what a server's own tool found, are not generated."""
    if delta.text or delta.image:
        return SAW_VISIBLE
    if isinstance(delta.toolUse, dict):
        return SAW_VISIBLE if delta.toolUse.get("input") else 0
    thought = delta.reasoningContent
    return SAW_TOKEN if thought is not None and (thought.text or thought.redactedContent) else 0


def bedrock(name: str, operation: str, path: str, **more: Any) -> Dialect:
    """A row below ``/model/{id}/``. The id may be an ARN, with slashes in it once they are decoded."""
    return Dialect(
        name=name,
        operation=operation,
        paths=(f"/model/**/{path}",),
        family=Family.BEDROCK,
        provider="aws.bedrock",
        **more,
    )


BEDROCK_CONVERSE: Final = bedrock(
    "bedrock_converse", "chat", "converse",
    read_request=ConverseRequest.read, body_reader=ConverseBodyReader, signs=("output",), tokens=converse_tokens,
)  # fmt: skip
BEDROCK_CONVERSE_STREAM: Final = bedrock(
    "bedrock_converse_stream", "chat", "converse-stream",
    read_request=ConverseStreamRequest.read, readers={AMAZON: ConverseStreamReader}, body_reader=ConverseBodyReader,
    signs=("output",), tokens=converse_tokens,
)  # fmt: skip
BEDROCK_COUNT_TOKENS: Final = bedrock(
    "bedrock_count_tokens", "count_tokens", "count-tokens",
    read_request=ConverseRequest.read,  # no reader: it counts a prompt that is not run, and no tokens were used
)  # fmt: skip
DIALECTS: Final = (BEDROCK_CONVERSE, BEDROCK_CONVERSE_STREAM, BEDROCK_COUNT_TOKENS)
