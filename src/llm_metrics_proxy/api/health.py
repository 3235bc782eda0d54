"""How the parts fare, as a value made from the workers' scoreboard and the ingester's status.

Pure: the time is passed in.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import msgspec

from llm_metrics_proxy.api.migrations import IDLE, figures, in_words
from llm_metrics_proxy.api.ports import DiskStatus, MigrationPorts, TurnedAway
from llm_metrics_proxy.ingestion import IngestionStatus
from llm_metrics_proxy.scoreboard import BackendStatus, WorkerStatus, journal_faults, records_lost, shortages
from llm_metrics_proxy.storage.base import ShippingStatus

HEARTBEAT_LIMIT_MS: Final = 5_000  # a worker writes one every second
LOSS_TOLD_MS: Final = 24 * 3600 * 1000  # a loss is no longer a fault of today after so long; its count stays
_NOBODY: Final = TurnedAway()
LAG_LIMIT_MS: Final = 30_000  # records reach the database within a second; half a minute means that something blocks


class WorkerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy worker; its counts go on over restarts of the process in its slot."""

    worker: int
    pid: int
    up: bool  # it gave a sign of life within the last 5 s
    draining: bool
    open_connections: int
    open_requests: int
    requests: int
    bad_requests: int
    records_written: int
    records_dropped: int
    records_waiting: int  # in the worker's memory only, until its journal can be written
    losses_untold: int  # of those dropped, how many have no row yet that says so
    journal_bytes: int
    bodies_bytes: int  # of request bodies that it holds, out of bodies_limit_bytes
    bodies_limit_bytes: int
    bodies_refused: int  # requests turned away because all of that was held
    connections_limit: int  # clients that it serves at once
    connections_refused: int  # connections turned away because there were as many
    journal_error: str | None  # why writing the journal fails at the moment
    journal_full: bool  # it has reached journal_max_bytes


class BackendHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One backend as one proxy worker sees it. There are none where a single backend was named by its URL alone."""

    worker: int
    name: str
    up: bool  # false: passed over as long as another one is well, until it answers
    open_requests: int
    failures_in_a_row: int
    ejections: int  # how often it was passed over so far


class IngestionHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How records get from the journal into the database."""

    records_ingested: int
    records_rejected: int
    open_requests: int
    lag_bytes: int
    lag_ms: float | None
    last_error: str | None
    damaged_bytes: int
    torn_frames: int
    unknown_frames: int
    last_commit_unix_ms: int | None
    records_lost: int | None  # requests served without a record, over all restarts; none: not known yet
    lost_first_unix_ms: int | None
    lost_last_unix_ms: int | None
    lost_reason: str | None


class MigrationHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A migration that this process runs; not a fault unless it keeps data from being read."""

    phase: str
    run_id: int | None
    done: int
    total: int  # 0: not known
    unit: str  # records, or pages while backing up
    percent: float | None
    per_s: float | None
    eta_s: float | None
    blocks_data: bool  # nothing can be read or stored until the older table is set aside


class DiskHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The disk of one part. While it is low, everything but storing waits."""

    disk: str  # what is on it: database or journal
    free_bytes: int
    reserve_bytes: int  # kept for storing records
    low: bool  # less than the reserve is free, or hardly more again


class ShippingHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How records get from the outbox, a part of the database file, to the store on the network."""

    waiting_records: int
    waiting_bytes: int  # compressed, out of store_outbox_bytes
    shipped_records: int  # since the start
    error: str | None  # why not, at the moment
    away_since_unix_ms: int | None  # when that began
    last_shipped_unix_ms: int | None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """``ok``, or ``degraded`` with every reason in words. The process answers, so the HTTP status is 200 either way."""

    status: str
    app_version: str
    reasons: list[str]
    ingestion: IngestionHealth | None  # none: ingestion does not run
    migration: MigrationHealth | None  # none: nothing migrates in this process
    workers: list[WorkerHealth]
    backends: list[BackendHealth] = []
    disks: list[DiskHealth] = []
    shipping: ShippingHealth | None = None  # none: records stay where they are stored first
    readers_refused: int = 0  # connections to the metrics API that got 503, or had to wait to be accepted


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether questions are answered and records taken in; if not, why."""

    ready: bool
    app_version: str
    reasons: list[str]


_FLAGS: Final = frozenset({"draining", "journal_full"})


def worker_health(worker: WorkerStatus, now_unix_ms: float) -> WorkerHealth:
    """What a slot of the scoreboard says at ``now_unix_ms``."""
    values = worker.values
    errno = values["journal_errno"]
    counts = {name: values[name] for name in WorkerHealth.__struct_fields__ if name in values and name not in _FLAGS}
    return WorkerHealth(
        worker=worker.slot,
        up=now_unix_ms - values["heartbeat_unix_ms"] <= HEARTBEAT_LIMIT_MS,
        journal_error=os.strerror(errno) if errno else None,
        draining=bool(values["draining"]),
        journal_full=bool(values["journal_full"]),
        **counts,
    )


def backend_health(backend: BackendStatus) -> BackendHealth:
    """What a row of the scoreboard says."""
    values = {name: value for name, value in backend.values.items() if name not in {"used", "up"}}
    return BackendHealth(worker=backend.slot, name=backend.name, up=bool(backend.values["up"]), **values)


_INGESTION_FAULTS: Final[tuple[tuple[Callable[[IngestionHealth], object], str], ...]] = (
    (lambda i: i.last_error, "records wait in the journal: {i.last_error}"),
    (lambda i: (i.lag_ms or 0) > LAG_LIMIT_MS, "the database is {i.lag_ms:.0f} ms behind the journal"),
    (lambda i: i.records_rejected, "{i.records_rejected} records could not be stored; the journal's folder keeps them"),
    (lambda i: i.unknown_frames, "{i.unknown_frames} frames of the journal are of a kind that a newer program writes"),
    (lambda i: i.damaged_bytes, "{i.damaged_bytes} bytes of the journal were damaged and could not be read"),
)


def migration_health(migrations: MigrationPorts | None) -> MigrationHealth | None:
    """What goes on, from memory alone."""
    if migrations is None:
        return None
    progress, blocks = migrations.progress(), migrations.blocks_store()
    if progress.phase == IDLE and not blocks:
        return None
    return MigrationHealth(run_id=migrations.run_id(), blocks_data=blocks, **figures(progress))


def _migration_faults(migrations: MigrationPorts) -> list[str]:
    problem = migrations.problem()
    faults = [] if problem is None else [problem]
    if migrations.blocks_store() and problem is None:
        faults.append(
            "the database of an older version is being made ready, and no data can be read until then: "
            f"{in_words(migrations.progress())}"
        )
    return faults


def _losses(ingestion: IngestionHealth | None, workers: Sequence[WorkerStatus], now_unix_ms: float) -> list[str]:
    """A loss in one sentence: the ingester's, which knows when and why, unless the workers know of more by now."""
    dropped, sentence = records_lost(workers)
    if ingestion is None or (ingestion.records_lost or 0) < dropped:
        return sentence
    first, last = ingestion.lost_first_unix_ms, ingestion.lost_last_unix_ms
    if not ingestion.records_lost or first is None or last is None or now_unix_ms - last > LOSS_TOLD_MS:
        return []
    between = " and ".join(
        datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        for ms in (first, last)
    )
    return [
        f"{ingestion.records_lost} requests were served without a record between {between}: {ingestion.lost_reason}"
    ]


def disk_health(disks: Mapping[str, DiskStatus], low: Collection[str]) -> list[DiskHealth]:
    """What is free, disk by disk."""
    return [
        DiskHealth(disk=name, free_bytes=room.free_bytes, reserve_bytes=room.reserve_bytes, low=name in low)
        for name, room in disks.items()
    ]


def assess(
    app_version: str,
    status: IngestionStatus | None,
    workers: Sequence[WorkerStatus],
    now_unix_ms: float,
    migrations: MigrationPorts | None = None,
    *,
    backends: Sequence[BackendStatus] = (),
    disks: Mapping[str, DiskStatus] = MappingProxyType({}),
    low_disks: Mapping[str, DiskStatus] = MappingProxyType({}),
    upkeep_problem: str | None = None,
    shipping: ShippingStatus | None = None,
    turned_away: TurnedAway = _NOBODY,
    ingests: bool = True,
) -> Health:
    """Everything at once. ``workers`` and ``backends`` are empty where they run on another host."""
    judged = [worker_health(worker, now_unix_ms) for worker in workers]
    reasons = [
        f"worker {worker.worker} (pid {worker.pid}) has given no sign of life for more than 5 s"
        for worker in judged
        if not worker.up
    ]
    reasons += journal_faults(workers) + shortages(workers, now_unix_ms)
    ingestion = None
    if status is None and ingests:
        reasons.append("ingestion does not run: records wait in the journal")
    if status is not None:
        ingestion = IngestionHealth(**{name: getattr(status, name) for name in IngestionHealth.__struct_fields__})
        reasons += [text.format(i=ingestion) for fault, text in _INGESTION_FAULTS if fault(ingestion)]
    reasons += _losses(ingestion, workers, now_unix_ms)
    seen = [backend_health(backend) for backend in backends]
    for name in dict.fromkeys(backend.name for backend in seen if not backend.up):
        by = [str(backend.worker) for backend in seen if backend.name == name and not backend.up]
        reasons.append(f"backend {name} is passed over by worker {', '.join(by)}, until it answers")
    if migrations is not None:
        reasons += _migration_faults(migrations)
    reasons += {room.device: room.in_words() for room in reversed(list(low_disks.values()))}.values()
    if upkeep_problem is not None:
        reasons.append(upkeep_problem)
    if shipping is not None and shipping.error is not None:
        reasons.append(f"{shipping.waiting_records} records wait in the outbox: {shipping.error}")
    if turned_away.lately:
        reasons.append(
            f"readers of the metrics were turned away in the last minute ({turned_away.readers} since the start): more "
            "were connected than the limit of open files allows"
        )
    return Health(
        status="degraded" if reasons else "ok",
        app_version=app_version,
        reasons=reasons,
        ingestion=ingestion,
        migration=migration_health(migrations),
        workers=judged,
        backends=seen,
        disks=disk_health(disks, low_disks),
        readers_refused=turned_away.readers,
        shipping=None if shipping is None else ShippingHealth(**msgspec.structs.asdict(shipping)),
    )
