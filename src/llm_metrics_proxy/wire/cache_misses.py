"""Why a server's prompt cache was not used, where a request asked the server to find out.

Sources: Anthropic's "Cache diagnostics" (``diagnostics.cache_miss_reason``, in ``message_start`` or ``message_delta``
of a stream); OpenAI's "Prompt cache diagnostics" (``prompt_cache_diagnostics`` of a response).
"""

from collections.abc import Mapping
from typing import Any, Final

from llm_metrics_proxy.wire.facts import REFUSED, cut, token_count

CacheMiss = Mapping[str, Any] | None  # by the record's column; None: nothing is known, or the cache was used

_NO_MISS: Final = "cache_hit"
_WITH_REASON: Final = "cache_miss"


def anthropic_miss(diagnostics: object) -> CacheMiss:
    """From ``diagnostics`` of a message; while the comparison still runs, it has no reason yet."""
    reason = diagnostics.get("cache_miss_reason") if isinstance(diagnostics, dict) else None
    if not isinstance(reason, dict):
        return None
    return _miss(reason.get("type"), reason.get("cache_missed_input_tokens"))


def openai_miss(diagnostics: object) -> CacheMiss:
    """From ``prompt_cache_diagnostics`` of a response."""
    if not isinstance(diagnostics, dict) or diagnostics.get("type") == _NO_MISS:
        return None
    kind = diagnostics.get("type")
    return _miss(diagnostics.get("reason") if kind == _WITH_REASON else kind, diagnostics.get("cache_missed_tokens"))


def _miss(reason: object, tokens: object) -> CacheMiss:
    word, count = cut(reason), token_count(tokens)
    if word is None:
        return None
    return {"cache_miss_reason": word, "cache_missed_tokens": None if count == REFUSED else count}
