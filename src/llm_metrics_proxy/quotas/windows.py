"""Words of one limit become windows: from one beginning to the next, each with a few samples. Pure.

A subscription's limit has a length (``window_s``) and begins anew at a moment that its server names. Two words are of
one window if they name about the same moment: Codex names it by how long it still takes, so it moves by a second or so.
Limits without a length (requests or tokens a minute) fill up all the time; of them one window is kept, of the last
hour.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.quotas.words import QuotaLeft

MOST_WINDOWS: Final = 40  # of each limit; a week of windows of 5 hours are 34
MOST_SAMPLES: Final = 60  # of the newest window
MOST_PAST_SAMPLES: Final = 12  # of a window that is over
_STILL_SAME_S: Final = 60.0
_STILL_SAME_SHARE: Final = 0.02  # of a window's length: moments that differ by less are the same one
_ROLLING_S: Final = 3600.0  # what is kept of a limit without a length


class Sample(NamedTuple):
    """What was left at a moment (Unix seconds)."""

    at: float
    left_ratio: float | None
    left: int | None


class LimitWindow(msgspec.Struct, frozen=True, kw_only=True):
    """One window of one limit, as heard of. Moments are Unix seconds; ``samples`` are in their order, and not empty."""

    backend: str
    api_key_id: str
    limit: str
    window_s: float | None
    resets_at: float | None
    samples: tuple[Sample, ...]

    @property
    def first_at(self) -> float:
        """When it was first heard of; by this, windows of one limit are told apart."""
        return self.samples[0].at

    @property
    def began_at(self) -> float | None:
        """When it began, at which all of it was left; ``None`` where nobody said."""
        return None if self.window_s is None or self.resets_at is None else self.resets_at - self.window_s

    @property
    def newest(self) -> QuotaLeft:
        """The last word on it."""
        last = self.samples[-1]
        return QuotaLeft(
            backend=self.backend,
            api_key_id=self.api_key_id,
            limit=self.limit,
            left=last.left,
            left_ratio=last.left_ratio,
            window_s=self.window_s,
            measured_at=last.at,
            resets_at=self.resets_at,
        )

    @property
    def used_ratio(self) -> float | None:
        """The most that was used of it, 0 to 1; ``None`` where nobody said."""
        left = [sample.left_ratio for sample in self.samples if sample.left_ratio is not None]
        return round(1 - min(left), 9) if left else None


def with_word(windows: Sequence[LimitWindow], word: QuotaLeft) -> tuple[LimitWindow, ...]:
    """The windows of a limit, the oldest first, with one more word. An older word than the newest one is dropped:
    answers to requests that ran at the same time are stored in the order of their ends."""
    sample = Sample(word.measured_at, word.left_ratio, word.left)
    if not windows:
        return (_new(word, sample),)
    last = windows[-1]
    if sample.at < last.samples[-1].at:
        return tuple(windows)
    if not _is_same(last, word):
        before = tuple(one for one in last.samples if one.at < sample.at)  # of one moment, the last word counts
        past = [msgspec.structs.replace(last, samples=_thinned(before, MOST_PAST_SAMPLES))] if before else []
        return (*windows[:-1], *past, _new(word, sample))[-MOST_WINDOWS:]
    length_s = last.window_s if word.window_s is None else word.window_s
    kept = msgspec.structs.replace(
        last,
        window_s=length_s,
        resets_at=last.resets_at if word.resets_at is None and length_s is not None else word.resets_at,
        samples=_with_sample(last, sample),
    )
    return (*windows[:-1], kept)


def _new(word: QuotaLeft, sample: Sample) -> LimitWindow:
    return LimitWindow(
        backend=word.backend,
        api_key_id=word.api_key_id,
        limit=word.limit,
        window_s=word.window_s,
        resets_at=word.resets_at,
        samples=(sample,),
    )


def _is_same(window: LimitWindow, word: QuotaLeft) -> bool:
    if window.window_s is None and word.window_s is None:
        return True
    if window.resets_at is None or word.resets_at is None:
        return window.newest.is_current(word.measured_at)
    tolerance = max(_STILL_SAME_S, _STILL_SAME_SHARE * (word.window_s or window.window_s or 0.0))
    return abs(window.resets_at - word.resets_at) <= tolerance


def _with_sample(window: LimitWindow, sample: Sample) -> tuple[Sample, ...]:
    """The newest takes the place of the one before where that adds nothing: it is too close to its neighbour."""
    kept = window.samples
    length_s = window.window_s or _ROLLING_S
    if window.window_s is None:
        kept = tuple(one for one in kept if one.at > sample.at - _ROLLING_S)
    closest_s = length_s / (MOST_SAMPLES - 2)
    if (kept and kept[-1].at == sample.at) or (len(kept) > 1 and kept[-1].at - kept[-2].at < closest_s):
        kept = kept[:-1]
    return _thinned((*kept, sample), MOST_SAMPLES)


def _thinned(samples: tuple[Sample, ...], most: int) -> tuple[Sample, ...]:
    """At most so many, evenly; the first, the last, and the one with least left stay."""
    if len(samples) <= most:
        return samples
    places = {round(number * (len(samples) - 1) / (most - 2)) for number in range(most - 1)}
    lowest = min(range(len(samples)), key=lambda place: _known(samples[place].left_ratio))
    return tuple(samples[place] for place in sorted({*places, lowest}))


def _known(left_ratio: float | None) -> float:
    return 2.0 if left_ratio is None else left_ratio
