"""How likely chance alone makes a difference: the few distributions that ``changes`` needs. Pure, and without numpy.

* Means are compared by Student's t over blocks of time, see ``moved``.
* Shares (of failures) by Fisher's exact test, whose level holds for one failure as for thousands, and Newcombe's hybrid
  score interval (1998, method 10), which stays within -1 and 1.
* Many questions at once by the procedure of Holm (1979): it bounds the chance that even one of those told is false,
  however the questions depend on each other; here they do, for they are about the same records. Benjamini's and
  Hochberg's bounds the share of false ones among all that pass: one change that passes in twenty guises, of which one
  is told, would let a false one in beside it.
"""

from collections.abc import Iterable
from functools import lru_cache
from math import erfc, exp, inf, lgamma, log, sqrt
from typing import Final

Z_95: Final = 1.959963984540054
_MANY: Final = 200  # expected failures on both sides from which the normal distribution is as good as Fisher's test
_PRECISION: Final = 1e-15
_ROUNDS: Final = 300


def normal_p(z: float) -> float:
    """Two-sided."""
    return erfc(abs(z) / sqrt(2))


def student_p(t: float, freedom: float) -> float:
    """Two-sided; ``freedom``: degrees of it, above 0."""
    return _beta(freedom / 2, 0.5, freedom / (freedom + t * t)) if t != inf else 0.0


def student_95(freedom: float) -> float:
    """What a value of t stays within with a probability of 95 %."""
    return _student_95(round(freedom, 1))


@lru_cache(maxsize=512)
def _student_95(freedom: float) -> float:
    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_p(middle, freedom) > 0.05 else (low, middle)
    return high


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    found = d
    for m in range(1, _ROUNDS):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + step * d) or tiny)
            c = (1 + step / c) or tiny
            found *= d * c
        if abs(d * c - 1) < _PRECISION:
            break
    return found


def shares_p(hits_before: int, n_before: int, hits: int, n: int) -> float:
    """Whether two shares differ, two-sided: twice the smaller tail of Fisher's exact test."""
    total, both = hits_before + hits, n_before + n
    if total in (0, both):
        return 1.0
    if min(n, n_before) * min(total, both - total) / both > _MANY:
        pooled = total / both
        return normal_p((hits / n - hits_before / n_before) / sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_before)))
    upwards = hits * n_before >= hits_before * n
    return min(1.0, 2 * _tail(hits, n, n_before, total, 1 if upwards else -1))


def _tail(hits: int, n: int, n_before: int, total: int, step: int) -> float:
    """The probability of these hits, or more of them (``step`` 1) or fewer (-1), where ``total`` fall as they like."""

    def of(k: int) -> float:
        return exp(_choose(n, k) + _choose(n_before, total - k) - _choose(n + n_before, total))

    found, k = 0.0, hits
    while max(0, total - n_before) <= k <= min(n, total):
        one = of(k)
        found += one
        if one < found * _PRECISION:
            break
        k += step
    return found


def _choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share."""
    share, z2 = hits / n, Z_95**2
    middle, half = share + z2 / (2 * n), Z_95 * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)


def newcombe(hits_before: int, n_before: int, hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of how much a share grew."""
    before, after = hits_before / n_before, hits / n
    (low_before, high_before), (low, high) = wilson(hits_before, n_before), wilson(hits, n)
    grown = after - before
    return (
        grown - sqrt((after - low) ** 2 + (high_before - before) ** 2),
        grown + sqrt((high - after) ** 2 + (before - low_before) ** 2),
    )


def threshold(found: Iterable[float], rate: float) -> float:
    """Which p of these are small enough that with a chance of at most ``rate`` any of them is false (Holm)."""
    ordered = sorted(found)
    least = -1.0
    for place, p in enumerate(ordered):
        if p * (len(ordered) - place) > rate:
            break
        least = p
    return least
