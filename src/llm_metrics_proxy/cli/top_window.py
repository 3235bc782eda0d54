"""The last seconds of traffic as ``top`` shows them: records go in as they arrive, and out when they are too old.

Pure: the time is passed in, as seconds of any clock. A record counts when its request has ended.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any, Final

import msgspec

MAX_RECORDS: Final = 20_000  # held in memory; what goes beyond is counted only
NEWEST: Final = 100

Record = Mapping[str, Any]


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Of the ``n`` records that have the value; each is one of the values (nearest rank)."""

    n: int
    p50: float | None
    p95: float | None


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars over the ``n`` records whose cost is known; ``None`` if none is."""

    n: int
    sum: float | None


class ModelLine(msgspec.Struct, frozen=True, kw_only=True):
    """One model in the window."""

    model: str | None
    requests: int
    requests_per_second: float
    errors: int
    time_to_first_token_ms: Percentiles  # streams only
    output_tokens_per_second: Percentiles  # streams only
    cost_usd: Cost


class TopFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The window at one moment. ``unseen``: requests of the window that were too many to read one by one; they
    count in ``requests`` and ``requests_per_second``, and in nothing else."""

    source: str
    window_s: float  # its length; less than requested in the first seconds
    requests: int
    requests_per_second: float
    unseen: int
    errors: int
    error_rate: float | None  # errors / requests read; none without requests
    cost_usd: Cost
    open_requests: int | None
    models: list[ModelLine]  # the busiest first
    newest: list[dict[str, Any]]  # as the API shows records; the newest first
    problem: str | None  # why there is nothing new at the moment


def output_speed(record: Record) -> float | None:
    """``output_tokens_per_second``: (completion_tokens - 1) / (TTLT - TTFT in seconds); streams of 2 tokens or more."""
    if "output_tokens_per_second" in record:
        stored: float | None = record["output_tokens_per_second"]
        return stored
    tokens, first_ms, last_ms = (
        record.get(name) for name in ("completion_tokens", "time_to_first_token_ms", "time_to_last_token_ms")
    )
    if not record.get("is_streaming") or tokens is None or first_ms is None or last_ms is None:
        return None
    return (tokens - 1) * 1000 / (last_ms - first_ms) if tokens > 1 and last_ms > first_ms else None


def percentiles(values: Sequence[float]) -> Percentiles:
    """Nearest rank: a person at a terminal sees a number that was measured."""
    ordered = sorted(values)
    p50, p95 = (ordered[ceil(share * len(ordered)) - 1] if ordered else None for share in (0.5, 0.95))
    return Percentiles(n=len(ordered), p50=p50, p95=p95)


class TrafficWindow:
    """The last ``length_s`` seconds. Times must not go back."""

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._records: deque[tuple[float, Record]] = deque(maxlen=MAX_RECORDS)
        self._counts: deque[tuple[float, int]] = deque()
        self._newest: deque[Record] = deque(maxlen=NEWEST)
        self._since_s: float | None = None

    def add(self, at_s: float, records: Sequence[Record], requests: int) -> None:
        """``requests`` that ended at ``at_s``, of which ``records`` are known."""
        self._since_s = at_s if self._since_s is None else min(self._since_s, at_s)
        self._records.extend((at_s, record) for record in records)
        self._counts.append((at_s, requests))
        self._newest.extend(records)

    def snapshot(
        self, now_s: float, *, source: str, open_requests: int | None = None, problem: str | None = None
    ) -> TopFrame:
        """The window as it is at ``now_s``."""
        begin = now_s - self._length_s
        for kept in (self._records, self._counts):
            while kept and kept[0][0] < begin:
                kept.popleft()
        length_s = self._length_s if self._since_s is None else min(self._length_s, max(1.0, now_s - self._since_s))
        requests = sum(n for _, n in self._counts)
        seen = [record for _, record in self._records]
        errors = sum(failed(record) for record in seen)
        return TopFrame(
            source=source,
            window_s=length_s,
            requests=requests,
            requests_per_second=requests / length_s,
            unseen=requests - len(seen),
            errors=errors,
            error_rate=errors / len(seen) if seen else None,
            cost_usd=cost(seen),
            open_requests=open_requests,
            models=_models(seen, length_s),
            newest=[dict(record) for record in reversed(self._newest)],
            problem=problem,
        )


def cost(records: Iterable[Record]) -> Cost:
    """Added up; a server of an older version sends none."""
    known = [float(value) for record in records if (value := record.get("cost_usd")) is not None]
    return Cost(n=len(known), sum=sum(known) if known else None)


def failed(record: Record) -> bool:
    """Complete but flagged answers (policy) are not failures here."""
    return record.get("success") is False


def _models(seen: Sequence[Record], length_s: float) -> list[ModelLine]:
    by_model: defaultdict[str | None, list[Record]] = defaultdict(list)
    for record in seen:
        by_model[record.get("model")].append(record)
    busiest_first = sorted(by_model.items(), key=lambda one: (-len(one[1]), one[0] or ""))
    return [
        ModelLine(
            model=model,
            requests=len(records),
            requests_per_second=len(records) / length_s,
            errors=sum(map(failed, records)),
            time_to_first_token_ms=percentiles(
                [
                    first_ms
                    for record in records
                    if record.get("is_streaming") and (first_ms := record.get("time_to_first_token_ms")) is not None
                ]
            ),
            output_tokens_per_second=percentiles(
                [speed for record in records if (speed := output_speed(record)) is not None]
            ),
            cost_usd=cost(records),
        )
        for model, records in busiest_first
    ]
