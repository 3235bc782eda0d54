"""What ``serve`` takes while nobody asks anything: memory by process, the time and CPU until it answers.

    python -m bench.idle                       # this tree
    python -m bench.idle ../older/src src      # source trees in paired turns

Memory is the proportional set size (PSS): what a process has for itself, and its share of what it shares. One worker,
an empty folder, a server that is not there. CPU is that of all processes, that of the verb included.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.child_processes import answers

from bench.processes import command_line, cpu_s, family, free_port, pss_kib, settle

TURNS: Final = 5
_SETTLES_S: Final = 5.0
_ROLES: Final = {
    "llm_metrics_proxy.supervisor": "supervisor, MiB",
    "llm_metrics_proxy.proxy": "worker, MiB",
    "llm_metrics_proxy.processes.metrics_process": "metrics process, MiB",
}


def turn(sources: Path) -> dict[str, float]:
    """One start of one tree."""
    port, metrics_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "llm_metrics_proxy", "serve", "--backend", f"http://127.0.0.1:{free_port()}"),
            *("--port", str(port), "--metrics-port", str(metrics_port), "--data-dir", folder, "--workers", "1"),
        ]
        environment = {**os.environ, "PYTHONPATH": str(sources), "PYTHONDONTWRITEBYTECODE": ""}
        began = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            found: dict[str, float] = {}
            for name, netloc, path in (
                ("proxy answers, s", f"127.0.0.1:{port}", "/health"),
                ("metrics are ready, s", f"127.0.0.1:{metrics_port}", "/ready"),
            ):
                while not answers(netloc, path):
                    assert process.poll() is None, "serve ended"
                    time.sleep(0.005)
                found[name] = time.monotonic() - began
            found["CPU until then, s"] = cpu_s(family(process.pid))
            time.sleep(_SETTLES_S)
            settle(family(process.pid))
            for pid in family(process.pid):
                role = next(shown for module, shown in _ROLES.items() if module in command_line(pid).split())
                found[role] = pss_kib([pid]) / 1024
            found["all, MiB"] = pss_kib(family(process.pid)) / 1024
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    return found


def main(trees: list[Path]) -> None:
    """Print the median of each figure, a column for each tree."""
    for tree in trees:
        turn(tree)  # compiles what is not compiled yet
    rows: dict[Path, list[dict[str, float]]] = {tree: [] for tree in trees}
    for number in range(TURNS):
        for tree in trees if number % 2 else trees[::-1]:
            rows[tree].append(turn(tree))
    for name in rows[trees[0]][0]:
        print(f"{name:24}", *(f"{statistics.median(one[name] for one in rows[tree]):8.2f}" for tree in trees))


if __name__ == "__main__":
    main([Path(given).resolve() for given in sys.argv[1:]] or [Path(__file__).parents[1] / "src"])
