"""``python -m llm_metrics_proxy.processes.metrics_process``: the metrics process, a child of the supervisor.

It starts with one line of JSON (``MetricsOptions``) on standard input, which stays open: later lines bring new prices,
objectives and alerts, and its end means that the supervisor is gone, even by ``kill -9``. On that, and on SIGTERM, it
answers open requests, stores what the journal still holds, and exits with 0. The exit code is 2 for options that cannot
be read, and 3 for a database that it must not write: a newer program's, a foreign one, or an older one that may not be
migrated (``auto_migrate``).

A database of an older version is migrated by a thread of its own (``migration.service``). Until that has seen what the
file is, the store stays shut and records wait in the journal.
"""

import logging
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Final

import msgspec
from apsw import Connection

from llm_metrics_proxy import dashboard, handbook, logs
from llm_metrics_proxy.api import help_pages
from llm_metrics_proxy.api.app import create_app
from llm_metrics_proxy.api.capacity import ReaderCapacity
from llm_metrics_proxy.api.ports import ApiPorts, GuardedNames
from llm_metrics_proxy.api.server import serve
from llm_metrics_proxy.api.session import Sessions
from llm_metrics_proxy.api.site import Site
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.engines import open_migrations, open_records, open_shared, open_store
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.ingestion import IngestionStatus, Ingestor
from llm_metrics_proxy.migration.lock import lock_holder
from llm_metrics_proxy.migration.service import MigrationService
from llm_metrics_proxy.pricing import Pricer
from llm_metrics_proxy.process_memory import collect_rarely, give_back_large_blocks
from llm_metrics_proxy.processes.demo_prices import DEMO_PRICES
from llm_metrics_proxy.processes.metrics_options import MetricsOptions
from llm_metrics_proxy.processes.migration_ports import ServerPorts, ServicePorts, migration_options
from llm_metrics_proxy.processes.reloads import Reloads, listen_to_the_supervisor
from llm_metrics_proxy.processes.server_polling import make_poller, poller_options, samples_of
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.servers.report import ServersPort
from llm_metrics_proxy.storage.compact import remove_leftovers
from llm_metrics_proxy.storage.disk_space import DATABASE, JOURNAL, DiskWatch
from llm_metrics_proxy.storage.insertion import AfterInsert, Values
from llm_metrics_proxy.storage.sqlite import SqliteReader
from llm_metrics_proxy.store_address import StoreAccess, access_of
from llm_metrics_proxy.telemetry import TelemetryExporter
from llm_metrics_proxy.upkeep import Retention, UpkeepService
from llm_metrics_proxy.watch.watcher import Rules, Watcher

# A container has 10 s to stop. What is not stored by then stays in the journal for the next start.
DRAIN_TIMEOUT_S: Final = 5.0
QUERY_TIMEOUT_S: Final = 30.0
# apsw gives up the interpreter's lock at every row, and has to wait this long for it while another thread calculates:
# with Python's 5 ms, an answer of a few hundred rows takes a second while records are rolled up.
SWITCH_S: Final = 0.0005
FIRST_LOOK_S: Final = 2.0  # so that an ordinary start says nothing of a store that is not open yet

log = logging.getLogger(__name__)


def run(options: MetricsOptions, stop: threading.Event, reloads: Reloads | None = None) -> None:
    """Migrate, ingest and answer until ``stop``, then store what remains. ``reloads`` may bring other prices.

    Raises ``NewerDatabaseError``, ``ForeignDatabaseError`` or ``MigrationRefusedError`` (without ``auto_migrate``). A
    database that cannot be opened at the moment shows in ``/health`` and is tried again.
    """
    path = Path(options.db_path)
    migrations = MigrationService(path, migration_options(options), allowed=options.auto_migrate, migrations=MIGRATIONS)
    if lock_holder(path) is None:
        with suppress(OSError):
            remove_leftovers(path)
    migrations.start(on_refusal=stop.set)
    try:
        migrations.wait_until_looked(FIRST_LOOK_S)
        if migrations.refusal is None:
            _ingest_and_answer(options, path, migrations, stop, reloads or Reloads())
    finally:
        stop.set()
        migrations.stop()
    if migrations.refusal is not None:
        raise migrations.refusal


def _ingest_and_answer(  # noqa: PLR0915 -- it is the composition root
    options: MetricsOptions, path: Path, migrations: MigrationService, stop: threading.Event, reloads: Reloads
) -> None:
    disk = DiskWatch({DATABASE: path.parent, JOURNAL: Path(options.journal_dir)})

    @cache
    def folding() -> AfterInsert:
        from llm_metrics_proxy.storage.rollup_store import Folding  # noqa: PLC0415 -- numpy, only if used

        return Folding()

    def fold(connection: Connection, first: int, columns: Values) -> None:
        if disk.has():  # else the records are stored without, and rolled up once there is room
            folding()(connection, first, columns)

    if options.metrics_role != "ingest" and not dashboard.is_built():
        log.warning(dashboard.MISSING)
    access = access_of(options.store, options.store_password, options.store_ca_file, options.store_cluster)
    store, shipping = open_store(
        path,
        access=access,
        host=options.host_name,
        admit=migrations.admit,
        after_insert=fold,
        outbox_bytes=options.store_outbox_bytes,
        retention_days=options.retention_days,
    )
    upkeep = UpkeepService(
        path,
        _retention(options, access),
        admit=migrations.admit,
        disk=disk,
        batch_lock_ms=options.migration_batch_lock_ms,
    )
    reader = SqliteReader(path, timeout_s=QUERY_TIMEOUT_S)
    records = open_records(reader, access, timeout_s=QUERY_TIMEOUT_S)
    ingests, answers = options.metrics_role != "read", options.metrics_role != "ingest"
    shared = open_shared(
        path,
        access if answers else None,
        MIGRATIONS,
        auto_migrate=options.auto_migrate,
        undo_days=options.migration_undo_days,
    )
    try:
        book = CounterBook(options.prometheus_model_limit)
        pricer, rules = _pricer_and_rules(options)
        telemetry = None if options.otlp is None else TelemetryExporter(options.otlp)
        ingestor = Ingestor(
            store,
            Path(options.journal_dir),
            book,
            pricer=pricer,
            keeps_reports=options.record_usage_reported,
            on_stored=None if telemetry is None else telemetry.stored,
            batch_rows=options.ingest_batch_rows,
            interval_s=options.ingest_interval_ms / 1000,
        )

        watcher = Watcher(
            records,
            shared.alerts,
            rules,
            interval_s=options.watch_interval_s,
            ready=lambda: store.is_open and not migrations.view().blocks_store,
            leads=shared.leads,
            windows=book.quotas.current,
        )

        names = _names(options)
        sessions = None if options.metrics_token is None else Sessions(options.metrics_token, options.tokens)
        newest_options = options
        scoreboard = None if options.scoreboard_fd is None else Scoreboard(options.scoreboard_fd)
        poller = make_poller(
            options, lambda: newest_options, path, scoreboard=scoreboard, admit=migrations.admit, disk=disk
        )

        def take(newest: MetricsOptions) -> None:
            nonlocal newest_options, names
            pricer, rules = _pricer_and_rules(newest)
            newest_options, names = newest, _names(newest)
            logs.set_level(newest.log_level)
            upkeep.use(_retention(newest, access))
            ingestor.use_pace(newest.ingest_batch_rows, newest.ingest_interval_ms / 1000)
            poller.use(poller_options(newest))
            ingestor.use_pricer(pricer)
            ingestor.keep_reports(newest.record_usage_reported)
            watcher.use(rules, newest.watch_interval_s)
            if sessions is not None:
                sessions.use(newest.tokens, newest.metrics_token)

        reloads.hand_to(take)

        def status() -> IngestionStatus | None:
            now = ingestor.status()
            return now if now.running else None

        capacity = ReaderCapacity()
        ports = ApiPorts(
            records=records,
            book=book,
            service_status=status,
            scoreboard=scoreboard,
            sessions=sessions,
            allowed_hosts=names.allowed_hosts,
            trusted_proxies=names.trusted_proxies,
            newest_names=lambda: names,
            versions=_other_versions,
            migrations=ServicePorts(migrations, path, MIGRATIONS, undo_days=options.migration_undo_days)
            if access is None or shared.migration is None
            else ServerPorts(
                shared.migration,
                open_migrations(access, MIGRATIONS),
                migrations,
                path,
                undo_days=options.migration_undo_days,
            ),
            ingests=ingests,
            answers=answers,
            proxy_url=options.proxy_url,
            simulated=lambda: newest_options.simulated,
            settings=lambda: newest_options.settings,
            servers=ServersPort(poller.seen, partial(samples_of, reader, poller), options.host_name),
            site=Site(dashboard.SITE),
            help_pages=help_pages.find(handbook.SITE),
            stopping=stop.is_set,
            turned_away=capacity.turned_away,
            watch=watcher if answers else None,
            telemetry=None if telemetry is None else telemetry.status,
            disks=disk.rooms,
            low_disks=disk.low,
            upkeep_problem=upkeep.problem,
            shipping=shipping if ingests else None,
        )
        if ingests:
            ingestor.start()
        if telemetry is not None:
            telemetry.start()
        if answers:
            watcher.start()
        upkeep.start()
        poller.start()
        try:
            _answer(ports, [socket.socket(fileno=fd) for fd in options.listen_fds], stop, capacity)
        finally:
            poller.stop()
            watcher.stop()
            upkeep.stop()
            migrations.stop()  # so that the last records need not wait for a batch
            # One that could never be opened will not be within the next seconds either.
            if ingests:
                ingestor.stop(drain=store.is_open, timeout_s=DRAIN_TIMEOUT_S)
            if telemetry is not None:
                telemetry.stop()
    finally:
        shared.close()
        records.close()
        reader.close()
        store.close()


def _pricer_and_rules(options: MetricsOptions) -> tuple[Pricer, Rules]:
    """What a reload replaces: prices, and what is watched."""
    pricer = Pricer(options.prices, use_public_lists=options.public_prices, ours=DEMO_PRICES)
    return pricer, Rules(tuple(options.slos), tuple(options.alerts), tuple(options.budgets))


def _other_versions() -> dict[str, str]:
    """Of everything but this program."""
    from llm_metrics_proxy.processes.versions import versions  # noqa: PLC0415 -- it reads packages, and few ask

    return {name: number for name, number in versions().items() if name != "app_version"}


def _names(options: MetricsOptions) -> GuardedNames:
    return GuardedNames(frozenset({options.metrics_host, *options.allowed_hosts}), tuple(options.trusted_proxies))


def _retention(options: MetricsOptions, access: StoreAccess | None) -> Retention:
    """Of what is in the database file; a server deletes its records by itself."""
    days, most_bytes = (options.retention_days, options.retention_max_bytes) if access is None else (0, 0)
    return Retention(days, most_bytes, options.migration_undo_days, options.server_metrics_days)


def _answer(ports: ApiPorts, sockets: list[socket.socket], stop: threading.Event, capacity: ReaderCapacity) -> None:
    """Serve every socket (a host name may have two addresses) until ``stop`` is set."""
    others = [
        threading.Thread(target=serve, args=(create_app(ports), extra, stop, capacity), name=f"api-{index}")
        for index, extra in enumerate(sockets[1:], start=1)
    ]
    for thread in others:
        thread.start()
    try:
        serve(create_app(ports), sockets[0], stop, capacity)
    finally:
        stop.set()
        for thread in others:
            thread.join()


def main() -> int:
    """Run with the options on standard input; the exit code."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as unbuffered:
        line = unbuffered.readline()  # nothing after the line is taken: its end must stay visible
    try:
        options = msgspec.json.decode(line, type=MetricsOptions)
    except msgspec.DecodeError as error:
        sys.stderr.write(f"this process is started by `llm-metrics-proxy serve` or `metrics`, not by hand ({error})\n")
        return 2
    give_back_large_blocks()
    collect_rarely()
    sys.setswitchinterval(SWITCH_S)
    logs.setup(options.log_level, options.log_format, "metrics")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # we log its start and stop ourselves
    os.nice(options.metrics_nice)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    reloads = Reloads()
    threading.Thread(target=listen_to_the_supervisor, args=(stop, reloads), name="stdin", daemon=True).start()
    try:
        run(options, stop, reloads)
    except LlmMetricsProxyError as error:
        log.error("%s", error)  # noqa: TRY400 -- one line for people; the traceback would say nothing more
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
