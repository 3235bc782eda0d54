"""What the ``CounterBook`` counted, as lines of the exposition formats; OpenMetrics alone has exemplars.

A hundred models make tens of thousands of lines, and between two scrapes few series change: the lines of a series are
made once for each state that was stored. What was never counted has no line, as most combinations never are: no kind
of error, and no histogram. Two kinds of series exist at 0 anyway, so that ``rate()`` sees the first one:

* of each series every outcome, and the kinds of errors that the rules in ``contrib/`` select by model;
* every outcome and every kind of error once without a model, from the start.
"""

import threading
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from llm_metrics_proxy import exemplars
from llm_metrics_proxy.counters import (
    BOUNDS_MS,
    CounterBook,
    Series,
    SeriesLabels,
    ShownSeries,
    decoded,
    outcomes_with_zeros,
)
from llm_metrics_proxy.exemplars import Exemplar, Exemplars
from llm_metrics_proxy.wire.error_types import OUTCOMES, TAXONOMY

PREFIX: Final = "llm_proxy_"
_LABELS: Final = ("model", "backend", "endpoint", "streaming")
_ALERTED_CATEGORIES: Final = frozenset({"limit"})  # rules select these by model
_NO_ERRORS: Final[dict[tuple[str, ...], float]] = {
    (row.category, row.type): 0 for row in TAXONOMY if row.category in _ALERTED_CATEGORIES
}
_Samples = Iterable[tuple[tuple[str, ...], float]]


def _errors(series: Series) -> dict[tuple[str, ...], float]:
    """Counts by category and type. What 2.x counted has neither; it stays, as a counter that falls is a restart."""
    counts: dict[tuple[str, ...], float] = {**_NO_ERRORS}
    for category, by_type in series.classified.items():
        for error_type, n in by_type.items():
            counts[category, error_type] = n
    if series.errors:
        counts["", ""] = sum(n for by_word in series.errors.values() for n in by_word.values())
    return counts


class _Counter(NamedTuple):
    name: str  # Prometheus adds _total
    help: str
    extra_labels: tuple[str, ...]
    samples: Callable[[Series], _Samples]  # values of the extra labels, count
    at_start: tuple[tuple[str, ...], ...] = ()  # extra labels that exist at 0 from the start, without a model


_COUNTERS: Final = (
    _Counter(
        "requests",
        "Requests that ended, by how they ended.",
        ("outcome",),
        lambda series: [((outcome,), n) for outcome, n in outcomes_with_zeros(series).items()],
        tuple((outcome,) for outcome in OUTCOMES),
    ),
    _Counter(
        "errors",
        "Requests that went wrong, and completed ones that are flagged, by category and type.",
        ("error_category", "error_type"),
        lambda series: _errors(series).items(),
        tuple((row.category, row.type) for row in TAXONOMY),
    ),
    _Counter(
        "request_success",
        "Requests that completed, by finish reason; empty where the answer gave none.",
        ("finished_reason",),
        lambda series: [((reason,), n) for reason, n in series.finish_reasons.items()],
    ),
    _Counter(
        "prompt_tokens",
        "Input tokens that servers reported, cached ones included.",
        (),
        lambda series: [((), series.prompt_tokens)],
    ),
    _Counter(
        "generation_tokens",
        "Output tokens that servers reported, reasoning included.",
        (),
        lambda series: [((), series.generation_tokens)],
    ),
    _Counter(
        "cost_usd",
        "US dollars that requests cost, as priced when they ended, where that is known.",
        (),
        lambda series: [((), series.cost_usd)],
    ),
    _Counter(
        "cost_unknown_requests",
        "Requests that used tokens at an unknown price, as local models do.",
        (),
        lambda series: [((), series.not_priced)],
    ),
    _Counter(
        "cached_tokens",
        "Input tokens that servers read from a prompt cache.",
        (),
        lambda series: [((), series.cached_tokens)],
    ),
    _Counter(
        "cache_prompt_tokens",
        "Input tokens of requests whose server says how many were cached: cached_tokens / these is the hit ratio.",
        (),
        lambda series: [((), series.cache_prompt_tokens)],
    ),
    _Counter(
        "cache_write_tokens",
        "Input tokens that servers wrote to a prompt cache.",
        (),
        lambda series: [((), series.cache_write_tokens)],
    ),
    _Counter(
        "cache_saved_usd",
        "US dollars that prompt caches saved, of requests that they made cheaper.",
        (),
        lambda series: [((), series.cache_saved_usd)],
    ),
    _Counter(
        "cache_surcharge_usd",
        "US dollars that writing to prompt caches cost beyond what reading saved, of requests that it made dearer.",
        (),
        lambda series: [((), series.cache_surcharge_usd)],
    ),
    _Counter(
        "backend_busy_seconds",
        "Shares of the time in which servers had requests open; by server they add up to its busy time.",
        (),
        lambda series: [((), series.busy_ms / 1000)],
    ),
)
_HISTOGRAM_HELP: Final = {
    "time_to_first_token_seconds": "From the request's head to the first token; streams only.",
    "time_per_output_token_seconds": "(Last token - first token) / (completion tokens - 1); streams of two or more.",
    "e2e_request_latency_seconds": "From the request's head to the last byte to the client; failed requests included.",
    "proxy_overhead_seconds": "Time that the proxy itself added to a request.",
}
_BOUND_LABELS: Final = {
    name: [*(f',le="{bound / 1000!r}"}} ' for bound in bounds), ',le="+Inf"} '] for name, bounds in BOUNDS_MS.items()
}
FAMILIES: Final[tuple[Metric, ...]] = (
    *(CounterMetricFamily(PREFIX + each.name, each.help, labels=_LABELS) for each in _COUNTERS),
    *(HistogramMetricFamily(PREFIX + name, text, labels=_LABELS) for name, text in _HISTOGRAM_HELP.items()),
)


def of_clients_traces(exemplar: Exemplar) -> str:
    """What is appended to a bucket's line, where clients alone send traces."""
    own = exemplar.trace_id == exemplar.request_id
    return _exemplar(exemplar, None if own else exemplar.trace_id)


def of_every_trace(exemplar: Exemplar) -> str:
    """The same where this program sends a span of each request."""
    return _exemplar(exemplar, exemplar.trace_id)


def _exemplar(exemplar: Exemplar, trace_id: str | None) -> str:
    """OpenMetrics, "Exemplars": at most 128 characters of labels; these are 82. The ids are hex."""
    trace = "" if trace_id is None else f'trace_id="{trace_id}",'
    return f' # {{{trace}request_id="{exemplar.request_id}"}} {exemplar.value_ms / 1000!r} {exemplar.ended_s:.3f}'


ExemplarWords = Callable[[Exemplar], str]


class SeriesLines:
    """The lines of every family in ``FAMILIES``, in that order. From any thread."""

    def __init__(self, book: CounterBook) -> None:
        self._book = book
        self._kept: dict[tuple[SeriesLabels, ExemplarWords | None], tuple[ShownSeries, list[str]]] = {}
        self._lock = threading.Lock()

    def now(self, words: ExemplarWords | None = None) -> list[str]:
        """As last stored, all of one commit, sorted by labels. ``words`` of exemplars; none: without them."""
        shown = self._book.shown()
        with self._lock:
            for key, series in shown.items():
                kept = self._kept.get((key, words))
                if kept is None or kept[0] is not series:
                    self._kept[key, words] = (series, _lines(key, series, words))
            lines = [self._kept[key, words][1] for key in sorted(shown)]
        return ["".join(of_family) for of_family in zip(_AT_START, *lines, strict=True)]


def _lines(key: SeriesLabels, shown: ShownSeries, words: ExemplarWords | None) -> list[str]:
    """One text for each family; empty where nothing was counted."""
    series: Series = decoded(shown.state)
    newest: Exemplars = exemplars.NONE if words is None else shown.exemplars
    *names, streaming = key
    labels = _labels(_LABELS, (*names, "true" if streaming else "false"))
    found = [
        "".join(_line(each, f"{labels},{_labels(each.extra_labels, of)}", n) for of, n in each.samples(series))
        if each.extra_labels
        else "".join(_line(each, labels, n) for _, n in each.samples(series))
        for each in _COUNTERS
    ]
    for name in _HISTOGRAM_HELP:
        histogram = series.histograms[name]
        counts = list(accumulate(histogram.buckets))
        if counts[-1] == 0:
            found.append("")
            continue
        start = f"{PREFIX}{name}_bucket{{{labels}"
        ends = {} if words is None else {at: words(one) for at, one in newest.get(name, {}).items()}
        buckets = [
            f"{start}{bound}{n}{ends.get(at, '')}\n"
            for at, (bound, n) in enumerate(zip(_BOUND_LABELS[name], counts, strict=True))
        ]
        total = f"{PREFIX}{name}_count{{{labels}}} {counts[-1]}\n"
        found.append("".join((*buckets, total, f"{PREFIX}{name}_sum{{{labels}}} {histogram.sum_ms / 1000!r}\n")))
    return found


def _line(counter: _Counter, labels: str, n: float) -> str:
    return f"{PREFIX}{counter.name}_total{{{labels}}} {n!r}\n"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    """Both formats escape these three and nothing else."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


_AT_START: Final = [
    *("".join(_line(each, _labels(each.extra_labels, of), 0) for of in each.at_start) for each in _COUNTERS),
    *("" for _ in _HISTOGRAM_HELP),
]
