"""What settings can say about who asks: sources of a column, and columns that are hashed or not stored."""

import re
from typing import Annotated, Final

from pydantic_settings import NoDecode

from llm_metrics_proxy.config.types import ITEMS, text_rule

IDENTITY_COLUMNS: Final = (
    "app", "session_id", "agent_id", "parent_agent_id", "user", "user_agent", "origin",
)  # fmt: skip
SECTION: Final = "identity"  # of the file: a table whose keys are those settings, without this word in front
_SOURCE: Final = re.compile(r"(?:header:[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}|body:[^\s.,]{1,64}(?:\.[^\s.,]{1,64}){0,7})")
# A column holds what a field says, so none that holds a secret; and those of the connection are not the client's word.
_REFUSED: Final = frozenset(
    {
        "authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie",
        "x-amz-security-token", "ocp-apim-subscription-key",
        "host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        "expect", "content-length", "x-llm-metrics-tag",
    }
)  # fmt: skip


def _source(value: str) -> str:
    source = value.strip()
    name = source.partition(":")[2].lower()
    if not _SOURCE.fullmatch(source) or (source.startswith("header:") and name in _REFUSED):
        raise ValueError("not a source")
    return f"header:{name}" if source.startswith("header:") else source


def _column(value: str) -> str:
    if value.strip() not in IDENTITY_COLUMNS:
        raise ValueError("not a column")
    return value.strip()


IdentitySources = Annotated[list[Annotated[str, text_rule(_source)]], NoDecode, ITEMS]
IdentityColumns = Annotated[list[Annotated[str, text_rule(_column)]], NoDecode, ITEMS]
