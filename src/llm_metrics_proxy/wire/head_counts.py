"""Token counts and times that servers report in header fields of their answers.

Sources: Text Embeddings Inference, ``router/src/lib.rs`` (``x-compute-tokens``; no body of it has a count); Text
Generation Inference, ``router/src/server.rs`` (``x-prompt-tokens``, ``x-generated-tokens``: there without ``details``
too, but not for streams). Both give ``x-total-time`` in milliseconds.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.base import ResponseFacts
from llm_metrics_proxy.wire.facts import usage_of
from llm_metrics_proxy.wire.server_times import ServerTimes, head_times

_PROMPT: Final = ("x-prompt-tokens", "x-compute-tokens")
_GENERATED: Final = "x-generated-tokens"
_TIME: Final = "x-total-time"
FIELDS: Final = (*_PROMPT, _GENERATED, _TIME)
WHERE: Final = "head"

HeadCounts = Mapping[str, int]  # by lower-case name of the field


def read_counts(fields: Mapping[str, bytes]) -> HeadCounts | None:
    """The fields that are there and are whole numbers; None without any."""
    texts = {name: fields[name].strip() for name in FIELDS if name in fields}
    return {name: int(text) for name, text in texts.items() if text.isdigit() and len(text) < 16} or None


def with_head(facts: ResponseFacts, counts: HeadCounts) -> ResponseFacts:
    """The facts of an answer, and of what its body left open those of its head."""
    prompt = next((counts[name] for name in _PROMPT if name in counts), None)
    told = usage_of(prompt=prompt, completion=counts.get(_GENERATED))
    known = usage_of(
        prompt=told.prompt_tokens if facts.prompt_tokens is None else facts.prompt_tokens,
        completion=told.completion_tokens if facts.completion_tokens is None else facts.completion_tokens,
        total=facts.total_tokens,
    )
    times: ServerTimes = {**(head_times(counts.get(_TIME)) or {}), **(facts.further or {})}
    return msgspec.structs.replace(
        facts,
        prompt_tokens=known.prompt_tokens,
        completion_tokens=known.completion_tokens,
        total_tokens=known.total_tokens,
        usage_source=facts.usage_source if known.is_empty else UsageSource.REPORTED,
        further=times or None,
    )
