"""``serve`` with one worker and recording on, as a user would start it; then its processes are pinned."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.peers.peer import Subject
from bench.processes import LOAD_CORE, TEST_CORE, command_line, family, free_port, move, running, wait_until_ready


@contextlib.contextmanager
def start(folder: Path, upstream: int) -> Iterator[Subject]:
    """The worker on the test core, all else on the load core."""
    port, metrics_port, data = free_port(), free_port(), folder / "data"
    command = [
        *(str(Path(sys.executable).with_name("llm-metrics-proxy")), "serve", "--workers", "1"),
        *("--backend", f"http://127.0.0.1:{upstream}", "--port", str(port), "--metrics-port", str(metrics_port)),
        *("--data-dir", str(data), "--log-level", "warning"),
    ]
    with running(command, LOAD_CORE, port=port, log=folder / "ours.log") as child:
        for address in (port, metrics_port):  # the sockets listen before the processes behind them are ready
            wait_until_ready(address, child, folder / "ours.log")
        workers = tuple(pid for pid in family(child.pid) if "llm_metrics_proxy.proxy" in command_line(pid))
        recorders = tuple(pid for pid in family(child.pid) if "metrics_process" in command_line(pid))
        assert workers, "the worker was not found among the children of serve"
        assert recorders, "the metrics process was not found among the children of serve"
        move(workers, TEST_CORE)
        yield Subject(
            "ours", port, workers, recorder_pids=recorders, database=data / "metrics.db", metrics_port=metrics_port
        )
