"""Who asks, as requests say it: the fields that do, in the order in which they count, and what is read from each. Pure.

A source is written as in the setting ``[identity]``: ``header:x-session-id`` or ``body:metadata.user_id``. Sources:
``docs/topics/clients.md`` (heads and bodies that clients really sent) and the documents of OpenAI and Open WebUI.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.wire.base import MAX_TEXT_CHARS
from llm_metrics_proxy.wire.tolerant import UNREADABLE, decode, decode_any

HEADER: Final = "header:"
BODY: Final = "body:"
USER: Final = BODY + "user"
CLAUDE: Final = "metadata.user_id"  # of Anthropic's bodies; Claude Code puts more than the user into it

# Column -> its sources. For the application, ``apps`` knows what the fields mean.
SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "session_id": (
        "header:x-llm-metrics-session",
        "header:x-claude-code-session-id",
        "body:metadata.user_id",
        "header:session-id",  # Codex
        "header:session_id",  # pi, and Codex before
        "header:x-opencode-session",
        "header:x-session-id",  # OpenCode with other providers
        "header:x-session-affinity",
        "header:x-openwebui-chat-id",
        "body:conversation",
        "body:conversation_id",
        "body:prompt_cache_key",
    ),
    "agent_id": ("header:x-claude-code-agent-id", "header:thread-id"),  # the latter is Codex's
    "parent_agent_id": (
        "header:x-claude-code-parent-agent-id",
        "header:x-codex-parent-thread-id",
        "header:x-parent-session-id",  # OpenCode
    ),
    "user": (
        USER,
        "body:safety_identifier",
        "header:x-openwebui-user-id",
        "header:x-openwebui-user-email",
        "header:x-openwebui-user-name",
        "body:metadata.user_id",
    ),
}
APP_FIELDS: Final = (
    "x-llm-metrics-origin", "x-openrouter-title", "x-title", "http-referer", "originator", "x-client-app", "x-app",
)  # fmt: skip
# Every field that is looked at, except those that have other uses.
HEADER_FIELDS: Final = tuple(
    dict.fromkeys(
        (
            *(source.removeprefix(HEADER) for each in SOURCES.values() for source in each if source.startswith(HEADER)),
            *(name for name in APP_FIELDS if name != "x-llm-metrics-origin"),
        )
    )
)
_MAX_CLAUDE_CHARS: Final = 4096
_OLDER_CLAUDE: Final = re.compile(r"user_(.+?)_account_(.*?)_session_(.+)", re.DOTALL)


class ClaudeId(NamedTuple):
    """The parts of ``metadata.user_id``."""

    user: str | None
    session: str | None


class _ClaudeId(msgspec.Struct):
    device_id: str | None = None
    account_uuid: str | None = None
    session_id: str | None = None


@lru_cache(maxsize=256)
def claude_id(text: str) -> ClaudeId:
    """What Claude Code writes: JSON, or ``user_<hash>_account_<id>_session_<id>`` before. Any other text is a user.

    The user is the device, which both forms name alike; else the account. Never the session: a text that looks as if it
    held one, and cannot be read, is nobody.
    """
    if len(text) <= _MAX_CLAUDE_CHARS:
        if text.lstrip().startswith("{"):
            found = decode(_ClaudeId, text.encode("utf-8", "replace"))
            if found is not None and (found.device_id or found.account_uuid or found.session_id):
                return ClaudeId(one_line(found.device_id) or one_line(found.account_uuid), sane(found.session_id))
        older = _OLDER_CLAUDE.fullmatch(text)
        if older is not None:
            return ClaudeId(one_line(older[1]), sane(older[3]))
    holds_session = "_session_" in text or (text.lstrip().startswith("{") and "session_id" in text)
    return ClaudeId(None if holds_session else one_line(text), None)


def sane(text: object) -> str | None:
    """An id: 1 to 256 visible characters, blanks around them left out. Anything else is none, never cut."""
    if not isinstance(text, str):
        return None
    text = text.strip()
    return text if 0 < len(text) <= MAX_TEXT_CHARS and text.isprintable() else None


def one_line(text: object) -> str | None:
    """A name: visible characters, cut to 256."""
    if not isinstance(text, str):
        return None
    text = text.strip()[:MAX_TEXT_CHARS]
    return text if text and text.isprintable() else None


def header_text(value: bytes) -> str | None:
    """A field's value; none if it is not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


Claims = Mapping[str, Any]  # members of a request's body by name, as they were written: Raw, or read already


def claimed(claims: Claims, path: str) -> str | None:
    """The text or the whole number at ``path`` in a body: names with points between them. Nothing else is decoded."""
    name, *inner = path.split(".")
    value = claims.get(name)
    for name in inner:
        if isinstance(value, msgspec.Raw):
            value = _member(value, name)
        else:
            return None
    if isinstance(value, msgspec.Raw):
        value = _scalar(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64:
        return str(value)
    return value if isinstance(value, str) else None


def _member(value: msgspec.Raw, name: str) -> msgspec.Raw | None:
    try:
        found = _decoder_of_one(name)(value)
    except UNREADABLE:
        return None
    return found.value if found.value is not _NONE else None


_NONE: Final = msgspec.Raw()


@lru_cache(maxsize=256)
def _decoder_of_one(name: str) -> Callable[[msgspec.Raw], Any]:
    """Of objects of which one member is wanted."""
    kind = msgspec.defstruct("_One", [("value", msgspec.Raw, _NONE)], rename={"value": name}, gc=False)
    return msgspec.json.Decoder(kind).decode


def _scalar(value: msgspec.Raw) -> Any:
    """Never a container: it could be large."""
    first = bytes(memoryview(value)[:1])
    if first in b"{[" or len(memoryview(value)) > 4 * _MAX_CLAUDE_CHARS:
        return None
    try:
        return decode_any(value)
    except UNREADABLE:
        return None


def _of_conversation(claims: Claims) -> str | None:
    """An id, or an object that has it (OpenAI's Responses)."""
    return sane(claimed(claims, "conversation") or claimed(claims, "conversation.id"))


# What the built-in sources mean where it is more than the text at the path: (column, path) -> how it is read.
READERS: Final[dict[tuple[str, str], Callable[[Claims], str | None]]] = {
    ("session_id", CLAUDE): lambda claims: claude_id(claimed(claims, CLAUDE) or "").session,
    ("user", CLAUDE): lambda claims: claude_id(claimed(claims, CLAUDE) or "").user,
    ("session_id", "conversation"): _of_conversation,
}
