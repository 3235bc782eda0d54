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
# A column holds what a field says, so none that holds a secret, whatever it is called; and those of the connection are
# not the client's word.
_SECRET: Final = re.compile(
    r"authorization|api-?key|subscription-key|cookie|secret|passw|credential|token$|^sec-websocket-protocol$"
)
_REFUSED: Final = frozenset(
    {
        "host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        "expect", "content-length", "x-llm-metrics-tag",
    }
)  # fmt: skip


def _source(value: str) -> str:
    source = value.strip()
    name = source.partition(":")[2].lower()
    if not _SOURCE.fullmatch(source):
        raise ValueError("not a source")
    if not source.startswith("header:"):
        return source
    dashed = name.replace("_", "-")  # as servers read it that take one for the other
    if dashed in _REFUSED or _SECRET.search(dashed):
        raise ValueError("not a source")
    return f"header:{name}"


def _column(value: str) -> str:
    if value.strip() not in IDENTITY_COLUMNS:
        raise ValueError("not a column")
    return value.strip()


IdentitySources = Annotated[list[Annotated[str, text_rule(_source)]], NoDecode, ITEMS]
IdentityColumns = Annotated[list[Annotated[str, text_rule(_column)]], NoDecode, ITEMS]
