"""Token counts from what a server reported: each dialect's own function, found by the dialect's name.

The counts of a record are a pure function of its columns ``usage_reported`` and ``dialect``. So a version that reads
reports better can read those again that were stored by versions before it.
"""

from typing import Any, Final

import msgspec

from llm_metrics_proxy.wire.apis.openai_usage import openai_tokens, plain_tokens
from llm_metrics_proxy.wire.dialects import TokenCounter
from llm_metrics_proxy.wire.endpoints import DIALECTS
from llm_metrics_proxy.wire.facts import Usage
from llm_metrics_proxy.wire.tolerant import UNREADABLE

_decode: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode
_COUNTERS: Final[dict[str | None, TokenCounter]] = {
    dialect.name: dialect.tokens for dialect in DIALECTS if dialect.tokens is not None
}


def tokens_from(usage_reported: str, dialect: str | None) -> Usage | None:
    """What ``usage_reported`` says; None if this program cannot read it: a newer one wrote it."""
    count = _COUNTERS.get(dialect)
    if count is None:
        return None
    if count is openai_tokens and (usage := plain_tokens(usage_reported)) is not None:
        return usage
    return read_slowly(usage_reported, dialect)


def read_slowly(usage_reported: str, dialect: str | None) -> Usage | None:
    """The same without the short cut that nearly all reports take."""
    count = _COUNTERS.get(dialect)
    if count is None:
        return None
    try:
        reports = _decode(usage_reported)
    except UNREADABLE:
        return None
    return count(reports)
