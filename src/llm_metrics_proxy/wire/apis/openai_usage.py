"""Token counts of OpenAI chat, completions and embeddings, from what servers of that shape report.

Sources: OpenAI's API reference, "Usage" objects; the references of the servers named below. All are read by one
function, since one server copies another's members; a member of OpenAI's own comes first.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from llm_metrics_proxy.wire.base import MAX_TOKENS
from llm_metrics_proxy.wire.facts import MAX_COST_USD, REFUSED, Usage, details, token_count, usage_of, with_reasoning
from llm_metrics_proxy.wire.server_times import timings_usage
from llm_metrics_proxy.wire.usage_reports import Reports

# Where a usage object may stand; where there are several, the first says what it knows, and the next the rest.
_PLACES: Final = ("usage", "choices[0].usage", "x_groq.usage")
_USD_PER_TICK: Final = 1e-10  # xAI
_TIMINGS_COUNTS: Final = ("prompt_n", "cache_n", "predicted_n")


def counts_in_timings(timings: object) -> dict[str, Any] | None:
    """What llama.cpp's ``timings`` say of tokens, in its own names; the times are other facts."""
    if not isinstance(timings, dict):
        return None
    return {name: timings[name] for name in _TIMINGS_COUNTS if name in timings} or None


def usage_of_groq(x_groq: object) -> object:
    """The report in Groq's own member."""
    return x_groq.get("usage") if isinstance(x_groq, dict) else None


def openai_tokens(reports: Reports) -> Usage:
    """The counts of an answer: from its usage objects; what those leave open, from llama.cpp's ``timings``."""
    found = [report for place in _PLACES if (report := reports.get(place))]
    timings = reports.get("timings")
    if found:
        usage = read_usage(found[0] if len(found) == 1 else _together(found))
        if timings is not None and usage.cached_tokens is None:
            cached = token_count(timings.get("cache_n"))
            if cached is not None and cached != REFUSED:
                return msgspec.structs.replace(usage, cached_tokens=cached)
        return usage
    measured = timings_usage(timings)
    return Usage() if measured is None else read_usage(measured)


_PlainCount = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]
_PlainCost = Annotated[float, msgspec.Meta(ge=0, le=MAX_COST_USD)]


class _PlainPrompt(msgspec.Struct, gc=False):
    cached_tokens: _PlainCount | None = None
    cache_write_tokens: _PlainCount | None = None
    cache_creation_tokens: None = None
    cache_creation_input_tokens: None = None
    cache_creation_token_details: None = None


class _PlainCompletion(msgspec.Struct, gc=False):
    reasoning_tokens: _PlainCount | None = None


class PlainUsage(msgspec.Struct, gc=False):
    """A ``usage`` object as nearly all are: the decoder checks every count, in C, and that nothing stands where few
    servers have it. Any other fails to decode, and ``read_usage`` reads it."""

    prompt_tokens: _PlainCount | None = None
    completion_tokens: _PlainCount | None = None
    total_tokens: _PlainCount | None = None
    prompt_tokens_details: _PlainPrompt | None = None
    completion_tokens_details: _PlainCompletion | None = None
    prompt_cache_hit_tokens: _PlainCount | None = None
    cache_creation_input_tokens: _PlainCount | None = None
    cost: _PlainCost | None = None
    cached_tokens: None = None
    num_cached_tokens: None = None
    cache_read_input_tokens: None = None
    reasoning_tokens: None = None
    cost_in_usd_ticks: None = None
    input_tokens: None = None
    output_tokens: None = None
    input_tokens_details: None = None
    output_tokens_details: None = None


class _PlainReports(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    usage: PlainUsage


_decode_plain: Final = msgspec.json.Decoder(_PlainReports).decode
_NOTHING_GIVEN: Final = _PlainPrompt()
_NOTHING_MADE: Final = _PlainCompletion()


def plain_tokens(usage_reported: str) -> Usage | None:
    """What ``openai_tokens`` makes of a report that is plain, at a fifth of its cost; None: it is not."""
    try:
        usage = _decode_plain(usage_reported).usage
    except (msgspec.DecodeError, ValueError):
        return None
    prompt, completion, total = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
    if prompt is not None and completion is not None:
        if total is None:
            total = prompt + completion
        elif total != prompt + completion:
            return None
    given = usage.prompt_tokens_details or _NOTHING_GIVEN
    cached, written = given.cached_tokens, given.cache_write_tokens
    return Usage(
        prompt,
        completion,
        total,
        usage.prompt_cache_hit_tokens if cached is None else cached,
        (usage.completion_tokens_details or _NOTHING_MADE).reasoning_tokens,
        False,
        usage.cache_creation_input_tokens if written is None else written,
        usage.cost,
    )


def read_usage(value: Mapping[str, Any]) -> Usage:
    """The counts of a ``usage`` object."""
    # Gateways that turn one API into another leave the names of Responses.
    prompt = details(value, "prompt_tokens_details") or details(value, "input_tokens_details")
    completion = details(value, "completion_tokens_details") or details(value, "output_tokens_details")
    lifetimes = details(prompt, "cache_creation_token_details")  # LiteLLM
    return with_reasoning(
        usage_of(
            prompt=first_given(value.get("prompt_tokens"), value.get("input_tokens")),
            completion=first_given(value.get("completion_tokens"), value.get("output_tokens")),
            total=value.get("total_tokens"),
            cached=first_given(
                prompt.get("cached_tokens"),
                value.get("prompt_cache_hit_tokens"),  # DeepSeek
                value.get("cached_tokens"),  # Kimi, Together
                value.get("num_cached_tokens"),  # Mistral
                value.get("cache_read_input_tokens"),  # LiteLLM
            ),
            reasoning=first_given(
                completion.get("reasoning_tokens"),
                value.get("reasoning_tokens"),  # SGLang, Perplexity
            ),
            cache_write=first_given(
                prompt.get("cache_write_tokens"),
                prompt.get("cache_creation_tokens"),  # LiteLLM
                prompt.get("cache_creation_input_tokens"),  # Qwen
                value.get("cache_creation_input_tokens"),  # LiteLLM
            ),
            cache_write_5m=lifetimes.get("ephemeral_5m_input_tokens"),
            cache_write_1h=lifetimes.get("ephemeral_1h_input_tokens"),
            cost=reported_cost(value),
        )
    )


def first_given(*values: object) -> object:
    """The first value that is one."""
    return next((value for value in values if value is not None), None)


def reported_cost(value: Mapping[str, Any]) -> object:
    """``cost`` of OpenRouter and Perplexity; xAI counts in ticks."""
    cost, ticks = value.get("cost"), value.get("cost_in_usd_ticks")
    if cost is None and isinstance(ticks, int | float) and not isinstance(ticks, bool):
        return ticks * _USD_PER_TICK
    return cost


def _together(found: list[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for report in reversed(found):
        merged |= {name: value for name, value in report.items() if value or name not in merged}
    return merged
