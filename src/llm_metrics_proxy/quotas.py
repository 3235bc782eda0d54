"""What servers said is left of their limits, by server and key: the newest word on each, until its reset.

Kept in memory only: a gauge of what was, after a restart or a reset, would be a number that nobody said.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.record import RequestRecord

_MOST_KEYS: Final = 100  # pairs of a server and a key; the oldest give way
_KNOWN_FOR_S: Final = 3600.0  # what has no reset is believed so long
_PERCENT: Final = 100.0


class QuotaLeft(msgspec.Struct, frozen=True, kw_only=True):
    """One limit. ``limit``: requests, tokens, primary or secondary. Moments are Unix seconds."""

    backend: str
    api_key_id: str
    limit: str
    left: int | None  # requests or tokens
    left_ratio: float | None  # 0 to 1
    window_s: float | None
    measured_at: float
    resets_at: float | None

    def is_current(self, now: float) -> bool:
        """Whether the word still holds: not past its reset."""
        return now < (self.measured_at + _KNOWN_FOR_S if self.resets_at is None else self.resets_at)


class _Limit(NamedTuple):
    """Columns of the record that say it."""

    name: str
    used_percent: str | None = None
    window_ms: str | None = None
    left: str | None = None
    most: str | None = None
    reset_ms: str = ""


_LIMITS: Final = (
    *(
        _Limit(
            kind,
            left=f"ratelimit_remaining_{kind}",
            most=f"ratelimit_limit_{kind}",
            reset_ms=f"ratelimit_reset_{kind}_ms",
        )
        for kind in ("requests", "tokens")
    ),
    *(
        _Limit(
            window,
            used_percent=f"quota_{window}_used_percent",
            window_ms=f"quota_{window}_window_ms",
            reset_ms=f"quota_{window}_reset_ms",
        )
        for window in ("primary", "secondary")
    ),
)
_Key = tuple[str, str]
_Lefts = dict[str, QuotaLeft]


class QuotaBook:
    """The ingestion thread alone observes and confirms; any thread may ask for what is ``left``."""

    def __init__(self) -> None:
        self._published: Mapping[_Key, _Lefts] = {}
        self._new: dict[_Key, _Lefts] = {}

    def observe(self, record: RequestRecord) -> None:
        """Take what a record says. Most say nothing."""
        if (
            record.quota_primary_used_percent is None
            and record.quota_secondary_used_percent is None
            and record.ratelimit_remaining_requests is None
            and record.ratelimit_remaining_tokens is None
        ):
            return
        try:
            head_at = datetime.fromisoformat(record.timestamp).timestamp() + (record.response_headers_ms or 0) / 1000
        except ValueError:
            return
        key = (record.backend_name or record.backend or "", record.api_key_id or "")
        known = self._new.get(key) or self._published.get(key, {})
        found = {limit.name: left for limit in _LIMITS if (left := _left(record, limit, key, head_at)) is not None}
        newer = {name: left for name, left in found.items() if name not in known or _is_newer(left, known[name])}
        self._new[key] = {**known, **newer}

    def confirm(self) -> None:
        """Those records are stored."""
        if not self._new:
            return
        all_keys = {**self._published, **self._new}
        self._new = {}
        while len(all_keys) > _MOST_KEYS:
            oldest = min(all_keys, key=lambda key: max(left.measured_at for left in all_keys[key].values()))
            del all_keys[oldest]
        self._published = all_keys

    def left(self, now: float) -> list[QuotaLeft]:
        """What still holds at ``now``, in Unix seconds, sorted by server and key."""
        published = self._published
        return [left for key in sorted(published) for left in published[key].values() if left.is_current(now)]


def _is_newer(one: QuotaLeft, other: QuotaLeft) -> bool:
    """Answers to requests that ran at the same time are stored in the order of their ends."""
    return one.measured_at >= other.measured_at


def _left(record: RequestRecord, limit: _Limit, key: _Key, head_at: float) -> QuotaLeft | None:
    left, most, used, window_ms, reset_ms = (
        getattr(record, column) if column else None
        for column in (limit.left, limit.most, limit.used_percent, limit.window_ms, limit.reset_ms)
    )
    if left is None and used is None:
        return None
    ratio = None if used is None else 1 - used / _PERCENT
    if left is not None and most:
        ratio = left / most
    return QuotaLeft(
        backend=key[0],
        api_key_id=key[1],
        limit=limit.name,
        left=left,
        left_ratio=None if ratio is None else min(max(round(ratio, 9), 0.0), 1.0),
        window_s=None if window_ms is None else window_ms / 1000,
        measured_at=round(head_at, 3),
        resets_at=None if reset_ms is None else round(head_at + reset_ms / 1000, 3),
    )
