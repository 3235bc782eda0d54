"""Numbers and texts as people read them. A missing number is a dash."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite
from typing import Final
from unicodedata import bidirectional
from zoneinfo import ZoneInfo

from llm_metrics_proxy.reports.model import Figure

MISSING: Final = "\N{EN DASH}"
MAX_CHARS: Final = 80  # of a name that somebody else chose
_MINUS: Final = "\N{MINUS SIGN}"
_TIMES: Final = "\N{MULTIPLICATION SIGN}"
_THOUSANDS: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
_NO_CHANGE: Final = 0.0005


def count(value: float) -> str:
    """Whole numbers with commas; from a million on three digits and a letter."""
    if abs(value) >= 1e6:
        factor, letter = next(one for one in _THOUSANDS if abs(value) >= one[0])
        return f"{value / factor:.3g} {letter}" if abs(value) < 1e15 else f"{value:.3g}"
    return f"{value:,.0f}"


def rounded(value: float) -> str:
    """Three significant digits, or a whole number."""
    return count(value) if abs(value) >= 100 else f"{value:.3g}"


def duration(milliseconds: float) -> str:
    """In the unit that suits it."""
    if abs(milliseconds) < 1:
        return f"{milliseconds:.2g} ms"
    if abs(milliseconds) < 999.5:
        return f"{milliseconds:.3g} ms"
    if abs(milliseconds) < 99_500:
        return f"{milliseconds / 1000:.3g} s"
    if abs(milliseconds) < 5_970_000:
        return f"{milliseconds / 60_000:.3g} min"
    return f"{rounded(milliseconds / 3_600_000)} h"


def money(dollars: float) -> str:
    """Two digits, more where they would all be zero."""
    return f"${dollars:,.2f}" if dollars == 0 or abs(dollars) >= 0.1 else f"${dollars:.2g}"


def percent(share: float) -> str:
    """One digit, two where little is missing to all or nothing."""
    shown = f"{share:.1%}"
    return f"{share:.2%}" if shown in ("0.0%", "100.0%") and share not in (0, 1) else shown


_BY_UNIT: Final[dict[str, Callable[[float], str]]] = {
    "ms": duration,
    "USD": money,
    "": percent,
    "tokens": count,
    "requests": count,
    "tokens/s": lambda value: f"{rounded(value)} tokens/s",
    "requests/s": lambda value: f"{rounded(value)}/s",
    "bytes": lambda value: f"{count(value)} B",
}


def shown(value: float | None, unit: str) -> str:
    """A number with its unit, unless the unit is what is counted."""
    if value is None or not isfinite(value):
        return MISSING
    return _BY_UNIT.get(unit, rounded)(value).replace("-", _MINUS)


def change(value: float | None) -> str:
    """A relative change, or nothing if there is none."""
    if value is None or not isfinite(value):
        return ""
    if abs(value) < _NO_CHANGE:
        return "±0%"
    text = f"{abs(value):.0%}" if abs(value) >= 0.0995 else f"{abs(value):.1%}"
    if value >= 9:
        return f"{_TIMES}{value + 1:,.0f}"
    return f"{'+' if value > 0 else _MINUS}{text}"


def changed(figure: Figure) -> str:
    """How a figure changed: shares in percentage points, as a relative change of a share misleads."""
    if figure.unit or figure.value is None or figure.previous is None:
        return change(figure.change)
    points = (figure.value - figure.previous) * 100
    return "±0" if abs(points) < 0.05 else f"{points:+.1f} points".replace("-", _MINUS)


def name(text: str | None) -> str:
    """A text that somebody else chose: what would move the cursor, turn the direction of writing or hide is shown as
    U+FFFD, and what is too long is cut."""
    if text is None:
        return "(none)"
    cut = text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 1]}…"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cut) or '""'


def isolated(text: str | None) -> str:
    """As ``name``, for the middle of a sentence: a name that is written from right to left must not turn what stands
    beside it around (Unicode's FSI and PDI)."""
    shown_name = name(text)
    turns = any(bidirectional(char) in ("R", "AL") for char in shown_name)
    return f"\u2068{shown_name}\u2069" if turns else shown_name


def moment(stored: str | None, zone: str, form: str = "%-d %b %Y, %H:%M") -> str:
    """A time of the API as a clock in the zone shows it; what is not a time is shown as it is."""
    if stored is None:
        return MISSING
    try:
        read = datetime.fromisoformat(stored)
    except ValueError:
        return name(stored)
    aware = read.replace(tzinfo=UTC) if read.tzinfo is None else read
    try:
        return aware.astimezone(ZoneInfo(zone)).strftime(form)
    except OverflowError:  # the first hours of year 1, the last of 9999
        return aware.strftime(form)


def length(start: str, end: str) -> str:
    """How long a range is, in words."""
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    for size, word in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            number = seconds / size
            digits = f"{number:.0f}" if abs(number - round(number)) < 0.05 else f"{number:.1f}"
            return f"{digits} {word}" if digits == "1" else f"{digits} {word}s"
    return f"{seconds:.0f} seconds"
