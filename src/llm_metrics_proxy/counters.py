"""Prometheus counters by series, kept in step with the database: what is stored with the rows is what is shown. One
file, because what is counted, stored and shown must agree.

A series is one (model, backend, endpoint, streaming). Its whole state is one MessagePack blob that the ingester stores
in the transaction that stores the rows, so a restart loses no count and counts none twice. Three rules hold it up:

* **Labels are bounded.** Clients choose models and paths, servers choose finish reasons: each label keeps a limited
  number of distinct values and everything later is ``other``. Names already stored keep their place after a restart.
  Categories and types of errors need no limit: they are those of one table.
* **Nothing goes down.** Prometheus takes a step down for a restart and counts everything before it again. So a scrape
  is shown only what is stored: a transaction that fails, or a process killed before its commit, takes back nothing
  that was ever shown. ``take_changes`` → commit → ``confirm``; after a failure ``load``. (A power cut may take back
  the last commits themselves, until their records are read again from the journal.)
* **Bounds are part of a name.** The bounds of a histogram never change under one name; other bounds get another name.
  A state may hold names that this release does not know: they are kept and stored again, unseen.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy import exemplars
from llm_metrics_proxy.errors import NewerDatabaseError, StoreError
from llm_metrics_proxy.exemplars import Exemplars, Fallen
from llm_metrics_proxy.quotas import QuotaBook
from llm_metrics_proxy.record import RequestRecord, UsageSource, is_fetch, was_streamed
from llm_metrics_proxy.storage.base import StoredWindow, WindowChanges
from llm_metrics_proxy.wire.error_types import OUTCOMES

OTHER: Final = "other"
UNKNOWN: Final = "unknown"  # category and type of a failure that nothing could be made of
STATE_FORMAT: Final = 1  # raised only when an older release could no longer read the state; fields are appended freely

# Upper bounds in milliseconds, inclusive. Each list begins with that of OpenTelemetry's GenAI conventions and ends with
# vLLM's, so that dashboards made for either show the proxy next to the server.
_TTFT_MS: Final = (1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1e3, 2.5e3, 5e3, 7.5e3, 1e4, 2e4, 4e4, 8e4, 1.6e5)
_TPOT_MS: Final = (10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1e3, 2.5e3, 5e3, 7.5e3, 1e4, 2e4, 4e4, 8e4)
_E2E_MS: Final = (10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 20480, 40960, 81920)
TTFT: Final = "time_to_first_token_seconds"
TPOT: Final = "time_per_output_token_seconds"
E2E_LATENCY: Final = "e2e_request_latency_seconds"
OVERHEAD: Final = "proxy_overhead_seconds"
BOUNDS_MS: Final[dict[str, tuple[float, ...]]] = {
    TTFT: (*_TTFT_MS, 6.4e5, 2.56e6),
    TPOT: _TPOT_MS,
    E2E_LATENCY: (*_E2E_MS, 1.2e5, 2.4e5, 4.8e5, 9.6e5, 1.92e6, 7.68e6),
    # The proxy's own share is below a millisecond; the upper end is waiting for an upstream connection.
    OVERHEAD: (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4),
}
# Floats compare faster with their like.
_BOUNDS: Final = tuple((name, tuple(map(float, bounds))) for name, bounds in BOUNDS_MS.items())
_INFINITY: Final = float("inf")
_REPEATED: Final = UsageSource.REPEATED  # an attribute of an enum is slow to look up
SeriesLabels = tuple[str, str, str, bool]  # a SeriesKey as a plain tuple: five times faster to make, once per record


class SeriesKey(NamedTuple):
    """The labels of one series; an empty string is a label that the record did not have."""

    model: str
    backend: str
    endpoint: str
    streaming: bool


class DurationHistogram(msgspec.Struct, array_like=True):
    """Counts per bucket (not cumulative; the last is above every bound) and the sum of the observed values."""

    buckets: list[int]
    sum_ms: float = 0.0


def _empty_histograms() -> dict[str, DurationHistogram]:
    return {name: DurationHistogram([0] * (len(bounds) + 1)) for name, bounds in BOUNDS_MS.items()}


class Series(msgspec.Struct, array_like=True):
    """Everything counted under one ``SeriesKey``. Stored as an array: fields are only ever appended."""

    format: int = STATE_FORMAT
    outcomes: dict[str, int] = {}
    errors: dict[str, dict[str, int]] = {}  # outcome -> word -> count: of 2.x, which classified nothing; never grows
    finish_reasons: dict[str, int] = {}
    prompt_tokens: int = 0
    generation_tokens: int = 0
    histograms: dict[str, DurationHistogram] = msgspec.field(default_factory=_empty_histograms)
    classified: dict[str, dict[str, int]] = {}  # error category -> type -> count
    cost_usd: float = 0.0  # of those whose cost is known
    not_priced: int = 0  # requests that used tokens at an unknown price
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_prompt_tokens: int = 0  # of requests whose cached tokens are reported
    cache_saved_usd: float = 0.0
    cache_surcharge_usd: float = 0.0  # a counter never goes down: what writing cost more than reading saved
    busy_ms: float = 0.0  # shares of the server's busy time


_Durations = tuple[float | None, float | None, float | None, float | None]  # milliseconds, in the order of BOUNDS_MS
# Those of a transaction are counted at once, in half the time.
_Change = tuple[Series, list[_Durations], list[RequestRecord]]
_encode: Final = msgspec.msgpack.Encoder().encode
decoded: Final = msgspec.msgpack.Decoder(Series).decode  # a state, as ``shown`` has them


class ShownSeries(NamedTuple):
    """A series as it was last stored. Another object each time that it changes."""

    state: bytes  # for ``decoded``
    exemplars: Exemplars = exemplars.NONE


class _Label:
    """The distinct values of one label, first come first served."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.known: set[str] = set()

    def value(self, name: str, *, may_claim: bool = True) -> str:
        """``name`` if it has a place or gets one, else ``other``."""
        if name in self.known or not name:
            return name
        if may_claim and len(self.known) < self.limit:
            self.known.add(name)
            return name
        return OTHER

    def remember(self, name: str) -> None:
        """A stored value keeps its place even where the limit has since been lowered."""
        if name and name != OTHER:
            self.known.add(name)


class CounterBook:
    """All series. The ingestion thread alone counts and confirms; any thread may ask what is ``shown``.

    They share one mapping of encoded states, which is replaced as a whole and never changed: no locks.
    """

    def __init__(self, model_limit: int = 100, *, label_limit: int = 50) -> None:
        """``model_limit`` distinct models, ``label_limit`` of each other label (endpoints, finish reasons, …)."""
        self.quotas = QuotaBook()
        self._limits = (model_limit, label_limit)
        self._published: Mapping[SeriesLabels, ShownSeries] = {}  # what is stored, and so may be shown
        self._clear()

    def _clear(self) -> None:
        model_limit, label_limit = self._limits
        self._series: dict[SeriesLabels, Series] = {}
        self._changing: dict[SeriesLabels, _Change] = {}  # observed since the last ``take_changes``
        self._taken: dict[SeriesLabels, ShownSeries] = {}  # handed out to be stored, and not yet confirmed
        self._models = _Label(model_limit)
        self._backends = _Label(label_limit)
        self._endpoints = _Label(label_limit)
        self._finish_reasons = _Label(label_limit)

    def observe(
        self,
        record: RequestRecord,
        error_category: str | None = None,
        cost_usd: float | None = None,
        *,
        savings_usd: float | None = None,
        busy_ms: float | None = None,
    ) -> None:
        """Count one record that ended, whatever its end, and is settled: its outcome and type are those of the table
        of errors, as ``error_category`` is. Missing values are left out, never counted as 0.

        ``savings_usd``: by prompt caches, perhaps below 0. ``busy_ms``: its share of its server's busy time.
        """
        key = (record.model or "", record.backend or "", record.endpoint, record.is_streaming)
        series, durations, records = self._changing.get(key) or self._change(key, record)

        self.quotas.observe(record)
        outcome, outcomes = record.outcome, series.outcomes
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if record.success:
            reason, reasons = record.finish_reason or "", series.finish_reasons
            if reason not in reasons:
                reason = self._finish_reasons.value(reason)
            reasons[reason] = reasons.get(reason, 0) + 1
        if error_category is not None or not record.success:  # what completed may be flagged
            counts = series.classified.setdefault(error_category or UNKNOWN, {})
            # Types of a category are those of one table, so they need no limit.
            error_type = (record.error_type if error_category else None) or UNKNOWN
            counts[error_type] = counts.get(error_type, 0) + 1

        if record.usage_source != _REPEATED:
            _count_tokens(series, record, cost_usd)
            cached, written = record.cached_tokens, record.cache_write_tokens
            if cached is not None or written is not None:
                _count_caches(series, record.prompt_tokens, cached, written, savings_usd)
        if busy_ms is not None:
            series.busy_ms += busy_ms

        durations.append((*_token_times(record), record.response_time_ms, record.proxy_overhead_ms))
        records.append(record)

    def _change(self, key: SeriesLabels, record: RequestRecord) -> "_Change":
        """The series of a record, which differs from now on from what is stored."""
        series = self._series.get(key)
        if series is None:
            key = self._labels(record)
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = Series()
        return self._changing.setdefault(key, (series, [], []))

    def _labels(self, record: RequestRecord) -> SeriesLabels:
        """The series of a record that names something new.

        A model that the server refused as such (4xx) claims no place: a client that tries names at random must not
        push the real ones into ``other``. A path that no dialect reads is ``other`` at once, as it may carry ids.
        """
        refused = not record.success and record.status_code is not None and 400 <= record.status_code < 500
        return (
            self._models.value(record.model or "", may_claim=not refused),
            self._backends.value(record.backend or ""),
            self._endpoints.value(record.endpoint) if record.dialect is not None else OTHER,
            record.is_streaming,
        )

    def take_changes(self) -> list[tuple[str, bytes]]:
        """(key, state) of every series observed since the last call, to be stored with the rows they came from.

        Then call ``confirm`` if they were stored, and ``load`` if they were not or that is unknown.
        """
        self._taken = {}
        for key, (series, durations, records) in self._changing.items():
            by_name = dict(zip(BOUNDS_MS, zip(*durations, strict=True), strict=True))
            fallen = _count_durations(series.histograms, by_name)
            before = self._published.get(key)
            kept = exemplars.NONE if before is None else before.exemplars
            self._taken[key] = ShownSeries(_encode(series), exemplars.with_newer(kept, fallen, by_name, records))
        self._changing.clear()
        return [(msgspec.json.encode(key).decode(), shown.state) for key, shown in self._taken.items()]

    def confirm(self) -> None:
        """What was last taken is stored: show exactly that."""
        self.quotas.confirm()
        if self._taken:
            self._published = {**self._published, **self._taken}
            self._taken = {}

    def take_windows(self) -> WindowChanges:
        """What has changed of servers' limits, to be stored and confirmed likewise."""
        return self.quotas.take_changes()

    def load(self, rows: Iterable[tuple[str, bytes]], windows: Iterable[StoredWindow] = ()) -> None:
        """Replace the content, and what is shown, by what is stored. Raises ``StoreError`` for garbage.

        What is stored can be more than what was shown (killed between commit and ``confirm``), never less. Exemplars
        stay: they are of what was shown.
        """
        stored = [_read(key, state) for key, state in rows]
        self.quotas.load(windows)
        self._clear()
        for key, series in stored:
            self._series[key] = series
            self._models.remember(key.model)
            self._backends.remember(key.backend)
            self._endpoints.remember(key.endpoint)
            for reason in series.finish_reasons:
                self._finish_reasons.remember(reason)
        before = self._published
        self._published = {
            key: ShownSeries(_encode(series), before[key].exemplars if key in before else exemplars.NONE)
            for key, series in self._series.items()
        }

    def shown(self) -> Mapping[SeriesLabels, ShownSeries]:
        """Every series as it was last stored, all of one commit. It never changes."""
        return self._published


def _count_tokens(series: Series, record: RequestRecord, cost_usd: float | None) -> None:
    tokens = record.prompt_tokens
    if tokens is not None and tokens > 0:
        series.prompt_tokens += tokens
    tokens = record.completion_tokens
    if tokens is not None and tokens > 0:
        series.generation_tokens += tokens
    if cost_usd is not None:
        series.cost_usd += cost_usd
    elif record.prompt_tokens or tokens:
        series.not_priced += 1


def _count_caches(
    series: Series, prompt: int | None, cached: int | None, written: int | None, savings_usd: float | None
) -> None:
    if cached is not None and 0 <= cached <= (prompt or 0):  # more than there was to read: nobody knows
        series.cached_tokens += cached
        series.cache_prompt_tokens += prompt or 0
    if written is not None and written > 0:
        series.cache_write_tokens += written
    if savings_usd:
        if savings_usd > 0:
            series.cache_saved_usd += savings_usd
        else:
            series.cache_surcharge_usd -= savings_usd


def _count_durations(
    histograms: dict[str, DurationHistogram], by_name: Mapping[str, tuple[float | None, ...]]
) -> Fallen:
    """Count them, and say which was the last to fall into each bucket."""
    fallen: dict[str, dict[int, int]] = {}
    for name, bounds in _BOUNDS:
        histogram = histograms[name]
        buckets, sum_ms = histogram.buckets, histogram.sum_ms
        last: dict[int, int] = {}
        for index, value in enumerate(by_name[name]):
            # Negative, infinite and NaN are not durations, and would make the sum go down or stay infinite.
            if value is not None and 0.0 <= value < _INFINITY:
                bucket = bisect_left(bounds, value)
                buckets[bucket] += 1
                sum_ms += value
                last[bucket] = index
        histogram.sum_ms = sum_ms
        fallen[name] = last
    return fallen


def outcomes_with_zeros(series: Series) -> dict[str, int]:
    """Counts of every outcome there is: a rate over the first error needs the 0 before it."""
    return {**dict.fromkeys(OUTCOMES, 0), **series.outcomes}


def _token_times(record: RequestRecord) -> tuple[float | None, float | None]:
    """Time to first token and time per output token in milliseconds, as the formulas of 4.0.0 have them."""
    if not was_streamed(record):
        return None, None
    first, last, tokens = record.time_to_first_token_ms, record.time_to_last_token_ms, record.completion_tokens
    if is_fetch(record):
        return first, None
    if first is not None and last is not None and tokens is not None and tokens > 1 and last > first >= 0:
        return first, (last - first) / (tokens - 1)
    return first, None


def _read(key: str, state: bytes) -> tuple[SeriesKey, Series]:
    try:
        labels = msgspec.json.decode(key, type=SeriesKey)
        series = decoded(state)
    except msgspec.MsgspecError as error:
        raise StoreError(f"the stored counters of the series {key} cannot be read: {error}") from error
    if series.format != STATE_FORMAT:
        raise NewerDatabaseError(
            f"the stored counters have format {series.format}, and this program knows {STATE_FORMAT}: "
            "they were written by a newer program; start that one"
        )
    series.histograms = _empty_histograms() | series.histograms  # an older release's state may lack some
    for name, bounds in BOUNDS_MS.items():
        if len(series.histograms[name].buckets) != len(bounds) + 1:
            raise StoreError(f"the stored counters of the series {key} are damaged: {name} has the wrong length")
    return labels, series
