"""``python -m llm_metrics_proxy.cli.metrics_process``: the metrics process, a child of the supervisor.

Told what to do by one line of JSON (``MetricsOptions``) on standard input, which stays open: its end means that the
supervisor is gone, even by ``kill -9``. On that, and on SIGTERM, it answers what was asked, stores what the journal
still holds, and exits with 0. The exit code is 2 for options that cannot be read, and 3 for a database that is not to
be written: a newer program's, a foreign one, or an older one that may not be migrated (``auto_migrate``).

A database of an older version is migrated by a thread of its own (``migration.service``). Until that has seen what the
file is, the store stays shut and records wait in the journal.
"""

import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy import logs
from llm_metrics_proxy.api.app import create_app
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.server import serve
from llm_metrics_proxy.cli.metrics_options import MetricsOptions
from llm_metrics_proxy.cli.migration_ports import ServicePorts
from llm_metrics_proxy.cli.version import versions
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.ingestion import IngestionStatus, Ingestor
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.service import MigrationService
from llm_metrics_proxy.migration.window import Window
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.storage.late import LateStore
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore

# The supervisor kills after 60 s. What is not stored by then stays in the journal for the next start.
DRAIN_TIMEOUT_S: Final = 50.0
QUERY_TIMEOUT_S: Final = 30.0
FIRST_LOOK_S: Final = 2.0  # so that an ordinary start says nothing of a store that is not open yet

log = logging.getLogger(__name__)


def run(options: MetricsOptions, stop: threading.Event) -> None:
    """Migrate, ingest and answer until ``stop``, then store what remains.

    Raises ``NewerDatabaseError``, ``ForeignDatabaseError`` or ``MigrationRefusedError`` (without ``auto_migrate``). A
    database that cannot be opened at the moment is told by ``/health`` and tried again.
    """
    path = Path(options.db_path)
    migrations = MigrationService(path, migration_options(options), allowed=options.auto_migrate)
    migrations.start(on_refusal=stop.set)
    try:
        migrations.wait_until_looked(FIRST_LOOK_S)
        if migrations.refusal is None:
            _ingest_and_answer(options, path, migrations, stop)
    finally:
        stop.set()
        migrations.stop()
    if migrations.refusal is not None:
        raise migrations.refusal


def migration_options(options: MetricsOptions) -> Options:
    """How the migrations of this process go about their work."""
    return Options(
        backup_dir=Path(options.backup_dir),
        backup_keep=options.backup_keep,
        batch_lock_ms=options.migration_batch_lock_ms,
        pause_ms=options.migration_pause_ms,
        window=None if options.migration_window is None else Window.parse(options.migration_window),
        wait_for_lock=True,
        automatic=True,
    )


def _ingest_and_answer(
    options: MetricsOptions, path: Path, migrations: MigrationService, stop: threading.Event
) -> None:
    def opened() -> SqliteStore:
        migrations.admit()
        return SqliteStore(path)

    store = LateStore(opened)
    reader = SqliteReader(path, timeout_s=QUERY_TIMEOUT_S)
    try:
        book = CounterBook(options.prometheus_model_limit)
        ingestor = Ingestor(
            store,
            Path(options.journal_dir),
            book,
            batch_rows=options.ingest_batch_rows,
            interval_s=options.ingest_interval_ms / 1000,
        )

        def status() -> IngestionStatus | None:
            now = ingestor.status()
            return now if now.running else None

        ports = ApiPorts(
            reader=reader,
            book=book,
            service_status=status,
            scoreboard=None if options.scoreboard_fd is None else Scoreboard(options.scoreboard_fd),
            token=options.metrics_token,
            allowed_hosts=frozenset({options.metrics_host}),  # an address adds nothing: every one is allowed
            versions={name: number for name, number in versions().items() if name != "app_version"},
            migrations=ServicePorts(migrations, MIGRATIONS),
            stopping=stop.is_set,
        )
        ingestor.start()
        try:
            _answer(ports, [socket.socket(fileno=fd) for fd in options.listen_fds], stop)
        finally:
            migrations.stop()  # so that the last records need not wait for a batch
            # One that could never be opened will not be within the next seconds either.
            ingestor.stop(drain=store.is_open, timeout_s=DRAIN_TIMEOUT_S)
    finally:
        reader.close()
        store.close()


def _answer(ports: ApiPorts, sockets: list[socket.socket], stop: threading.Event) -> None:
    """Serve every socket (a host name may have two addresses) until ``stop`` is set."""
    others = [
        threading.Thread(target=serve, args=(create_app(ports), extra, stop), name=f"api-{index}")
        for index, extra in enumerate(sockets[1:], start=1)
    ]
    for thread in others:
        thread.start()
    try:
        serve(create_app(ports), sockets[0], stop)
    finally:
        stop.set()
        for thread in others:
            thread.join()


def _stop_at_end_of_input(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    if not stop.is_set():
        log.warning("the supervisor is gone; storing what is left")
        stop.set()


def main() -> int:
    """Run as told on standard input; the exit code."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as unbuffered:
        line = unbuffered.readline()  # nothing after the line is taken: its end must stay visible
    try:
        options = msgspec.json.decode(line, type=MetricsOptions)
    except msgspec.DecodeError as error:
        sys.stderr.write(f"this process is started by `llm-metrics-proxy serve` or `metrics`, not by hand ({error})\n")
        return 2
    logs.setup(options.log_level, options.log_format, "metrics")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start and stop are ours to tell
    os.nice(options.metrics_nice)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    threading.Thread(target=_stop_at_end_of_input, args=(stop,), name="stdin", daemon=True).start()
    try:
        run(options, stop)
    except LlmMetricsProxyError as error:
        log.error("%s", error)  # noqa: TRY400 -- one line for people; the traceback would say nothing more
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
