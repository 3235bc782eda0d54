"""What dialects share when they make facts of what a server sent: counts, usage, texts and small numbers.

Source: OpenAI's API reference, "Usage" objects. Servers differ, so every value is checked before it is believed: a
count is an integer from 0 to ``MAX_TOKENS``, anything else is refused and flagged (``rejected``), never corrected.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from llm_metrics_proxy.wire.base import MAX_TEXT_CHARS, MAX_TOKENS, ResponseFacts
from llm_metrics_proxy.wire.server_times import ServerTimes
from llm_metrics_proxy.wire.usage_reports import UsageReports

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
    cache_write_5m_tokens: int | None = None  # of those written: kept for five minutes, for an hour
    cache_write_1h_tokens: int | None = None

    @property
    def is_empty(self) -> bool:
        """It has no count that can be believed."""
        return self.prompt_tokens is None and self.completion_tokens is None and self.total_tokens is None


REFUSED: Final = -1  # a count that was given and cannot be one


def token_count(value: object) -> int | None:
    """``value`` as a token count; ``REFUSED`` if it cannot be one. In JSON 12.0 is 12, so a whole float is a count."""
    if type(value) is int:  # bool is an int to isinstance
        return value if 0 <= value <= MAX_TOKENS else REFUSED
    if value is None:
        return None
    return token_count(int(value)) if isinstance(value, float) and value.is_integer() else REFUSED


def usage_of(
    *,
    prompt: object = None,
    completion: object = None,
    total: object = None,
    cached: object = None,
    reasoning: object = None,
    cache_write: object = None,
    cache_write_5m: object = None,
    cache_write_1h: object = None,
    cost: object = None,
) -> Usage:
    """A report from values as a server gave them. A total that was not given is the sum, if both parts are known.

    So is one that is no more than one of them: it was reported with that part alone, and the other came apart from it.
    """
    given = (prompt, completion, total, cached, reasoning, cache_write, cache_write_5m, cache_write_1h)
    counts = [  # what `token_count` says, which is asked where it is no plain count
        value if value is None or (type(value) is int and 0 <= value <= MAX_TOKENS) else token_count(value)
        for value in given
    ]
    rejected = REFUSED in counts
    if rejected:
        counts = [None if count == REFUSED else count for count in counts]
    asked, answered, both, reused, thought, written, for_5m, for_1h = counts
    if (
        asked is not None
        and answered is not None
        and (total is None or (both in {asked, answered} and asked and answered))
    ):
        both = asked + answered
    return Usage(asked, answered, both, reused, thought, rejected, written, cost_usd(cost), for_5m, for_1h)


def with_reasoning(usage: Usage) -> Usage:
    """Some servers leave reasoning out of the completion, and count it in the total alone: xAI names it too, Gemini's
    compatible API does not. Where the total says so, the completion holds it, as ours does."""
    prompt, completion, total, reasoning = (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        usage.reasoning_tokens,
    )
    if prompt is None or completion is None or total is None or total <= prompt + completion:
        return usage
    left_out = total - prompt - completion
    if left_out == reasoning or (reasoning is None and not usage.cached_tokens and not usage.cache_write_tokens):
        return msgspec.structs.replace(usage, completion_tokens=completion + left_out)
    return usage


def details(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object that ``value`` has under ``name``; an empty one if it has none."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def cost_usd(value: object) -> float | None:
    """A cost in US dollars, if it can be one; Perplexity gives its parts too."""
    if value is None:
        return None
    if isinstance(value, dict):
        value = value.get("total_cost")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_COST_USD:
        return float(value)
    return None


def response_facts(
    *,
    reports: UsageReports | None = None,
    times: ServerTimes = None,
    further: Mapping[str, Any] | None = None,
    finish_reason: str | None = None,
    refused: bool = False,
    **others: Any,
) -> ResponseFacts:
    """The facts of an answer; ``reports``: what it reported of its usage; ``refused``: a refusal's text was seen.

    OpenAI ends a refusal with ``stop`` (Responses: ``completed``), as any text. A finish reason that says something
    else, such as a filter, says more.
    """
    return ResponseFacts(
        finish_reason=finish_reason,
        usage_reported=None if reports is None else reports.text,
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
