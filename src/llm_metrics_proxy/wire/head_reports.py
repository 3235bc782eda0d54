"""What AWS says in the head of an answer, and not in its body: counts of tokens, its id, the type of an error.

Source: botocore's parsers (``x-amzn-errortype``, ``x-amzn-requestid``). Bedrock's API reference does not name its
counts, but whole answers of InvokeModel have them, and for some models (embeddings of Cohere, texts of Mistral)
they are all there is.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from llm_metrics_proxy.wire.facts import cut

_ERROR_TYPE: Final = "x-amzn-errortype"
_ID: Final = "x-amzn-requestid"
_LATENCY: Final = "x-amzn-bedrock-invocation-latency"
# Lower-case name of a header field -> the name of the same count in the last chunk of Bedrock's streams.
_COUNTS: Final = {
    "x-amzn-bedrock-input-token-count": "inputTokenCount",
    "x-amzn-bedrock-output-token-count": "outputTokenCount",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokenCount",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokenCount",
}
FIELDS: Final = (_ERROR_TYPE, _ID, _LATENCY, *_COUNTS)

_MAX_DIGITS: Final = 16


WHERE: Final = "head"  # the counts stood, as reports have it


class HeadReport(NamedTuple):
    """What a head said."""

    counts: dict[str, int]
    response_id: str | None
    latency_ms: int | None


class HeadReader(Protocol):
    """A reader to whom the head has something to say."""

    def take_head(self, head: HeadReport) -> None:
        """What it said, before any of the body."""


def head_report(fields: Mapping[str, bytes]) -> HeadReport:
    """From header fields by their lower-case names; what is no number is left out."""
    counts = {member: _number(fields.get(name)) for name, member in _COUNTS.items()}
    known = {member: count for member, count in counts.items() if count is not None}
    return HeadReport(known, cut(fields.get(_ID, b"").decode("latin-1")), _number(fields.get(_LATENCY)))


def named_error(fields: Mapping[str, bytes]) -> str | None:
    """The type of an error: ``ValidationException:http://…`` is a ValidationException."""
    value = fields.get(_ERROR_TYPE)
    return None if value is None else error_name(value.decode("latin-1"))


def error_name(text: str) -> str | None:
    """An error's name as AWS writes it: a namespace may stand before it (``#``), an address behind it (``:``)."""
    return cut(text.partition(":")[0].rpartition("#")[2].strip())


def _number(value: bytes | None) -> int | None:
    return int(value) if value is not None and value.isdigit() and len(value) <= _MAX_DIGITS else None
