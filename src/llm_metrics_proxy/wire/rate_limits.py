"""How long to wait and what is left, from an answer's header fields. Pure: moments count from the answer's own Date.

Retry-After is seconds or an HTTP date (RFC 9110 section 10.2.3). ``x-ratelimit-…`` are OpenAI's (``12ms``, ``6m0s``)
and Azure's (whole seconds); ``anthropic-ratelimit-…-reset`` are RFC 3339 moments.

Subscriptions have windows instead: Claude's ``anthropic-ratelimit-unified-…``, of 5 hours and 7 days, with a share from
0 to 1 and resets in seconds of the Unix epoch; Codex's ``x-codex-…``, with percents and lengths in minutes. Sources:
what Claude Code 2.1.197 and Codex 0.171.0 read.
"""

import re
from calendar import timegm
from collections.abc import Mapping
from typing import Final

_KINDS: Final = ("requests", "tokens")
_PARTS: Final = ("limit", "remaining", "reset")
# Lower-case name of a header field -> the column it fills.
_COLUMNS: Final[dict[str, str]] = {
    name.format(part=part, kind=kind): f"ratelimit_{part}_{kind}{'_ms' if part == 'reset' else ''}"
    for kind in _KINDS
    for part in _PARTS
    for name in ("x-ratelimit-{part}-{kind}", "anthropic-ratelimit-{kind}-{part}")
}
# The same of subscriptions, with how the value is read.
_WORD, _PERCENT, _RATIO, _MINUTES, _AFTER, _AT, _AMOUNT = "word", "percent", "ratio", "minutes", "after", "at", "amount"
_UNIFIED: Final = "anthropic-ratelimit-unified-"
_QUOTAS: Final[dict[str, tuple[str, str]]] = {
    f"{_UNIFIED}status": ("quota_status", _WORD),
    f"{_UNIFIED}representative-claim": ("quota_limit", _WORD),
    f"{_UNIFIED}overage-status": ("quota_overage_status", _WORD),
    f"{_UNIFIED}5h-utilization": ("quota_primary_used_percent", _RATIO),
    f"{_UNIFIED}5h-reset": ("quota_primary_reset_ms", _AT),
    f"{_UNIFIED}7d-utilization": ("quota_secondary_used_percent", _RATIO),
    f"{_UNIFIED}7d-reset": ("quota_secondary_reset_ms", _AT),
    "x-codex-rate-limit-reached-type": ("quota_status", _WORD),
    "x-codex-active-limit": ("quota_limit", _WORD),
    "x-codex-plan-type": ("quota_plan", _WORD),
    "x-codex-credits-balance": ("quota_credits_left", _AMOUNT),
    **{
        f"x-codex-{window}-{field}": (f"quota_{window}_{column}", kind)
        for window in ("primary", "secondary")
        for field, column, kind in (
            ("used-percent", "used_percent", _PERCENT),
            ("window-minutes", "window_ms", _MINUTES),
            ("reset-after-seconds", "reset_ms", _AFTER),
            ("reset-at", "reset_ms", _AT),
        )
    },
}
# What such a field is about: Claude's say it in their names.
_LENGTHS_MS: Final = {
    f"{_UNIFIED}5h-utilization": ("quota_primary_window_ms", 5 * 3_600_000.0),
    f"{_UNIFIED}7d-utilization": ("quota_secondary_window_ms", 7 * 86_400_000.0),
}
QUOTA_FIELDS: Final = tuple(_QUOTAS)
FIELDS: Final = ("date", "retry-after", "retry-after-ms", *_COLUMNS, *QUOTA_FIELDS)

_MOST_PERCENT: Final = 10_000  # of a window: more is nonsense
_WORDS: Final = re.compile(r"[\x21-\x7e]{1,64}")
_MAX_COUNT: Final = 2**53
_MAX_MS: Final = 366 * 86_400_000.0  # no server means more than a year
_NUMBER: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|us|µs|ns|[dhms]))+")
_DURATION_PART: Final = re.compile(r"([0-9.]+)(ms|us|µs|ns|[dhms])")
_UNIT_MS: Final = {"d": 86_400_000.0, "h": 3_600_000.0, "m": 60_000.0, "s": 1000.0, "ms": 1.0, "us": 1e-3, "µs": 1e-3,
                   "ns": 1e-6}  # fmt: skip
_RFC_3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]{1,9})?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def read_limits(fields: Mapping[str, bytes]) -> tuple[tuple[str, float | int | str], ...]:
    """(column, value) for everything in ``fields`` (by lower-case name); what cannot be read is left out."""
    texts = {name: fields[name].decode("latin-1").strip() for name in FIELDS if name in fields}
    date = http_date_ms(texts.pop("date", ""))
    found: dict[str, float | int | str] = {}
    for name, text in texts.items():
        if name in _QUOTAS:
            _read_quota(found, name, text, date)
            continue
        column = _COLUMNS.get(name)
        value = _count(text) if column and not column.endswith("_ms") else wait_ms(text, date)
        if name == "retry-after-ms":
            value = None if not _NUMBER.fullmatch(text) else min(float(text), _MAX_MS)
        if value is not None:
            found[column or "retry_after_ms"] = value  # retry-after-ms comes after retry-after, and is finer
    return tuple(found.items())


def _read_quota(found: dict[str, float | int | str], name: str, text: str, date_ms: float | None) -> None:
    column, kind = _QUOTAS[name]
    if kind == _WORD:
        if _WORDS.fullmatch(text):
            found[column] = text
        return
    if not _NUMBER.fullmatch(text):
        return
    number = float(text)
    if kind in {_AFTER, _AT}:
        since = date_ms if kind == _AT else 0.0
        wait = None if since is None else number * 1000 - since
        if wait is not None and wait <= _MAX_MS:
            found.setdefault(column, max(wait, 0.0))
    elif kind == _MINUTES:
        if number * 60_000 <= _MAX_MS:
            found[column] = number * 60_000
    elif kind == _AMOUNT or number <= _MOST_PERCENT:
        found[column] = round(number * 100, 9) if kind == _RATIO else number
        if name in _LENGTHS_MS:
            length, length_ms = _LENGTHS_MS[name]
            found[length] = length_ms


def wait_ms(text: str, date_ms: float | None) -> float | None:
    """Milliseconds from ``date_ms`` (of the Unix epoch): a number of seconds, a duration, or a moment. Never negative.

    ``None`` if it is none of these, or a moment while ``date_ms`` is not known.
    """
    if _NUMBER.fullmatch(text):
        return min(float(text) * 1000, _MAX_MS)
    if _DURATION.fullmatch(text):
        parts = _DURATION_PART.findall(text)
        return min(sum(float(number) * _UNIT_MS[unit] for number, unit in parts), _MAX_MS)
    moment = rfc3339_ms(text)
    if moment is None:
        moment = http_date_ms(text)
    if moment is None or date_ms is None:
        return None
    return min(max(moment - date_ms, 0.0), _MAX_MS)


def http_date_ms(text: str) -> float | None:
    """An HTTP date (RFC 9110 section 5.6.7) as milliseconds of the Unix epoch."""
    if len(text) > 40 or text.count(":") != 2:
        return None
    try:
        from email.utils import parsedate_tz  # noqa: PLC0415 -- 0.8 MB, with the first date

        parsed = parsedate_tz(text)
        return None if parsed is None else (timegm(parsed[:9]) - (parsed[9] or 0)) * 1000.0
    except (ValueError, OverflowError, IndexError, TypeError):  # a month or a day that does not exist
        return None


def rfc3339_ms(text: str) -> float | None:
    """A moment by RFC 3339 as milliseconds of the Unix epoch."""
    found = _RFC_3339.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        return None
    offset = (int(found[9]) * 60 + int(found[10])) * 60 if found[8] else 0
    seconds = timegm((year, month, day, hour, minute, second)) - (offset if found[8] != "-" else -offset)
    return seconds * 1000.0 + float(found[7] or 0) * 1000


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 17 and int(text) <= _MAX_COUNT else None
