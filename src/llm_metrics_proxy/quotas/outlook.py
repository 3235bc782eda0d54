"""How fast a window is used, and whether what is left lasts until it begins anew. Pure.

The rate is that of the last fifth of the window's length (the last hour of 5 hours, the last 34 hours of a week), up
to now: who pauses sees it fall. What was left at the beginning of that time is known from the samples and from the
window's own beginning, when all of it was left. Servers round what they say to whole percents; where samples say the
same and records say that tokens were used meanwhile, the records' share of the window's tokens gives the rate.
"""

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.quotas.windows import LimitWindow, Sample

RECENT_SHARE: Final = 5  # the last so-manieth of a window's length
_HOUR_S: Final = 3600.0
_LEAST_S: Final = 60.0  # a rate over less than that is none
_FULL: Final = 1.0


class LimitVerdict(StrEnum):
    """What becomes of a window at this rate."""

    UNKNOWN = "unknown"
    IDLE = "idle"  # nothing of it is being used
    LASTS = "lasts"  # something is left when it begins anew
    RUNS_OUT = "runs_out"  # before it begins anew
    USED_UP = "used_up"


class Used(NamedTuple):
    """What records say was used of a window: since it began, and in the time that the rate is about."""

    tokens: float
    recent_tokens: float


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """``burn_ratio_per_h``: share of the whole window that an hour uses at this rate; ``burn_from``: samples or
    records. Moments are Unix seconds. ``text``: the verdict for people."""

    verdict: str = LimitVerdict.UNKNOWN
    burn_ratio_per_h: float | None = None
    burn_from: str | None = None
    runs_out_at: float | None = None
    left_at_reset_ratio: float | None = None  # 0: it is used up by then
    early_s: float | None = None  # so long before it begins anew it runs out; below 0: it would last so much longer
    text: str = ""


def recent_since(window: LimitWindow, now: float) -> float | None:
    """Since when its rate is measured; ``None`` where it has no length."""
    began = window.began_at
    if began is None or window.window_s is None:
        return None
    return max(began, now - window.window_s / RECENT_SHARE)


def look_ahead(window: LimitWindow, now: float, used: Used | None = None) -> Outlook:
    """Of a window that is current at ``now``."""
    left, resets_at = window.newest.left_ratio, window.resets_at
    if left is None or resets_at is None or (since := recent_since(window, now)) is None:
        return Outlook(text="The server does not say how long this limit's window is, so no rate is known.")
    until_reset = max(resets_at - now, 0.0)
    if left <= 0:
        return Outlook(
            verdict=LimitVerdict.USED_UP,
            left_at_reset_ratio=0.0,
            runs_out_at=window.samples[-1].at,
            text=f"Used up. It begins anew in {duration(until_reset)}.",
        )
    per_s, source = _rate(window, since, now, used)
    if per_s is None:
        return Outlook(text="Too little is known yet to say how fast it is used.")
    if per_s <= 0:
        return Outlook(
            verdict=LimitVerdict.IDLE,
            burn_ratio_per_h=0.0,
            burn_from=source,
            left_at_reset_ratio=left,
            text=f"Nothing of it was used lately. It begins anew in {duration(until_reset)}.",
        )
    lasts_s = left / per_s
    early_s = until_reset - lasts_s
    runs_out = early_s > 0
    text = (
        f"At this rate it runs out in {duration(lasts_s)}, {duration(early_s)} before it begins anew."
        if runs_out
        else f"At this rate it lasts: {max(left - per_s * until_reset, 0.0):.0%} is left when it begins anew in "
        f"{duration(until_reset)}."
    )
    return Outlook(
        verdict=LimitVerdict.RUNS_OUT if runs_out else LimitVerdict.LASTS,
        burn_ratio_per_h=per_s * _HOUR_S,
        burn_from=source,
        runs_out_at=round(now + lasts_s, 3),
        left_at_reset_ratio=max(left - per_s * until_reset, 0.0),
        early_s=round(early_s, 3),
        text=text,
    )


def _rate(window: LimitWindow, since: float, now: float, used: Used | None) -> tuple[float | None, str]:
    """Share of the window a second, and who says so."""
    samples, took_s = window.samples, now - since
    if took_s < _LEAST_S:
        return None, ""
    left = samples[-1].left_ratio
    before = _left_at(window, since)
    assert left is not None
    by_samples = None if before is None else max(before - left, 0.0) / took_s
    if used is not None and used.tokens > 0 and left < _FULL and (by_samples is None or by_samples == 0):
        return (_FULL - left) * min(used.recent_tokens / used.tokens, 1.0) / took_s, "records"
    return by_samples, "samples"


def _left_at(window: LimitWindow, moment: float) -> float | None:
    """Between the words before and after it, in proportion; ``None``: nothing is known of before."""
    known = [Sample(sample.at, sample.left_ratio, None) for sample in window.samples if sample.left_ratio is not None]
    if window.began_at is not None and window.began_at < known[0].at:
        known = [Sample(window.began_at, _FULL, None), *known]
    before = [sample for sample in known if sample.at <= moment]
    after = [sample for sample in known if sample.at > moment]
    if not before:
        return None
    one = before[-1]
    if not after:
        return one.left_ratio
    other = after[0]
    share = (moment - one.at) / (other.at - one.at)
    assert one.left_ratio is not None
    assert other.left_ratio is not None
    return one.left_ratio + share * (other.left_ratio - one.left_ratio)


def duration(seconds: float) -> str:
    """In at most two units: ``2 d 4 h``, ``1 h 20 min``, ``8 min``."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    days, rest = divmod(minutes, 1440)
    hours, left = divmod(rest, 60)
    named = [(days, "d"), (hours, "h"), (left if not days else 0, "min")]
    return " ".join(f"{number} {unit}" for number, unit in named if number)
