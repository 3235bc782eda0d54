"""What clients notice of a migration: latency through the proxy at 200 requests/s, during one and after it.

``serve`` is started on a database of 1.x, as a person would after an update: its metrics process migrates at once, and
the first measurement runs beside that; the second one begins when it is done. Each turn has both, one after the other,
on processes that were started alike. Nothing of ``serve`` is pinned to a core: the scheduler has to find room for the
migration, whose process is nicer than the workers. The client and the upstream are.
"""

import contextlib
import http.client
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import uvloop

from bench.figures import Figure, Unavailable, against, percentile
from bench.latency import SHARES
from bench.migration_file import copy
from bench.peers import nginx
from bench.processes import LOAD_CORE, free_port, pinned, running, wait_until_ready
from bench.rate_client import latencies_us

RATE_PER_S: Final = 200
_LIMIT_S: Final = 1800.0


class Turn(NamedTuple):
    """Latencies in microseconds, of neighbouring measurements."""

    during: list[float]
    after: list[float]


def measure(source: Path, folder: Path, turns: int, seconds: float) -> list[Figure]:
    """Latency during a migration of a copy of ``source`` ÷ latency after it, at the median and the 99th percentile."""
    with nginx.upstream(folder) as upstream:
        measured = [_turn(source, folder / f"turn-{turn}", upstream, seconds) for turn in range(turns)]
    figures = []
    for label, share in SHARES.items():
        during = [percentile(turn.during, share) for turn in measured]
        after = [percentile(turn.after, share) for turn in measured]
        what = f"latency at {RATE_PER_S} requests/s while migrating, {label}"
        figures.append(against(f"migration.{label}", what, "µs", ours=during, peer="without", theirs=after))
    return figures


def _turn(source: Path, folder: Path, upstream: int, seconds: float) -> Turn:
    data = folder / "data"
    copy(source, data / "metrics.db")
    try:
        with _serve(folder, data, upstream) as (port, metrics_port):
            during = _latencies(port, seconds)
            if not _is_working(metrics_port):
                raise Unavailable("the migration ended before the latency beside it was measured: ask for more records")
            deadline = time.monotonic() + _LIMIT_S
            while _is_working(metrics_port):
                assert time.monotonic() < deadline, "the migration does not end"
                time.sleep(0.2)
            time.sleep(1.0)
            return Turn(during, _latencies(port, seconds))
    finally:
        for path in (*data.glob("metrics.db*"), *(data / "backups").glob("*")):
            path.unlink()


@contextlib.contextmanager
def _serve(folder: Path, data: Path, upstream: int) -> Iterator[tuple[int, int]]:
    """``serve`` from the moment that its worker answers; its ports."""
    port, metrics_port = free_port(), free_port()
    command = [
        *(str(Path(sys.executable).with_name("llm-metrics-proxy")), "serve", "--workers", "1"),
        *("--backend", f"http://127.0.0.1:{upstream}", "--port", str(port), "--metrics-port", str(metrics_port)),
        *("--data-dir", str(data), "--log-level", "warning"),
    ]
    log = folder / "serve.log"
    with running(command, None, port=port, log=log) as child:
        wait_until_ready(port, child, log)
        yield port, metrics_port


def _latencies(port: int, seconds: float) -> list[float]:
    with pinned(LOAD_CORE):
        return uvloop.run(latencies_us(port, RATE_PER_S, seconds))


def _is_working(metrics_port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", metrics_port, timeout=30)
    try:
        connection.request("GET", "/api/v1/migrations/current")
        current: Any = msgspec.json.decode(connection.getresponse().read())
    except OSError:  # the metrics process is still being started
        return True
    finally:
        connection.close()
    return bool(current["phase"] != "idle")
