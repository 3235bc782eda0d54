"""What chat completions, completions and embeddings share: counts, usage, texts and the request's small numbers.

Source: OpenAI's API reference, "Usage" objects. Servers differ, so every value is looked at before it is believed: a
count is an integer from 0 to ``MAX_TOKENS``, anything else is refused and told (``rejected``), never corrected.
"""

import math
from typing import Annotated, Any, Final

import msgspec

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.base import MAX_TEXT_CHARS, MAX_TOKENS, ErrorFacts, ResponseFacts


class Usage(msgspec.Struct, frozen=True, gc=False):
    """One usage report. ``rejected``: some count in it was nonsense and is None for that reason."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    rejected: bool = False

    @property
    def is_empty(self) -> bool:
        """It tells nothing: no count was there, or none was believable."""
        return self.prompt_tokens is None and self.completion_tokens is None and self.total_tokens is None


class _Refused:
    """Type of the mark for a count that was given and cannot be one."""


_REFUSED: Final = _Refused()
_NO_USAGE: Final = Usage()


def _count(value: object) -> int | _Refused | None:
    """``value`` as a token count. JSON does not tell 12 from 12.0, so a whole float is a count."""
    if type(value) is int:  # bool is an int to isinstance
        return value if 0 <= value <= MAX_TOKENS else _REFUSED
    if value is None:
        return None
    return _count(int(value)) if isinstance(value, float) and value.is_integer() else _REFUSED


_PlainCount = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]


class _PlainDetails(msgspec.Struct, gc=False):
    cached_tokens: _PlainCount | None = None
    reasoning_tokens: _PlainCount | None = None


class PlainUsage(msgspec.Struct, gc=False):
    """A ``usage`` object in which every count is what it should be: the decoder checks that, in C.

    Any other fails to decode; it is read again by ``read_usage``, which says what is wrong with it.
    """

    prompt_tokens: _PlainCount | None = None
    completion_tokens: _PlainCount | None = None
    total_tokens: _PlainCount | None = None
    prompt_tokens_details: _PlainDetails | None = None
    completion_tokens_details: _PlainDetails | None = None


def plain_usage(value: PlainUsage) -> Usage:
    """The same as ``read_usage`` of the same object, at a third of its cost."""
    prompt, completion, total = value.prompt_tokens, value.completion_tokens, value.total_tokens
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    prompt_details, completion_details = value.prompt_tokens_details, value.completion_tokens_details
    return Usage(
        prompt,
        completion,
        total,
        None if prompt_details is None else prompt_details.cached_tokens,
        None if completion_details is None else completion_details.reasoning_tokens,
    )


def read_usage(value: dict[str, Any]) -> Usage:
    """The counts of a ``usage`` object."""
    prompt_details = value.get("prompt_tokens_details")
    completion_details = value.get("completion_tokens_details")
    counts = [
        _count(value.get("prompt_tokens")),
        _count(value.get("completion_tokens")),
        _count(value.get("total_tokens")),
        _count(prompt_details.get("cached_tokens")) if isinstance(prompt_details, dict) else None,
        _count(completion_details.get("reasoning_tokens")) if isinstance(completion_details, dict) else None,
    ]
    believed = [None if isinstance(count, _Refused) else count for count in counts]
    prompt, completion, total, cached, reasoning = believed
    if counts[2] is None and prompt is not None and completion is not None:
        total = prompt + completion
    return Usage(prompt, completion, total, cached, reasoning, _REFUSED in counts)


def response_facts(
    *,
    model: str | None,
    finish_reason: str | None,
    usage: Usage | None,
    terminal: bool,
    malformed: bool,
    error: ErrorFacts | None,
    content_chunks: int | None = None,
) -> ResponseFacts:
    """The facts of an answer; ``usage`` is None when it gave no report."""
    counts = usage or _NO_USAGE
    return ResponseFacts(
        model=model,
        finish_reason=finish_reason,
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
        total_tokens=counts.total_tokens,
        cached_tokens=counts.cached_tokens,
        reasoning_tokens=counts.reasoning_tokens,
        usage_source=UsageSource.NONE if counts.is_empty else UsageSource.REPORTED,
        usage_rejected=counts.rejected,
        content_chunks=content_chunks,
        terminal=terminal,
        malformed=malformed,
        error=error,
    )


def cut(text: object) -> str | None:
    """A text to be stored: at most ``MAX_TEXT_CHARS`` characters; None if empty or not a text."""
    return text[:MAX_TEXT_CHARS] if isinstance(text, str) and text else None


def small_int(value: int | None) -> int | None:
    """A request's integer, negative ones included (llama.cpp: -1 is no limit); None if no column could hold it."""
    return value if value is not None and abs(value) <= MAX_TOKENS else None


def finite(value: float | None) -> float | None:
    """A request's number; None if it is not finite."""
    return value if value is not None and math.isfinite(value) else None
