"""What a benchmark hands back, and how repeated runs become one number."""

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

YARDSTICK: Final = "nginx"  # the peer that all others are related to


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
    to_nginx: float | None = None  # the peer ÷ nginx, run by run


class Unavailable(Exception):  # noqa: N818 -- told in the table, not a failure
    """This benchmark cannot run here; the message says what is missing and how to get it."""


def key_of(name: str) -> str:
    """A subject's name as keys and flags have it: small letters, digits and underscores."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


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


def beside(key: str, what: str, unit: str, seen: Mapping[str, Sequence[float | None]]) -> list[Figure]:
    """Ours against each other subject of ``seen``, and each of those beside nginx; by name, one value a turn.

    ``None`` is a turn that gave no value: it is left out of the ratios.
    """
    figures = []
    for peer, values in seen.items():
        both = [(mine, theirs) for mine, theirs in zip(seen["ours"], values, strict=False) if mine and theirs]
        if peer == "ours" or not both:
            continue
        mine, theirs = zip(*both, strict=True)
        figure = against(f"{key}.{key_of(peer)}", what, unit, ours=mine, peer=peer, theirs=theirs)
        to_yardstick = [
            other / nginx for other, nginx in zip(values, seen.get(YARDSTICK, ()), strict=False) if other and nginx
        ]
        figures.append(
            msgspec.structs.replace(figure, to_nginx=statistics.median(to_yardstick) if to_yardstick else None)
        )
    return figures


def alone(key: str, what: str, unit: str, ours: Sequence[float]) -> Figure:
    """A figure that is compared with a bound rather than with a peer."""
    median = statistics.median(ours)
    return Figure(key=key, what=what, unit=unit, ours=median, compared=median, low=min(ours), high=max(ours))


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; ``share`` is 0.5 for the median."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def number(value: float) -> str:
    """Three significant digits, without exponents."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
