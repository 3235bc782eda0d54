"""Is my box saturated? What servers say of themselves, beside what the proxy sees of them, over a range."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from llm_metrics_proxy.analytics import Query, RequestFilter
from llm_metrics_proxy.analytics.calendar import BUCKETS, buckets, shortest_bucket
from llm_metrics_proxy.analytics.history import History, history_of
from llm_metrics_proxy.analytics.query import check_timezone
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.servers.folding import over_time, totals
from llm_metrics_proxy.servers.proxied import MOST_SERVERS, Proxied, read_proxied
from llm_metrics_proxy.servers.seen import AskingState, GpuSeen, Seen, ServerSeen
from llm_metrics_proxy.servers.verdict import ADVICE, SaturationVerdict, judge, with_queue
from llm_metrics_proxy.storage.sampled import GPU, MOST_MODELS, QUARTER_S, SERVER, ServerSample

DEFAULT_RANGE: Final = timedelta(hours=24)
_WIDE_ENOUGH: Final = "15m"  # for samples of a quarter of an hour
Samples = Callable[[float, float], list[ServerSample]]  # from and to, Unix seconds


class ServersPort(NamedTuple):
    """What the metrics process knows of servers. ``host``: whose samples these are."""

    seen: Callable[[], Seen]
    samples: Samples
    host: str


NO_SERVERS: Final = ServersPort(Seen, lambda _start, _end: [], "")


class ServersQuery(NamedTuple):
    """The range; without ``start`` the 24 hours before ``end``, without ``end`` up to now."""

    start: datetime | None = None
    end: datetime | None = None
    timezone: str = "UTC"
    bucket: str | None = None


class ModelShown(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a server's memory. ``vram_bytes``: of ``size_bytes``, what is on GPUs."""

    name: str
    size_bytes: int | None
    vram_bytes: int | None
    context_tokens: int | None
    expires_at: str | None  # as the server says it


class ServerShown(msgspec.Struct, frozen=True, kw_only=True):
    """One server. ``now``: its gauges as last read; ``totals``: of the range; ``series``: a value for each of
    ``times``. What is not known is null, or is not there."""

    name: str
    state: str
    program: str
    advice: str | None  # a code: what would make it tell more
    advice_text: str | None
    asked_at: str | None
    told_at: str | None
    now: dict[str, float]
    models: list[ModelShown]
    models_in_range: list[str]
    totals: dict[str, float | None]
    series: dict[str, list[float | None]]
    verdict: SaturationVerdict


class GpuShown(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU of the host that answers."""

    name: str
    read_at: str | None
    now: dict[str, float]
    totals: dict[str, float | None]
    series: dict[str, list[float | None]]


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """Every server of the settings, and those that told something in the range. Samples are of ``host`` alone."""

    app_version: str
    host: str
    start: datetime
    end: datetime
    timezone: str
    bucket: str
    times: list[datetime]  # first moments of the buckets
    servers: list[ServerShown]
    gpus: list[GpuShown]
    history: History | None


def servers_report(records: Records, ports: ServersPort, query: ServersQuery, now: datetime) -> Servers:
    """The answer. Raises ``QueryError`` and ``StoreError``."""
    check_timezone(query.timezone)
    end = query.end or now
    start = query.start or end - DEFAULT_RANGE
    if start >= end:
        raise QueryError("start", "start must be before end: start is inclusive and end exclusive")
    samples = ports.samples(start.timestamp(), end.timestamp())
    bucket = _bucket(query, start, end, samples)
    times = [one.start for one in buckets(start, end, bucket, ZoneInfo(query.timezone))]
    seen = ports.seen()
    servers, gpus = _grouped(samples, SERVER), _grouped(samples, GPU)
    known = {one.name for one in seen.servers}
    named = [*seen.servers, *(ServerSeen(name, AskingState.GONE) for name in servers if name not in known)]
    over = Query(
        group_by=("time",),
        filter=RequestFilter(start=start, end=end),
        bucket=bucket,
        timezone=query.timezone,
        limit=MOST_SERVERS,
    )
    proxied = read_proxied(records, over, times, now)
    seen_gpus = {one.name: one for one in seen.gpus}
    return Servers(
        app_version=APP_VERSION,
        host=ports.host,
        start=start,
        end=end,
        timezone=query.timezone,
        bucket=bucket,
        times=times,
        servers=[
            _server(one, servers.get(one.name, []), times, proxied, is_only=len(seen.servers) == 1) for one in named
        ],
        gpus=[_gpu(name, seen_gpus.get(name), gpus.get(name, []), times) for name in {**seen_gpus, **gpus}],
        history=history_of(records.carried()),
    )


def _server(
    it: ServerSeen, samples: Sequence[ServerSample], times: Sequence[datetime], proxied: Proxied, *, is_only: bool
) -> ServerShown:
    """``is_only``: records without a server's name are of this one."""
    key = it.name if it.name in proxied.totals or not is_only else None
    numbers = totals(samples) | proxied.totals.get(key, {})
    now = dict(it.reading.gauges) if it.reading is not None else {}
    if it.open_requests is not None:
        now["open_requests"] = it.open_requests
    models = it.reading.models if it.reading is not None else ()
    return ServerShown(
        name=it.name,
        state=it.state.value,
        program=it.program,
        advice=it.advice,
        advice_text=ADVICE[it.advice] if it.advice is not None else None,
        asked_at=_moment(it.asked_at),
        told_at=_moment(it.told_at),
        now=now,
        models=[ModelShown(**model._asdict()) for model in models],
        models_in_range=list(dict.fromkeys(name for one in samples for name in one.models))[:MOST_MODELS],
        totals=numbers,
        series=over_time(samples, _seconds(times), SERVER) | proxied.series.get(key, {}),
        verdict=judge(with_queue(numbers)),
    )


def _gpu(name: str, it: GpuSeen | None, samples: Sequence[ServerSample], times: Sequence[datetime]) -> GpuShown:
    return GpuShown(
        name=name,
        read_at=_moment(it.read_at) if it is not None else None,
        now=dict(it.reading.gauges) if it is not None else {},
        totals=totals(samples),
        series=over_time(samples, _seconds(times), GPU),
    )


def _bucket(query: ServersQuery, start: datetime, end: datetime, samples: Sequence[ServerSample]) -> str:
    if query.bucket is not None:
        if query.bucket not in BUCKETS:
            raise QueryError("bucket", unknown("bucket", query.bucket, BUCKETS))
        return query.bucket
    bucket = shortest_bucket(start, end)
    if any(one.grain_s == QUARTER_S for one in samples) and BUCKETS[bucket].about < BUCKETS[_WIDE_ENOUGH].about:
        return _WIDE_ENOUGH
    return bucket


def _grouped(samples: Sequence[ServerSample], kind: str) -> dict[str, list[ServerSample]]:
    found: dict[str, list[ServerSample]] = {}
    for sample in samples:
        if sample.kind == kind:
            found.setdefault(sample.name, []).append(sample)
    return found


def _seconds(times: Sequence[datetime]) -> list[float]:
    return [moment.timestamp() for moment in times]


def _moment(unix_s: float | None) -> str | None:
    if unix_s is None:
        return None
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
