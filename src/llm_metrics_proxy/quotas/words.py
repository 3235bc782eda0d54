"""What one record says of its server's limits."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.record import RequestRecord

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
LIMITS: Final = tuple(limit.name for limit in _LIMITS)  # in the order in which they are shown


def says_nothing(record: RequestRecord) -> bool:
    """As most do, which is to cost little."""
    return (
        record.quota_primary_used_percent is None
        and record.quota_secondary_used_percent is None
        and record.ratelimit_remaining_requests is None
        and record.ratelimit_remaining_tokens is None
    )


def words_of(record: RequestRecord) -> Iterator[QuotaLeft]:
    """What it says, limit by limit."""
    try:
        head_at = datetime.fromisoformat(record.timestamp).timestamp() + (record.response_headers_ms or 0) / 1000
    except ValueError:
        return
    for limit in _LIMITS:
        if (word := _word(record, limit, head_at)) is not None:
            yield word


def _word(record: RequestRecord, limit: _Limit, head_at: float) -> QuotaLeft | None:
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
        backend=record.backend_name or record.backend or "",
        api_key_id=record.api_key_id or "",
        limit=limit.name,
        left=left,
        left_ratio=None if ratio is None else min(max(round(ratio, 9), 0.0), 1.0),
        window_s=None if window_ms is None else window_ms / 1000,
        measured_at=round(head_at, 3),
        resets_at=None if reset_ms is None else round(head_at + reset_ms / 1000, 3),
    )
