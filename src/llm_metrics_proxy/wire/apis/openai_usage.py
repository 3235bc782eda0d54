"""Token counts of OpenAI chat, completions and embeddings, from what servers of that shape report.

Sources: OpenAI's API reference, "Usage" objects; the references of the servers named below. All are read by one
function, since one server copies another's members.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from llm_metrics_proxy.wire.facts import REFUSED, Usage, read_usage, token_count
from llm_metrics_proxy.wire.server_times import timings_usage
from llm_metrics_proxy.wire.usage_reports import Reports

# Where a usage object may stand; where there are several, the first says what it knows, and the next the rest.
_PLACES: Final = ("usage", "choices[0].usage", "x_groq.usage")
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


def _together(found: list[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for report in reversed(found):
        merged |= {name: value for name, value in report.items() if value or name not in merged}
    return merged
