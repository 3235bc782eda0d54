"""Anthropic's Message Batches: many messages in one request, whose answers are fetched later.

Source: Anthropic's API reference, "Message Batches". The results are JSON lines, ``{"custom_id", "result": {"type",
"message"}}``; only results of type ``succeeded`` hold a message. Their usage is summed. ``response_id`` is the batch's
id, in the record of the request that made it and in those of requests for its results.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.anthropic import ANTHROPIC_MESSAGES, anthropic_tokens
from llm_metrics_proxy.wire.base import RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.dialects import FETCH
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, response_facts, short_text
from llm_metrics_proxy.wire.ndjson import NdjsonReader
from llm_metrics_proxy.wire.requests import ModelRequest
from llm_metrics_proxy.wire.tolerant import MISSING, decode, read_items
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports, summed
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_WHERE: Final = "usage"  # of the message in each result
_COUNTED: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens",
                   "cache_creation", "output_tokens_details")  # fmt: skip


class _Params(msgspec.Struct):
    model: str | None = None


class _Request(msgspec.Struct):
    params: _Params | None = None


class BatchRequest(ModelRequest):
    """The model is that of the first message; each names its own."""

    requests: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        items = read_items(self.requests)
        first = decode(_Request, items[0]) if items else None
        model = None if first is None or first.params is None else cut(first.params.model)
        return RequestFacts(model=model, message_count=None if items is None else len(items))


class _Batch(msgspec.Struct, gc=False):
    id: Any = None
    error: Any = None


class AnthropicBatchReader(WholeBodyReader):
    """Reads the batch as the server took it."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _Batch

    def facts_of(self, answer: _Batch, **ends: Any) -> ResponseFacts:
        return response_facts(response_id=short_text(answer.id), **ends)


class _Message(msgspec.Struct, gc=False):
    model: str | None = None
    usage: Any = None


class _BatchResult(msgspec.Struct, gc=False):
    type: str | None = None
    message: _Message | None = None


class _Line(msgspec.Struct, gc=False):
    result: _BatchResult | None = None


def batch_tokens(reports: Reports) -> Usage:
    """As of one message, of the sums."""
    return anthropic_tokens({_WHERE: summed(reports, _WHERE)})


class BatchResultsReader(EventReader):
    """Reads the lines. They are no stream of tokens: all was generated before the first came."""

    __slots__ = ("_model", "_reports")

    kind: ClassVar[type[msgspec.Struct]] = _Line
    frame = NdjsonReader

    def __init__(self) -> None:
        super().__init__()
        self._model: str | None = None
        self._reports = UsageReports()

    def read(self, event: _Line) -> int:
        message = None if event.result is None else event.result.message
        if message is None:
            return 0
        self._model = self._model or cut(message.model)
        usage = message.usage
        if isinstance(usage, dict):
            listed = usage.get("iterations")
            more = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
            for part in (usage, *(each for each in more if each.get("type") == "compaction")):  # in no other count
                self._reports.add(_WHERE, {name: part[name] for name in _COUNTED if part.get(name) is not None} or None)
        return 0

    def facts(self, **ends: Any) -> ResponseFacts:
        return response_facts(
            response_model=self._model,
            reports=self._reports,
            service_tier="batch",
            **{**ends, "content_chunks": None, "terminal": True},
        )


ANTHROPIC_BATCH: Final = msgspec.structs.replace(
    ANTHROPIC_MESSAGES,
    name="anthropic_batch",
    operation="batch",
    paths=("messages/batches",),
    read_request=BatchRequest.read,
    stream_reader=None,
    body_reader=AnthropicBatchReader,
    signs=(),
    never_empty=False,
)
ANTHROPIC_BATCH_FETCH: Final = msgspec.structs.replace(
    ANTHROPIC_BATCH,
    name="anthropic_batch_fetch",  # so named, it is counted once however often it is fetched
    operation=FETCH,
    paths=("messages/batches/{id}/results",),
    method="GET",
    read_request=ModelRequest.read,
    stream_reader=BatchResultsReader,
    body_reader=BatchResultsReader,  # of a single line
    tokens=batch_tokens,
)
DIALECTS: Final = (ANTHROPIC_BATCH, ANTHROPIC_BATCH_FETCH)
