"""What dialects share when they make facts of what a server sent: counts, usage, texts and small numbers.

Source: OpenAI's API reference, "Usage" objects. Servers differ, so every value is checked before it is believed: a
count is an integer from 0 to ``MAX_TOKENS``, anything else is refused and flagged (``rejected``), never corrected.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.base import MAX_TEXT_CHARS, MAX_TOKENS, ResponseFacts
from llm_metrics_proxy.wire.server_times import ServerTimes, timings_usage

MAX_COST_USD: Final = 1e6  # of one request: more is nonsense
ENDS_OF_TEXT: Final = frozenset({"stop", "length", "completed", "max_output_tokens"})  # chat's, and Responses'


class Usage(msgspec.Struct, frozen=True, gc=False):
    """One usage report. ``rejected``: some count in it was nonsense and is None for that reason."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    rejected: bool = False
    cache_write_tokens: int | None = None
    cost_usd: float | None = None

    @property
    def is_empty(self) -> bool:
        """It has no count that can be believed."""
        return self.prompt_tokens is None and self.completion_tokens is None and self.total_tokens is None


REFUSED: Final = -1  # a count that was given and cannot be one
_NO_USAGE: Final = Usage()


def token_count(value: object) -> int | None:
    """``value`` as a token count; ``REFUSED`` if it cannot be one. In JSON 12.0 is 12, so a whole float is a count."""
    if type(value) is int:  # bool is an int to isinstance
        return value if 0 <= value <= MAX_TOKENS else REFUSED
    if value is None:
        return None
    return token_count(int(value)) if isinstance(value, float) and value.is_integer() else REFUSED


_PlainCount = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]
_PlainCost = Annotated[float, msgspec.Meta(ge=0, le=MAX_COST_USD)]


class _PlainDetails(msgspec.Struct, gc=False):
    cached_tokens: _PlainCount | None = None
    reasoning_tokens: _PlainCount | None = None
    cache_write_tokens: _PlainCount | None = None


class PlainUsage(msgspec.Struct, gc=False):
    """A ``usage`` object in which every count is what it should be: the decoder checks that, in C.

    Any other fails to decode; it is read again by ``read_usage``, which says what is wrong with it.
    """

    prompt_tokens: _PlainCount | None = None
    completion_tokens: _PlainCount | None = None
    total_tokens: _PlainCount | None = None
    prompt_tokens_details: _PlainDetails | None = None
    completion_tokens_details: _PlainDetails | None = None
    prompt_cache_hit_tokens: _PlainCount | None = None
    cache_creation_input_tokens: _PlainCount | None = None
    cost: _PlainCost | None = None


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
        value.prompt_cache_hit_tokens
        if prompt_details is None or prompt_details.cached_tokens is None
        else prompt_details.cached_tokens,
        None if completion_details is None else completion_details.reasoning_tokens,
        False,
        value.cache_creation_input_tokens
        if prompt_details is None or prompt_details.cache_write_tokens is None
        else prompt_details.cache_write_tokens,
        value.cost,
    )


def read_usage(value: dict[str, Any]) -> Usage:
    """The counts of a ``usage`` object.

    What OpenAI keeps in ``prompt_tokens_details``, DeepSeek (``prompt_cache_hit_tokens``) and LiteLLM
    (``cache_creation_input_tokens``) put next to it; OpenRouter adds its ``cost`` in US dollars.
    """
    prompt = details(value, "prompt_tokens_details")
    cached, written = prompt.get("cached_tokens"), prompt.get("cache_write_tokens")
    return usage_of(
        prompt=value.get("prompt_tokens"),
        completion=value.get("completion_tokens"),
        total=value.get("total_tokens"),
        cached=value.get("prompt_cache_hit_tokens") if cached is None else cached,
        reasoning=details(value, "completion_tokens_details").get("reasoning_tokens"),
        cache_write=value.get("cache_creation_input_tokens") if written is None else written,
        cost=value.get("cost"),
    )


def usage_of(
    *,
    prompt: object = None,
    completion: object = None,
    total: object = None,
    cached: object = None,
    reasoning: object = None,
    cache_write: object = None,
    cost: object = None,
) -> Usage:
    """A report from values as a server gave them. A total that was not given is the sum, if both parts are known."""
    counts = [token_count(value) for value in (prompt, completion, total, cached, reasoning, cache_write)]
    asked, answered, both, reused, thought, written = (None if count == REFUSED else count for count in counts)
    if total is None and asked is not None and answered is not None:
        both = asked + answered
    return Usage(asked, answered, both, reused, thought, REFUSED in counts, written, _cost(cost))


def answer_usage(usage: object, timings: object = None) -> Usage | None:
    """The report of an answer, from its ``usage``; what that leaves open, from llama.cpp's ``timings``."""
    if isinstance(usage, dict):
        found = read_usage(usage)
        if timings is not None and found.cached_tokens is None and isinstance(timings, dict):
            cached = token_count(timings.get("cache_n"))
            if cached is not None and cached != REFUSED:
                return msgspec.structs.replace(found, cached_tokens=cached)
        return found
    measured = None if timings is None else timings_usage(timings)
    return None if measured is None else read_usage(measured)


def input_output_usage(value: object) -> Usage | None:
    """The report of Responses and Realtime, which have other names for prompt and completion than chat."""
    if not isinstance(value, dict):
        return None
    return usage_of(
        prompt=value.get("input_tokens"),
        completion=value.get("output_tokens"),
        total=value.get("total_tokens"),
        cached=(details(value, "input_tokens_details") or details(value, "input_token_details")).get("cached_tokens"),
        reasoning=(details(value, "output_tokens_details") or details(value, "output_token_details")).get(
            "reasoning_tokens"
        ),
        cost=value.get("cost"),
    )


def details(value: dict[str, Any], name: str) -> dict[str, Any]:
    """The object that ``value`` has under ``name``; an empty one if it has none."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _cost(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_COST_USD:
        return float(value)
    return None


def response_facts(
    *,
    usage: Usage | None = None,
    times: ServerTimes = None,
    further: Mapping[str, Any] | None = None,
    finish_reason: str | None = None,
    refused: bool = False,
    **others: Any,
) -> ResponseFacts:
    """The facts of an answer; ``usage`` is None when it gave no report; ``refused``: a refusal's text was seen.

    OpenAI ends a refusal with ``stop`` (Responses: ``completed``), as any text. A finish reason that says something
    else, such as a filter, says more.
    """
    counts = usage or _NO_USAGE
    return ResponseFacts(
        finish_reason=finish_reason,
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
        total_tokens=counts.total_tokens,
        cached_tokens=counts.cached_tokens,
        reasoning_tokens=counts.reasoning_tokens,
        usage_source=UsageSource.NONE if counts.is_empty else UsageSource.REPORTED,
        usage_rejected=counts.rejected,
        cache_write_tokens=counts.cache_write_tokens,
        upstream_cost_usd=counts.cost_usd,
        further=times if further is None else further,
        refused=refused and finish_reason in ENDS_OF_TEXT,
        **others,
    )


def cut(text: object) -> str | None:
    """A text to be stored: at most ``MAX_TEXT_CHARS`` characters; None if empty or not a text."""
    return text[:MAX_TEXT_CHARS] if isinstance(text, str) and text else None


def short_text(value: object) -> str | None:
    """An id or a tier; some servers number their answers."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64:
        return str(value)
    return cut(value)


def small_int(value: int | None) -> int | None:
    """A request's integer, negative ones included (llama.cpp: -1 means no limit); None if no column could hold it."""
    return value if value is not None and abs(value) <= MAX_TOKENS else None


def finite(value: float | None) -> float | None:
    """A request's number; None if it is not finite."""
    return value if value is not None and math.isfinite(value) else None
