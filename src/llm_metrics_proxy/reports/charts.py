"""Charts as SVG for a page: pure text out of a ``Chart``. Colours are classes, so that the page's style decides.

No text of a record gets in here: series are identified by a number, and their names are in the page's legend. What is
missing leaves a gap.
"""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Final, NamedTuple

from llm_metrics_proxy.reports.model import Chart
from llm_metrics_proxy.reports.numbers import duration, moment, shown

WIDE, NARROW = (1000, 250), (480, 210)  # about as wide as on the page, so that letters have their size
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 10, 26
_PER_LABEL: Final = 80  # of width
_SHORT_DAYS: Final = 2  # up to this many, labels show hours
_Y_LINES: Final = 4
_MOST_TIMES: Final = 1e6  # smaller values are on the lowest line
_LEAST: Final = 1e-6  # less is drawn as nothing
_LOGARITHMIC_FROM: Final = 40  # times the smallest value: below, a straight scale shows more
_NICE: Final = (1, 2, 2.5, 5, 10)
# Steps of an axis of time, in ms: a clock has sixty minutes, not a hundred.
_TIME_STEPS: Final = tuple(
    size * number
    for size, numbers in (
        (1000, (1, 2, 5, 10, 15, 30)),
        (60_000, (1, 2, 5, 10, 15, 30)),
        (3_600_000, (1, 2, 3, 6, 12, 24)),
    )
    for number in numbers
)
_TIME_POWERS: Final = (1000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000, 360_000_000)


class Scale(NamedTuple):
    """``ticks`` from the lowest to the highest line, all values between them; ``logarithmic``: equal steps multiply."""

    ticks: tuple[float, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """0 at the lowest line, 1 at the highest."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.logarithmic:
            return (log10(max(value, low)) - log10(low)) / (log10(high) - log10(low))
        return (value - low) / (high - low)


class Area(NamedTuple):
    """How large a drawing is, and where its values stand."""

    width: int
    height: int

    @property
    def inner(self) -> int:
        """Width between the axis and the right margin."""
        return self.width - _LEFT - _RIGHT

    def x(self, number: float, count: int) -> float:
        """Of the so-and-so-manieth of ``count`` points."""
        return _LEFT + self.inner * number / max(count, 1)

    def y(self, scale: Scale, value: float) -> float:
        """Counted from above, as SVG does."""
        room = self.height - _TOP - _BOTTOM
        return self.height - _BOTTOM - room * min(max(scale.share(value), 0.0), 1.0)


def scale(values: Sequence[float], *, from_zero: bool, unit: str = "") -> Scale:
    """Round numbers around all values, in the unit that people read."""
    high = max(values, default=0.0)
    low = min(values, default=0.0)
    if not from_zero and low > 0 and high / low >= _LOGARITHMIC_FROM:
        powers = [10.0**power for power in range(floor(log10(max(low, high / _MOST_TIMES))), ceil(log10(high)) + 1)]
        if unit == "ms":
            powers = _of_clocks(powers, high)
        return Scale(tuple(powers), logarithmic=True)
    low = min(low, 0.0)
    if high - low < _LEAST:
        high = low + 1
    rough = (high - low) / _Y_LINES
    power = 10.0 ** floor(log10(rough))
    step = next(nice for nice in _NICE if nice * power >= rough * 0.999999) * power
    if unit == "ms" and rough > _TIME_STEPS[0] / 2:
        step = next((each for each in _TIME_STEPS if each >= rough * 0.999999), step)
    first, last = floor(low / step), ceil(high / step * 0.999999)
    return Scale(tuple(step * number for number in range(first, last + 1)))


def _of_clocks(powers: list[float], high: float) -> list[float]:
    """Powers of ten up to ten seconds, then minutes and hours."""
    small = [power for power in powers if power < _TIME_POWERS[0]]
    large = [float(power) for power in _TIME_POWERS if powers[0] <= power]
    beyond = next((place for place, power in enumerate(large) if power >= high * 0.999999), None)
    if beyond is None:
        return powers
    return small + large[: beyond + 1]


def svg(chart: Chart, zone: str, size: tuple[int, int]) -> str:
    """The chart as one ``svg`` element."""
    area = Area(*size)
    draw = {"stacked": _stacked, "lines": _lines}[chart.kind]
    known = [[value if value is not None and isfinite(value) else None for value in p.values] for p in chart.points]
    if chart.kind == "stacked":
        tops = [sum(max(value or 0.0, 0.0) for value in values) for values in known]
        y = scale(tops, from_zero=True, unit=chart.unit)
    else:
        y = scale(
            [value for values in known for value in values if value is not None], from_zero=False, unit=chart.unit
        )
    parts = [*_grid(chart, y, area), *draw(known, y, area), *_times(chart, zone, area)]
    label = escape(f"{chart.title}, {len(chart.points)} points in time")
    return (
        f'<svg viewBox="0 0 {area.width} {area.height}" role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )


def _grid(chart: Chart, y: Scale, area: Area) -> list[str]:
    parts = []
    for tick in y.ticks:
        at = area.y(y, tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{area.width - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        text = escape(_tick(tick, chart.unit, y))
        parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    return parts


def _tick(tick: float, unit: str, y: Scale) -> str:
    """Lines at equal distances have one unit."""
    if tick == 0 and unit != "USD":
        return "0"
    if unit == "ms" and not y.logarithmic:
        return duration(tick, like=y.ticks[-1])
    if unit == "USD" and y.ticks[-1] >= 0.1:
        return f"${tick:,.2f}"
    return shown(tick, unit).replace(" tok/s", "")


def _stacked(known: Sequence[Sequence[float | None]], y: Scale, area: Area) -> list[str]:
    """One rectangle for each part that is more than nothing."""
    count = len(known)
    width = area.inner / max(count, 1)
    gap = min(2.0, width * 0.15)
    parts = []
    for place, values in enumerate(known):
        below = 0.0
        for number, value in enumerate(values):
            if value is None or value <= 0:
                continue
            top, bottom = area.y(y, below + value), area.y(y, below)
            below += value
            parts.append(
                f'<rect class="s{number}" x="{area.x(place, count) + gap / 2:.1f}" y="{top:.1f}" '
                f'width="{width - gap:.1f}" height="{max(bottom - top, 0.5):.1f}"/>'
            )
    return parts


def _lines(known: Sequence[Sequence[float | None]], y: Scale, area: Area) -> list[str]:
    """A line through neighbours that are known; a dot for what has none."""
    count = len(known)
    parts = []
    for number in range(len(known[0]) if known else 0):
        run: list[str] = []
        for place, values in enumerate([*known, None]):
            value = None if values is None else values[number]
            if value is not None:
                run.append(f"{area.x(place + 0.5, count):.1f},{area.y(y, value):.1f}")
            elif len(run) == 1:
                x, _, at = run.pop().partition(",")
                parts.append(f'<circle class="s{number}" cx="{x}" cy="{at}" r="2"/>')
            elif run:
                parts.append(f'<polyline class="l{number}" points="{" ".join(run)}"/>')
                run = []
    return parts


def _times(chart: Chart, zone: str, area: Area) -> list[str]:
    """Where a day, or an hour, begins; as many as there is room for."""
    count = len(chart.points)
    long = len({point.start[:10] for point in chart.points}) > _SHORT_DAYS
    texts = [moment(point.start, zone, "%-d %b" if long else "%H:%M") for point in chart.points]
    new = [place for place in range(count) if place == 0 or texts[place] != texts[place - 1]]
    if len(new) > 1 and long:
        new = new[1:]  # the first day is seldom a whole one
    every = max(1, ceil(len(new) / (area.inner // _PER_LABEL)))
    return [
        f'<text class="tick" x="{x:.1f}" y="{area.height - 8}" text-anchor="middle">{escape(texts[place])}</text>'
        for place in new[::every]
        if (x := area.x(place + 0.5, count)) < area.width - _PER_LABEL / 4
    ]
