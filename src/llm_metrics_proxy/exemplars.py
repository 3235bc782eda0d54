"""Exemplars: of each bucket of a histogram the newest request that fell into it, so that a point of a chart leads to a
request and to its trace. Pure.

They are kept in memory alone: after a restart a bucket has none until a request falls into it again.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from llm_metrics_proxy.record import RequestRecord

Fallen = Mapping[str, Mapping[int, int]]  # histogram → bucket → the last record of a batch that fell into it


class Exemplar(NamedTuple):
    """``trace_id``: the client's, else the request's own id, which the trace of its span bears; none: not kept."""

    value_ms: float
    ended_s: float  # Unix time
    request_id: str
    trace_id: str | None


Exemplars = Mapping[str, Mapping[int, Exemplar]]  # histogram → bucket
NONE: Final[Exemplars] = {}


def with_newer(
    kept: Exemplars, fallen: Fallen, values: Mapping[str, Sequence[float | None]], records: Sequence[RequestRecord]
) -> Exemplars:
    """``kept`` and what a batch brings; ``values`` by histogram, in the order of ``records``, milliseconds.

    Prometheus refuses an exemplar that is older than the one before it, so the later end wins, not the later arrival.
    """
    ends: dict[int, float | None] = {}
    found = dict(kept)
    for name, buckets in fallen.items():
        of_one = dict(found.get(name, {}))
        for bucket, index in buckets.items():
            record, value = records[index], values[name][index]
            if index not in ends:
                ends[index] = _ended_s(record)
            ended_s, before = ends[index], of_one.get(bucket)
            if value is None or ended_s is None or (before is not None and before.ended_s >= ended_s):
                continue
            trace_id = None if record.trace_sampled is False else record.trace_id or record.request_id
            of_one[bucket] = Exemplar(value, ended_s, record.request_id, trace_id)
        if of_one:
            found[name] = of_one
    return found


def _ended_s(record: RequestRecord) -> float | None:
    try:
        began = datetime.fromisoformat(record.timestamp)
    except ValueError:
        return None
    began = began if began.tzinfo else began.replace(tzinfo=UTC)
    return began.timestamp() + (record.response_time_ms or 0.0) / 1000
