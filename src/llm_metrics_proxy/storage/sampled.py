"""What servers and GPUs said in a stretch of time: a value that adds up, and its compact JSON. Pure.

A gauge is kept as how often it was read, its least, sum and greatest, and how often it was above the measure's mark
(``high``), so that "waiting for 12% of the time" follows from any range. What a counter grew by is a sum.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

MINUTE_S: Final = 60
QUARTER_S: Final = 900
SERVER: Final = "server"
GPU: Final = "gpu"
MOST_MODELS: Final = 32
_DIGITS: Final = 6  # significant: what a gauge says beyond them is noise


class Gauge(NamedTuple):
    """Of ``n`` readings; ``high``: of them, those above the mark of the measure."""

    n: int
    least: float
    sum: float
    greatest: float
    high: int

    @property
    def mean(self) -> float:
        """Of the readings."""
        return self.sum / self.n

    def plus(self, other: "Gauge") -> "Gauge":
        """Both together."""
        return Gauge(
            self.n + other.n,
            min(self.least, other.least),
            self.sum + other.sum,
            max(self.greatest, other.greatest),
            self.high + other.high,
        )


class ServerSample(NamedTuple):
    """One server or GPU from second ``at`` (Unix) on, for ``grain_s`` seconds. ``asked`` and ``answered``: how often.
    ``sums``: by measure, what its counter grew by; ``counted_s`` among them: over how many seconds that was."""

    grain_s: int
    at: int
    kind: str
    name: str
    asked: int
    answered: int
    gauges: Mapping[str, Gauge]
    sums: Mapping[str, float]
    models: tuple[str, ...] = ()  # that were loaded


class _Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON."""

    g: dict[str, tuple[int, float, float, float, int]] = {}
    s: dict[str, float] = {}
    m: tuple[str, ...] = ()


def merged(samples: Iterable[ServerSample], grain_s: int, at: int) -> ServerSample:
    """One sample of all, which are of one server or GPU; at least one."""
    kind = name = ""
    asked = answered = 0
    gauges: dict[str, Gauge] = {}
    sums: dict[str, float] = {}
    models: dict[str, None] = {}
    for sample in samples:
        kind, name = sample.kind, sample.name
        asked, answered = asked + sample.asked, answered + sample.answered
        for measure, gauge in sample.gauges.items():
            gauges[measure] = gauges[measure].plus(gauge) if measure in gauges else gauge
        for measure, grown in sample.sums.items():
            sums[measure] = sums.get(measure, 0.0) + grown
        models.update(dict.fromkeys(sample.models))
    return ServerSample(grain_s, at, kind, name, asked, answered, gauges, sums, tuple(models)[:MOST_MODELS])


def encoded(sample: ServerSample) -> str:
    """Gauges, sums and models as they are stored."""
    gauges = {
        name: (one.n, _short(one.least), _short(one.sum), _short(one.greatest), one.high)
        for name, one in sample.gauges.items()
    }
    sums = {name: _short(value) for name, value in sample.sums.items()}
    return msgspec.json.encode(_Said(gauges, sums, sample.models)).decode()


def decoded(row: tuple[Any, ...]) -> ServerSample:
    """A stored row: grain, second, kind, name, asked, answered, JSON. What cannot be read says nothing."""
    said = row[6]
    try:
        found = msgspec.json.decode(said, type=_Said)
    except msgspec.DecodeError:
        found = _Said()
    gauges = {name: Gauge(*values) for name, values in found.g.items() if values[0] > 0}
    return ServerSample(row[0], row[1], row[2], row[3], row[4], row[5], gauges, found.s, found.m)


def _short(value: float) -> float:
    """Six significant digits; whole numbers stay whole, and take no point."""
    whole = round(value)
    return whole if whole == value else float(f"{value:.{_DIGITS}g}")
