"""Who asked, without keeping what must not be kept: ids of requests and keys, origins, the wall clock as text."""

import hmac
import os
import time
from typing import Final
from urllib.parse import urlsplit

_CHARS: Final = 256
_CACHED_KEYS: Final = 10_000


class RequestIds:
    """32 hex digits each: 10 random bytes for this process, then a counter. Cheap, and unique across workers."""

    def __init__(self) -> None:
        self._prefix = os.urandom(10).hex()
        self._count = 0

    def next(self) -> str:
        """A new id."""
        self._count += 1
        return f"{self._prefix}{self._count:012x}"


class WallClock:
    """ISO 8601 in UTC with microseconds. The part up to the second is made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def now(self) -> str:
        """Such as ``2026-11-22T20:37:15.123456Z``."""
        nanoseconds = time.time_ns()
        second, rest = divmod(nanoseconds, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{rest // 1000:06d}Z"


class KeyIds:
    """``api_key_id``: tells keys apart without telling what they are (HMAC-SHA-256 with a local secret)."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._known: dict[bytes, str] = {}

    def of(self, facts: dict[str, bytes]) -> str | None:
        """The id of the key that a request carries, if any."""
        value = facts.get("authorization") or facts.get("api_key")
        if not value:
            return None
        known = self._known.get(value)
        if known is None:
            key = value[7:].strip() if value[:7].lower() == b"bearer " else value
            known = hmac.digest(self._secret, key, "sha256").hex()[:12]
            if len(self._known) >= _CACHED_KEYS:
                self._known.clear()
            self._known[value] = known
        return known


def origin_of(facts: dict[str, bytes]) -> str | None:
    """What the client says of itself, else the page that asked: never more of a Referer than its origin."""
    value = facts.get("metrics_origin") or facts.get("origin")
    if value:
        return _text(value)
    referer = facts.get("referer")
    if not referer:
        return None
    try:
        parts = urlsplit(_text(referer))
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.scheme and parts.netloc else None


def agent_of(facts: dict[str, bytes]) -> str | None:
    """``OpenAI/Python 2.1``: the first product of User-Agent, with a version that stands apart from it."""
    value = facts.get("user_agent")
    return _text(value.partition(b" (")[0]) if value else None


def _text(value: bytes) -> str:
    return value[:_CHARS].decode("utf-8", "replace")
