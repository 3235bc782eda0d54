"""``python -m llm_metrics_proxy.cli.metrics_process``: the metrics process, a child of the supervisor.

Told what to do by one line of JSON (``MetricsOptions``) on standard input, which stays open: its end means that the
supervisor is gone, even by ``kill -9``. On that, and on SIGTERM, it answers what was asked, stores what the journal
still holds, and exits with 0. The exit code is 2 for options that cannot be read and 3 for a newer program's database.
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
from llm_metrics_proxy.cli.version import versions
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.ingestion import IngestionStatus, Ingestor
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.storage.late import LateStore
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore

# The supervisor kills after 60 s. What is not stored by then stays in the journal for the next start.
DRAIN_TIMEOUT_S: Final = 50.0
QUERY_TIMEOUT_S: Final = 30.0

log = logging.getLogger(__name__)


def run(options: MetricsOptions, stop: threading.Event) -> None:
    """Ingest and answer until ``stop``, then store what remains. Raises ``NewerDatabaseError``.

    A database that cannot be opened at the moment is told by ``/health`` and tried again.
    """
    store = LateStore(lambda: SqliteStore(Path(options.db_path)))
    reader = SqliteReader(Path(options.db_path), timeout_s=QUERY_TIMEOUT_S)
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
        )
        ingestor.start()
        try:
            _answer(ports, [socket.socket(fileno=fd) for fd in options.listen_fds], stop)
        finally:
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
