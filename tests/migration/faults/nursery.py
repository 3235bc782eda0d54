"""Children at the price of a fork: one process imports the program once, and forks a real process for every job.

Run as a module it is that process: it reads jobs as JSON lines, and tells each child's pid, its end and its answer.
It has one thread and no connection of its own, so that its forks are clean.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgspec

from tests.migration.faults.points import Fault

PATIENCE_S: Final = 120.0  # for one child on a machine that does much else; nothing is decided by it


class Ending(NamedTuple):
    """``status`` as the shell sees it: negative for a signal. ``answer`` is what the job returned, if it did."""

    status: int
    answer: dict[str, Any]

    @property
    def killed(self) -> bool:
        """By SIGKILL, as a crash point does."""
        return self.status == -signal.SIGKILL

    @property
    def ended(self) -> str:
        """How the engine's call ended, or the name of the error."""
        return str(self.answer.get("ended") or self.answer.get("error"))


class Child:
    """A job under way."""

    def __init__(self) -> None:
        self.started: Future[int] = Future()
        self.done: Future[Ending] = Future()

    @property
    def pid(self) -> int:
        """Its process id; waits until it is known."""
        return self.started.result(PATIENCE_S)

    def wait(self) -> Ending:
        """Until it has ended."""
        return self.done.result(PATIENCE_S)


class Nursery:
    """Starts jobs of ``jobs.py``; each in a process of its own, any number at once."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.migration.faults.nursery"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=Path(__file__).parents[3],
            )
        self._children: list[Child] = []
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="nursery")
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        for child in self._children:
            if not child.done.done() and child.started.done():
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_S)
        self._reader.join()
        assert self._process.stdout
        self._process.stdout.close()

    def start(self, job: str, fault: Fault | None = None, **arguments: Any) -> Child:
        """Begin a job; ``arguments`` are JSON values, and paths."""
        child = Child()
        with self._lock:
            number = len(self._children)
            self._children.append(child)
            words = {key: str(value) if isinstance(value, Path) else value for key, value in arguments.items()}
            order = {"number": number, "job": job, "fault": msgspec.to_builtins(fault or Fault()), "arguments": words}
            assert self._process.stdin
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        return child

    def run(self, job: str, fault: Fault | None = None, **arguments: Any) -> Ending:
        """Do a job to its end."""
        return self.start(job, fault, **arguments).wait()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            told = json.loads(line)
            child = self._children[told["number"]]
            if "pid" in told:
                child.started.set_result(told["pid"])
            else:
                child.done.set_result(Ending(told["status"], told["answer"]))
        for child in self._children:
            if not child.done.done():
                child.done.set_exception(RuntimeError(f"the nursery has ended, see {self.log}"))


def is_stopped(pid: int) -> bool:
    """Whether the process has been stopped by a signal; one that has ended was not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _tell(**words: Any) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def _fork(order: dict[str, Any], perform: Callable[..., dict[str, Any]]) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            os.close(0)
            os.dup2(2, 1)  # what a job prints goes to the log
            answer = perform(order["job"], msgspec.convert(order["fault"], Fault), order["arguments"])
            data = json.dumps(answer).encode()
            while data:
                data = data[os.write(writing, data) :]
            status = 0
        except BaseException:  # noqa: BLE001 -- a fork has nobody above it
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    return pid, reading


def serve() -> None:
    """Fork for every line of the standard input, until it ends and the children have ended."""
    from tests.migration.faults.jobs import perform  # noqa: PLC0415 -- whoever only starts a nursery needs none of it

    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    orders, running = b"", dict[int, tuple[int, int, bytes]]()  # by pipe: number, pid, answer so far
    is_open = True
    while is_open or running:
        for key, _events in selector.select():
            data = os.read(key.fd, 65536)
            if key.fd == 0:
                is_open = bool(data)
                if not data:
                    selector.unregister(0)
                *lines, orders = (orders + data).split(b"\n")
                for order in map(json.loads, lines):
                    pid, pipe = _fork(order, perform)
                    running[pipe] = (order["number"], pid, b"")
                    selector.register(pipe, selectors.EVENT_READ)
                    _tell(number=order["number"], pid=pid)
            elif data:
                number, pid, answer = running[key.fd]
                running[key.fd] = (number, pid, answer + data)
            else:
                number, pid, answer = running.pop(key.fd)
                selector.unregister(key.fd)
                os.close(key.fd)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(number=number, status=status, answer=json.loads(answer) if status == 0 else {})


if __name__ == "__main__":
    serve()
