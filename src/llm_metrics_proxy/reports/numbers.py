"""Numbers and texts as people read them: as the page says them in English, which a test holds side by side
(``dashboard/src/format``). A missing number is a dash."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Final
from unicodedata import bidirectional
from zoneinfo import ZoneInfo

from llm_metrics_proxy.reports.model import Figure

MISSING: Final = "\N{EN DASH}"
MAX_CHARS: Final = 80  # of a name that somebody else chose
_MINUS: Final = "\N{MINUS SIGN}"
_TIMES: Final = "\N{MULTIPLICATION SIGN}"
_THOUSANDS: Final = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))
_COMPACT_FROM: Final = 10_000  # below, every digit is shown
_NO_CHANGE: Final = 0.0005


def significant(value: float, digits: int = 3) -> str:
    """With commas, and without zeros that say nothing."""
    text = f"{Decimal(f'{value:.{digits}g}'):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: float) -> str:
    """950 · 12.3K · 4.56M; whole below 10,000."""
    if abs(value) < _COMPACT_FROM:
        return f"{value:,.0f}"
    rounded = float(f"{value:.3g}")
    factor, letter = next(one for one in _THOUSANDS if abs(rounded) >= one[0])
    return f"{significant(rounded / factor)}{letter}"


def duration(milliseconds: float, like: float | None = None) -> str:
    """Three significant digits in the unit that suits it, or suits ``like``: of an axis, all lines have one."""
    length = abs(milliseconds if like is None else like)
    size, unit = next(((size, unit) for start, size, unit in _DURATIONS if length >= start), (1, "ms"))
    text = significant(milliseconds / size)
    return f"{text} {unit}" if unit != "day" or text == "1" else f"{text} days"


_DURATIONS: Final = (
    (86_400_000, 86_400_000, "day"),
    (3_600_000, 3_600_000, "hr"),
    (120_000, 60_000, "min"),
    (1000, 1000, "sec"),
)
_SIZES: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def size(value: float) -> str:
    """Bytes, in powers of 1,000."""
    factor, unit = next((one for one in _SIZES if abs(value) >= one[0]), (1.0, "byte"))
    return f"{significant(value / factor)} {unit}"


def money(dollars: float) -> str:
    """Two digits; of small amounts two significant ones: $0.00042 is not $0.00."""
    if dollars == 0 or abs(dollars) >= 0.995:
        return f"${dollars:,.2f}"
    rounded = Decimal(f"{dollars:.2g}")
    return f"${rounded:.{1 - rounded.adjusted()}f}"


def percent(share: float) -> str:
    """One digit; more where little is missing to all or nothing, so that neither is said of what is not."""
    if share in (0, 1) or not 0 < share < 1:
        return _without_zeros(f"{share:.1%}")
    digits = 4 if share > 0.999 or share < 0.001 else 2 if share > 0.99 else 1
    return _without_zeros(f"{min(max(share, 0.000001), 0.999999):.{digits}%}")


def _without_zeros(text: str) -> str:
    return f"{text[:-1].rstrip('0').rstrip('.')}%"


_BY_UNIT: Final[dict[str, Callable[[float], str]]] = {
    "ms": duration,
    "USD": money,
    "": percent,
    "tokens": count,
    "requests": count,
    "tokens/s": lambda value: f"{significant(value)} tok/s",
    "requests/s": significant,
    "bytes": size,
}


def shown(value: float | None, unit: str) -> str:
    """A number with its unit, unless the unit is what is counted."""
    if value is None or not isfinite(value):
        return MISSING
    return _BY_UNIT.get(unit, significant)(value).replace("-", _MINUS)


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


def plain(sentence: str) -> str:
    """A sentence with names that somebody else chose in it: as ``name``, word by word."""
    return " ".join(name(word) if word else "" for word in sentence.split(" "))


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
