"""What a benchmark hands back, and how repeated runs become one number."""

import statistics
from collections.abc import Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. ``compared`` is what the target speaks of: the ratio where there is a peer, else ours."""

    key: str  # names the target, if there is one
    what: str
    unit: str
    ours: float
    compared: float
    low: float  # least and greatest of the runs behind `compared`
    high: float
    peer: str | None = None
    theirs: float | None = None


class Unavailable(Exception):  # noqa: N818 -- told in the table, not a failure
    """This benchmark cannot run here; the message says what is missing and how to get it."""


def against(key: str, what: str, unit: str, *, ours: Sequence[float], peer: str, theirs: Sequence[float]) -> Figure:
    """Ours ÷ theirs, run by run: the i-th runs were neighbours in time."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return Figure(
        key=key,
        what=what,
        unit=unit,
        ours=statistics.median(ours),
        compared=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        peer=peer,
        theirs=statistics.median(theirs),
    )


def alone(key: str, what: str, unit: str, ours: Sequence[float]) -> Figure:
    """A figure that is compared with a bound rather than with a peer."""
    median = statistics.median(ours)
    return Figure(key=key, what=what, unit=unit, ours=median, compared=median, low=min(ours), high=max(ours))


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; ``share`` is 0.5 for the median."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
