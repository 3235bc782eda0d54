"""Token counts and times that servers report in header fields of their answers.

Sources: Text Embeddings Inference, ``router/src/lib.rs`` (``x-compute-tokens``; no body of it has a count); Text
Generation Inference, ``router/src/server.rs`` (``x-prompt-tokens``, ``x-generated-tokens``: there without ``details``
too, but not for streams). Both give ``x-total-time`` in milliseconds. Whole answers of Amazon Bedrock's InvokeModel
have ``x-amzn-bedrock-…``, which its API reference does not name; for embeddings of Cohere and texts of Mistral they are
all there is.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from llm_metrics_proxy.wire.base import ResponseFacts
from llm_metrics_proxy.wire.facts import Usage, usage_of
from llm_metrics_proxy.wire.server_times import total_time
from llm_metrics_proxy.wire.usage_reports import Reports, kept_text

WHERE: Final = "head"  # among the reports of an answer
_PROMPT: Final = ("x-prompt-tokens", "x-compute-tokens")
_GENERATED: Final = "x-generated-tokens"
_TIMES: Final = ("x-total-time", "x-amzn-bedrock-invocation-latency")
# Input, what the cache gave and took beside it, output.
BEDROCK: Final = (
    "x-amzn-bedrock-input-token-count", "x-amzn-bedrock-cache-read-input-token-count",
    "x-amzn-bedrock-cache-write-input-token-count", "x-amzn-bedrock-output-token-count",
)  # fmt: skip
FIELDS: Final = (*_PROMPT, _GENERATED, *BEDROCK, *_TIMES)
_NOTHING: Final = Usage()

HeadCounts = Mapping[str, int]  # by lower-case name of the field

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def read_counts(fields: Mapping[str, bytes]) -> HeadCounts | None:
    """The fields that are there and are whole numbers; None without any."""
    texts = {name: fields[name].strip() for name in FIELDS if name in fields}
    return {name: int(text) for name, text in texts.items() if text.isdigit() and len(text) < 16} or None


def with_head(facts: ResponseFacts, counts: HeadCounts) -> ResponseFacts:
    """The facts of an answer, with what its head reported. The body's times stand before those of the head."""
    told = {name: count for name, count in counts.items() if name not in _TIMES}
    reported = facts.usage_reported
    if told:
        reported = kept_text({**({} if reported is None else _decode(reported)), WHERE: told})
    total = next((counts[name] for name in _TIMES if name in counts), None)
    times = {**(total_time(total) or {}), **(facts.further or {})}
    return msgspec.structs.replace(facts, usage_reported=reported, further=times or None)


def head_tokens(reports: Reports, body: Usage = _NOTHING) -> Usage:
    """The counts of a body, and of what it left open those of the head."""
    head = reports.get(WHERE)
    if head is None:
        return body
    prompt = next((head[name] for name in _PROMPT if name in head), None)
    both = usage_of(
        prompt=prompt if body.prompt_tokens is None else body.prompt_tokens,
        completion=head.get(_GENERATED) if body.completion_tokens is None else body.completion_tokens,
        total=body.total_tokens,
    )
    return msgspec.structs.replace(
        body,
        prompt_tokens=both.prompt_tokens,
        completion_tokens=both.completion_tokens,
        total_tokens=both.total_tokens,
        rejected=body.rejected or both.rejected,
    )
