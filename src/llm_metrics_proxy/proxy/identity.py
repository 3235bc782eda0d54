"""The client's identity, without storing secrets: ids of requests and keys, origins, the wall clock as text."""

import hmac
import os
import re
import time
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

_CHARS: Final = 256
_KEYS_IN_QUERY: Final = re.compile(rb"[?&]key=([^&]+)")
_CACHED_KEYS: Final = 10_000

MAX_TAGS: Final = 16
_TAG: Final = re.compile(r"([A-Za-z0-9_.-]{1,64})=([\x20-\x7e]{1,128})")  # commas separate, so none can be part of it
# AWS Signature Version 4, and 4a: Credential=<access key id>/<date>/<region>/…
_SIGNED: Final = re.compile(rb"AWS4-[A-Z0-9-]+ .{0,200}?Credential=([^/,\s]{1,256})/", re.S)
# version, trace, parent, flags; later versions may go on behind a dash (W3C Trace Context, section 3.2)
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


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
        self._second_ns = 0
        self._text = ""

    def now(self) -> str:
        """Such as ``2026-11-22T20:37:15.123456Z``."""
        now = time.time_ns()
        rest = now - self._second_ns
        if not 0 <= rest < 1_000_000_000:
            rest = now % 1_000_000_000
            self._second_ns = now - rest
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(now // 1_000_000_000))
        return f"{self._text}{rest // 1000:06d}Z"


class KeyIds:
    """``api_key_id``: distinguishes keys without revealing them (HMAC-SHA-256 with a local secret)."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._known: dict[bytes, str] = {}

    def of(self, facts: dict[str, bytes], target: bytes = b"") -> str | None:
        """The id of the key that a request carries, if any: in its header, or in the query as Google takes it."""
        value = facts.get("authorization") or facts.get("api_key")
        if value is None and b"key=" in target:
            value = next((unquote_to_bytes(key) for key in _KEYS_IN_QUERY.findall(target)), None)
        if not value:
            return None
        known = self._known.get(value)
        if known is None:
            key = _key_in(value)
            known = hmac.digest(self._secret, key, "sha256").hex()[:12]
            if len(self._known) >= _CACHED_KEYS:
                self._known.clear()
            self._known[value] = known
        return known


def _key_in(value: bytes) -> bytes:
    """The key itself: without its scheme; of a signature (AWS), which differs with each request, who signed."""
    if value[:7].lower() == b"bearer ":
        return value[7:].strip()
    signed = _SIGNED.match(value)
    return value if signed is None else signed[1]


def origin_of(facts: Mapping[str, bytes]) -> str | None:
    """The client's own name, else the calling page: never more of a Referer than its origin."""
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


def agent_of(facts: Mapping[str, bytes]) -> str | None:
    """``OpenAI/Python 2.1``: the first product of User-Agent, with a version that stands apart from it."""
    value = facts.get("user_agent")
    return _text(value.partition(b" (")[0]) if value else None


def tags_of(facts: dict[str, bytes]) -> str | None:
    """``k=v,k2=v2``, sorted: the well-formed ones of x-llm-metrics-tag, the first ``MAX_TAGS`` keys, last value each.

    What is malformed is left out: a tag is a courtesy, and no reason to refuse a request.
    """
    value = facts.get("metrics_tag")
    if not value:
        return None
    tags: dict[str, str] = {}
    for part in value.decode("latin-1").split(","):
        match = _TAG.fullmatch(part.strip())
        if match is not None and (len(tags) < MAX_TAGS or match[1] in tags):
            tags[match[1]] = match[2]
    return ",".join(f"{key}={tags[key]}" for key in sorted(tags)) or None


class Trace(NamedTuple):
    """What ``traceparent`` says: 32 and 16 hex digits, and whether the client keeps the trace."""

    trace_id: str
    parent_span_id: str
    sampled: bool


def trace_of(facts: dict[str, bytes]) -> Trace | None:
    """The trace from ``traceparent``, which goes on to the server as it came; ``None`` unless it is valid."""
    value = facts.get("traceparent")
    match = _TRACEPARENT.fullmatch(value.decode("latin-1").strip()) if value else None
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5]):
        return None
    if not match[2].strip("0") or not match[3].strip("0"):
        return None
    return Trace(match[2], match[3], bool(int(match[4], 16) & 1))


def _text(value: bytes) -> str:
    return value[:_CHARS].decode("utf-8", "replace")
