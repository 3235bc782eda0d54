"""Readings of one server or GPU, added up to a sample of each minute. Pure."""

from collections.abc import Mapping
from typing import Final

from llm_metrics_proxy.servers.readings import COUNTED_S, COUNTERS, GAUGES, GPU_GAUGES
from llm_metrics_proxy.storage.sampled import GPU, MINUTE_S, MOST_MODELS, Gauge, ServerSample

_LONGEST_GAP_S: Final = 600.0  # between readings of which counters are compared
_MEASURES: Final = {**GAUGES, **GPU_GAUGES}


class Minutes:
    """One of a name. ``add`` gives the minute before as soon as another one begins."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name
        self._at: int | None = None
        self._counters: Mapping[str, float] = {}
        self._counted_at = 0.0
        self._begin(None)

    def add(
        self,
        unix_s: float,
        gauges: Mapping[str, float],
        counters: Mapping[str, float] | None = None,
        models: tuple[str, ...] = (),
        *,
        answered: bool | None,
    ) -> ServerSample | None:
        """What was seen at a moment; ``answered``: whether it answered, ``None`` if it was not asked. ``counters``:
        ``None`` where none were read."""
        at = int(unix_s) - int(unix_s) % MINUTE_S
        finished = self.finish() if self._at is not None and at != self._at else None
        self._at = at
        self._asked += answered is not None
        self._answered += answered is True
        for name, value in gauges.items():
            one = Gauge(1, value, value, value, int(value > _MEASURES[name].high))
            self._gauges[name] = self._gauges[name].plus(one) if name in self._gauges else one
        if counters is not None:
            self._count(counters, unix_s)
        self._models.update(dict.fromkeys(models))
        return finished

    def finish(self) -> ServerSample | None:
        """The minute as far as it is known, which is forgotten; none: it has not begun."""
        sample = self.so_far()
        self._begin(None)
        return sample

    def so_far(self) -> ServerSample | None:
        """The same, and it is not forgotten. From any thread."""
        if self._at is None:
            return None
        return ServerSample(
            MINUTE_S,
            self._at,
            self.kind,
            self.name,
            self._asked,
            self._answered,
            dict(self._gauges),
            dict(self._sums),
            tuple(self._models)[:MOST_MODELS],
        )

    def _begin(self, at: int | None) -> None:
        self._at = at
        self._asked = self._answered = 0
        self._gauges: dict[str, Gauge] = {}
        self._sums: dict[str, float] = {}
        self._models: dict[str, None] = {}

    def _count(self, counters: Mapping[str, float], unix_s: float) -> None:
        """What they grew by. One that fell belongs to a server that was started again: it says nothing this time."""
        before, elapsed_s = self._counters, unix_s - self._counted_at
        self._counters, self._counted_at = counters, unix_s
        if not before or not 0 < elapsed_s <= _LONGEST_GAP_S:
            return
        if any(value < before[name] for name, value in counters.items() if name in before):
            return
        grown = {name: value - before[name] for name, value in counters.items() if name in before and name in COUNTERS}
        for name, value in (*grown.items(), (COUNTED_S, elapsed_s)):
            self._sums[name] = self._sums.get(name, 0.0) + value


def minutes_of_gpu(number: str, name: str) -> Minutes:
    """A GPU's name says its number, so that two of a kind are two."""
    return Minutes(GPU, f"{number}: {name}")
