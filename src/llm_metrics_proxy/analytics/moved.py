"""How much a number of some records moved between two periods, and whether that is more than it varies by itself.

Every number is a ratio of sums: milliseconds by requests, failures by requests that ended, dollars by requests. Sums
are all that is needed, of blocks of time: they are exact in every source, and they add up.

**Means** are compared by the logarithm of their ratio. Its error is found by leaving out one block after the other (the
delete-a-block jackknife, of both periods at once). So blocks are what is drawn at random, not requests: those of one
hour wait behind each other, and a test that took them for independent would find a change in every busy hour. Where
both periods have the same hours, what hours do to both cancels out.

**Shares of failures** are compared as they happened, request by request: an outage of one hour is to be told.

**Change and mix** (Kitagawa 1955): a mean is the sum of its segments' means, each times its share of the records. So
``after - before`` is exactly the sum over segments of (mean share x change of the mean) and (mean of the means x change
of the share). The first is what changed, the second a shift. A segment with records in one period only has no change.
"""

from collections.abc import Hashable, Mapping, Sequence
from math import exp, inf, log, sqrt
from typing import Final, NamedTuple

from llm_metrics_proxy.analytics.significance import newcombe, shares_p, student_95, student_p

LEAST_RECORDS: Final = 30  # in each period; fewer say too little
LEAST_BLOCKS: Final = 4  # as many as have records, each weighed by how many
LEAST_FAILURES: Final = 5
_MOST: Final = 1e100  # a sum that is larger, as of a broken clock, has no square
Part = tuple[int, float]  # records that have the value, and its sum


class BlockSums(NamedTuple):
    """Of one segment: by block of time, the blocks of both periods in step."""

    before: tuple[Part, ...]
    after: tuple[Part, ...]

    def __sub__(self, other: "BlockSums") -> "BlockSums":
        return self._with(other, -1)

    def plus(self, other: "BlockSums") -> "BlockSums":
        """Both together."""
        return self._with(other, 1)

    def _with(self, other: "BlockSums", sign: int) -> "BlockSums":
        return BlockSums(
            *(
                tuple((n + sign * m, a + sign * b) for (n, a), (m, b) in zip(ours, theirs, strict=True))
                for ours, theirs in zip(self, other, strict=True)
            )
        )

    @property
    def totals(self) -> tuple[Part, Part]:
        """Of the two periods."""
        return _total(self.before), _total(self.after)


def _total(parts: Sequence[Part]) -> Part:
    return sum(n for n, _ in parts), sum(value for _, value in parts)


class Effect(NamedTuple):
    """``change``: of means relative, of shares the difference; ``low`` and ``high``: where it lies with 95 %.
    ``strength``: how clearly it differs from nothing, to compare effects by."""

    before: float
    after: float
    n_before: int
    n: int
    change: float
    low: float
    high: float
    p: float
    strength: float


def effect(sums: BlockSums, *, share: bool) -> Effect | None:
    """``None``: too few records, or too few blocks that have some, to say anything."""
    (n_before, sum_before), (n, sum_after) = sums.totals
    if min(n_before, n) < LEAST_RECORDS:
        return None
    if share:
        return _of_shares(round(sum_before), n_before, round(sum_after), n)
    return _of_means(sums, n_before, sum_before, n, sum_after)


def _of_shares(hits_before: int, n_before: int, hits: int, n: int) -> Effect | None:
    if hits_before + hits < LEAST_FAILURES:
        return None
    before, after = hits_before / n_before, hits / n
    p = shares_p(hits_before, n_before, hits, n)
    low, high = newcombe(hits_before, n_before, hits, n)
    return Effect(before, after, n_before, n, after - before, low, high, p, -log(max(p, 1e-300)))


def _of_means(sums: BlockSums, n_before: int, sum_before: float, n: int, sum_after: float) -> Effect | None:
    freedom = min(map(_blocks, sums)) - 1
    if freedom < LEAST_BLOCKS - 1 or not 0 < sum_before < _MOST or not 0 < sum_after < _MOST:
        return None
    before, after = sum_before / n_before, sum_after / n
    without = []
    for (m_before, part_before), (m, part_after) in zip(*sums, strict=True):
        if not m_before and not m:
            continue
        left = (n_before - m_before, sum_before - part_before, n - m, sum_after - part_after)
        if min(left) <= 0:
            return None
        without.append(log(left[3] / left[2]) - log(left[1] / left[0]))
    moved, error = log(after / before), jackknife(without)
    t = abs(moved) / error if error > 0 else inf if abs(moved) > 1e-12 else 0.0
    half = student_95(freedom) * error
    low, high = (exp(moved + sign * half) - 1 for sign in (-1, 1))
    p = student_p(t, freedom)
    return Effect(before, after, n_before, n, after / before - 1, low, high, p, -log(max(p, 1e-300)))


def _blocks(parts: Sequence[Part]) -> float:
    """How many blocks of equal size say as much: fewer than there are, if most records are in some."""
    squares = sum(n * n for n, _ in parts)
    return sum(n for n, _ in parts) ** 2 / squares if squares else 0.0


def jackknife(without: Sequence[float]) -> float:
    """The standard error of a number, from what it is without each block."""
    blocks = len(without)
    middle = sum(without) / blocks
    return sqrt((blocks - 1) / blocks * sum((one - middle) ** 2 for one in without))


class Split(NamedTuple):
    """``after - before`` = ``within`` + ``mix``, exactly; the chance that the mix is none, and how far it may be off
    (95 %); and what each segment adds to it, compared with the mean of all."""

    before: float
    after: float
    within: float
    mix: float
    mix_p: float
    mix_off: float
    of_segments: Mapping[Hashable, float]


def split(segments: Mapping[Hashable, BlockSums]) -> Split | None:
    """What changed within segments, and what is a shift between them. ``None``: too little to say."""
    totals = {key: one.totals for key, one in segments.items()}
    n_before, n = (sum(one[at][0] for one in totals.values()) for at in (0, 1))
    if min(n_before, n) < LEAST_RECORDS or not segments:
        return None
    whole = whole_of(segments)
    freedom = min(map(_blocks, whole)) - 1
    if any(not abs(part[1]) < _MOST for one in totals.values() for part in one):
        return None
    parts = _parts(list(totals.values()))
    without = []
    for block in range(len(whole.before)):
        if not whole.before[block][0] and not whole.after[block][0]:
            continue
        left = [_less(total, segments[key], block) for key, total in totals.items()]
        if min(sum(one[at][0] for one in left) for at in (0, 1)) <= 0:
            return None
        without.append(_parts(left))
    if freedom < LEAST_BLOCKS - 1:
        return None
    error = jackknife([mix for _, mix in without])
    p = student_p(abs(parts[1]) / error, freedom) if error > 0 else float(abs(parts[1]) < 1e-12)
    before, after = (sum(one[at][1] for one in totals.values()) / (n_before, n)[at] for at in (0, 1))
    middle = (before + after) / 2
    added = {
        key: (share_after - share_before) * (sum(means) / 2 - middle)
        for key, one in totals.items()
        for share_before, share_after, means in [(one[0][0] / n_before, one[1][0] / n, _means(*one))]
    }
    return Split(before, after, *parts, p, student_95(freedom) * error, added)


def whole_of(segments: Mapping[Hashable, BlockSums]) -> BlockSums:
    """All of them together."""
    first, *others = segments.values()
    for one in others:
        first = first.plus(one)
    return first


def _less(total: tuple[Part, Part], sums: BlockSums, block: int) -> tuple[Part, Part]:
    (n_before, before), (n, after) = total
    (m_before, part_before), (m, part_after) = sums.before[block], sums.after[block]
    return (n_before - m_before, before - part_before), (n - m, after - part_after)


def _means(before: Part, after: Part) -> tuple[float, float]:
    """Of both periods; where one has no record, that of the other."""
    one, other = (part[1] / part[0] if part[0] > 0 else None for part in (before, after))
    return (one if one is not None else other or 0.0), (other if other is not None else one or 0.0)


def _parts(totals: Sequence[tuple[Part, Part]]) -> tuple[float, float]:
    """Within and mix."""
    n_before, n = (sum(one[at][0] for one in totals) for at in (0, 1))
    within = mix = 0.0
    for one in totals:
        share_before, share_after = one[0][0] / n_before, one[1][0] / n
        before, after = _means(*one)
        within += (share_before + share_after) / 2 * (after - before)
        mix += (share_after - share_before) * (before + after) / 2
    return within, mix
