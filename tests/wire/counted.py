"""What a reader found, with the counts in what it says was reported: they meet in the metrics process otherwise."""

from collections.abc import Iterator
from functools import cache

import msgspec

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.ollama import OLLAMA_CHAT, OllamaStreamReader
from llm_metrics_proxy.wire.apis.openai_stream import OPENAI_CHAT
from llm_metrics_proxy.wire.base import ResponseFacts, ResponseReader
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.endpoints import DIALECTS
from llm_metrics_proxy.wire.facts import Usage
from llm_metrics_proxy.wire.token_counts import tokens_from


class Read(ResponseFacts, frozen=True, kw_only=True):
    """Facts of an answer, and its counts."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    usage_source: UsageSource = UsageSource.NONE
    usage_rejected: bool = False
    upstream_cost_usd: float | None = None


def _readers() -> Iterator[tuple[object, Dialect]]:
    for dialect in DIALECTS:
        yield dialect.body_reader, dialect
        yield dialect.stream_reader, dialect
        yield dialect.session_reader, dialect
        yield from ((reader, dialect) for reader in dialect.readers.values())
    yield OllamaStreamReader, OLLAMA_CHAT


@cache
def dialect_of(reader: type) -> Dialect | None:
    """One that is read by it; dialects with the same reader count alike. None: a reader of a test's own."""
    known = dict(_readers())
    return next((known[kind] for kind in reader.__mro__ if kind in known), None)


def counted(reader: ResponseReader) -> Read:
    """The facts at the end. A reader of a test's own counts like one of chat."""
    return with_counts(reader.finish(), dialect_of(type(reader)) or OPENAI_CHAT)


def with_counts(facts: ResponseFacts, dialect: Dialect) -> Read:
    """Facts with the counts in place of the report."""
    if isinstance(facts, Read):
        return facts
    usage = Usage()
    if facts.usage_reported is not None:
        found = tokens_from(facts.usage_reported, dialect.name)
        assert found is not None
        usage = found
    return Read(
        **msgspec.structs.asdict(facts) | {"usage_reported": None},
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        usage_source=UsageSource.NONE if usage.is_empty else UsageSource.REPORTED,
        usage_rejected=usage.rejected,
        upstream_cost_usd=usage.cost_usd,
    )
