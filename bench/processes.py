"""Pinned child processes, and what they use of the machine, read from /proc."""

import contextlib
import http.client
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.figures import Unavailable

_CORES: Final = sorted(os.sched_getaffinity(0))
TEST_CORE: Final = _CORES[0]  # the server under test, alone
LOAD_CORE: Final = _CORES[1 % len(_CORES)]  # upstream and clients
_START_LIMIT_S: Final = 120.0  # LiteLLM imports for half a minute on a slow machine


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Children started inside inherit the core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def move(pids: Iterable[int], core: int) -> None:
    """Pin running processes with all of their threads."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


@contextlib.contextmanager
def running(
    command: Sequence[str],
    core: int | None,
    *,
    port: int | None,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """A child on ``core`` that listens on ``port`` once the block begins; its output goes to ``log``.

    ``core`` ``None``: where the scheduler likes. It is told to stop by SIGTERM and killed with its process group if
    that takes more than ten seconds.
    """
    with log.open("wb") as output, contextlib.nullcontext() if core is None else pinned(core):
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, process_group=0,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        if port is not None:
            _wait_for(port, child, log)
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(10)
        if child.stdin is not None:
            child.stdin.close()


def wait_until_ready(port: int, child: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until ``GET /ready`` is answered with 200."""

    def ready() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    wait_until(ready, child, log)


def _wait_for(port: int, child: "subprocess.Popen[bytes]", log: Path) -> None:
    def connects() -> bool:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True

    wait_until(connects, child, log)


def wait_until(reached: Callable[[], bool], child: "subprocess.Popen[bytes]", log: Path) -> None:
    """Ask every 50 ms. Raises ``Unavailable``, with its last words, if the child ends or two minutes pass."""
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if reached():
                return
        time.sleep(0.05)
    last_words = log.read_text(errors="replace").strip().splitlines()[-3:]
    raise Unavailable(f"{child.args!r} did not start: {' / '.join(last_words)}")


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def family(pid: int) -> list[int]:
    """A process and all of its descendants."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(FileNotFoundError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def command_line(pid: int) -> str:
    """The words that a process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def cpu_s(pids: Iterable[int]) -> float:
    """CPU time used so far by processes: the scheduler's own count, to the nanosecond, with that of ended threads.

    It is what ``schedstat`` shows of each thread that still runs, and what ``stat`` has in ticks of 10 ms.
    """
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)  # the clock of a process, as clock_getcpuclockid(3)


def machine_s() -> float:
    """CPU time of all programs of this machine so far, and what its host took from it."""
    user, nice, system, _idle, _waiting, irq, soft_irq, stolen, *_ = map(int, _first_line("/proc/stat").split()[1:])
    return (user + nice + system + irq + soft_irq + stolen) / os.sysconf("SC_CLK_TCK")


def own_s() -> float:
    """CPU time of this process and of its descendants that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _first_line(path: str) -> str:
    return Path(path).read_text(encoding="ascii").partition("\n")[0]


def pss_kib(pids: Iterable[int]) -> int:
    """Proportional set size: memory that these processes have for themselves, and their share of what they share."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def settle(pids: Sequence[int], limit_s: float = 30.0) -> None:
    """Wait until processes have stopped working."""
    deadline = time.monotonic() + limit_s
    while pids and time.monotonic() < deadline:
        before = cpu_s(pids)
        time.sleep(0.25)
        if cpu_s(pids) - before < 0.02:
            return
