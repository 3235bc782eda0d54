"""Starts the processes of ``serve``, restarts what dies, and stops everything in order. Sleeps until a signal comes.

The rules:

* A child is told its options by one line on its standard input, which then stays open. End of file there means that
  the supervisor is gone, even by ``kill -9``: the child drains and ends by itself, so nothing is ever orphaned.
* A child has a process group of its own. Ctrl-C in a terminal reaches the supervisor only, and the children hear from
  it. All are in one session: where Linux groups processes by sessions (``sched_autogroup``), how nice one is counts
  within a session only, and a migration in a session of its own would get as much of a core as a worker.
* What dies is started again: after 100 ms, doubling to 5 s, and from 100 ms again after 30 s of health. A worker that
  dies five times in a row before it could listen ends everything with exit code 1.
* Exit code 2 (settings) or 3 (newer database) is a refusal: trying again cannot help, so it is said and left at that.
  A child that others can do without (``ChildSpec.without_it``) leaves the rest running.
* SIGTERM and SIGINT stop by groups: the workers drain, then the metrics process stores what they left. A second
  signal kills at once.
* SIGHUP has the settings read again, by a process of its own (``Reload``): this one holds no library for it. What it
  answers goes to the workers as another line on their standard input, and to those that are started later as their
  first. If it refuses, everything stays as it is.

A process image of its own: ``become`` replaces the command that read the settings, whose libraries take 25 MiB that
nobody would use again.
"""

import logging
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

import msgspec

from llm_metrics_proxy import logs
from llm_metrics_proxy.scoreboard import Scoreboard

FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 5.0
HEALTHY_AFTER_S: Final = 30.0
MOST_FAILED_STARTS: Final = 5
REFUSALS: Final = {2: "its settings are unusable", 3: "the database is not one it may write (see above)"}
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_NOT_FOR_CHILDREN: Final = (signal.SIGHUP, signal.SIGTTOU)
READING_LIMIT_S: Final = 30.0  # for reading the settings again; half a second on a machine that is not overloaded
UNTOLD_PAUSE_S: Final = 0.05

log = logging.getLogger(__name__)


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One process to keep running."""

    name: str
    argv: list[str]
    options_json: str  # one line for its standard input
    fds: list[int] = []  # descriptors that it inherits, under the same numbers
    stop_group: int = 0  # lower groups are stopped first
    stop_timeout_s: float = 30.0  # from SIGTERM to SIGKILL
    slot: int | None = None  # its slot in the scoreboard; it has started once its pid stands there
    without_it: str | None = None  # how things go on if it refuses to run; None: they do not


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """The process that reads the settings again: ``ReloadRequest`` on its standard input, ``ReloadAnswer`` out."""

    argv: list[str]
    told_json: str  # what it is told beside the options that the children have now
    children: list[str]  # names of those that it gives new options


class ReloadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``options``: JSON by the child's name, as each has been told it last."""

    told_json: str
    options: dict[str, str]


class ReloadAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """New ``options``, one line of JSON by the child's name, and settings that have changed to no effect."""

    options: dict[str, str]
    needs_restart: list[str] = []


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the supervisor is told."""

    children: list[ChildSpec]
    listen_fds: list[int] = []  # closed when stopping begins, so that clients are refused instead of kept waiting
    scoreboard_fd: int | None = None
    log_level: str = "info"
    log_format: str = "text"
    reload: Reload | None = None  # none: there is no file that could have changed


def restart_delay_s(failures: int) -> float:
    """Pause before start number ``failures`` + 1 in a row."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 16))


def become(plan: Plan) -> NoReturn:
    """Replace this process by a supervisor with ``plan``; the pid stays. Descriptors in the plan are handed over."""
    plan_fd = _nameless_file()
    with os.fdopen(os.dup(plan_fd), "wb") as writer:
        writer.write(msgspec.json.encode(plan))
    handed_over = {plan_fd, *plan.listen_fds, *(fd for child in plan.children for fd in child.fds)}
    if plan.scoreboard_fd is not None:
        handed_over.add(plan.scoreboard_fd)
    for fd in handed_over:
        os.set_inheritable(fd, True)
    # A signal that comes while the new image loads waits until its handlers stand (``_signals`` unblocks).
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOP_SIGNALS, signal.SIGHUP))
    sys.stdout.flush()
    sys.stderr.flush()
    argv = [sys.executable, "-P", "-m", "llm_metrics_proxy.supervisor", str(plan_fd)]
    os.execv(sys.executable, argv)  # noqa: S606 -- our own module, started as this program was


def _nameless_file() -> int:
    """A descriptor of memory where the system offers that: the plan holds the metrics token."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("plan")
    fd, path = tempfile.mkstemp(prefix="llm-metrics-proxy-")
    os.unlink(path)  # noqa: PTH108 -- the descriptor keeps it alive
    return fd


class Child:
    """One process over all its lives. Owned by the ``Supervisor``; decides nothing."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.started_s = 0.0
        self.failures = 0  # deaths in a row without 30 s of health between them
        self.failed_starts = 0  # deaths in a row before it had started
        self.restart_at_s: float | None = None
        self.kill_at_s: float | None = None
        self._untold = b""  # of new options, what its standard input did not take yet

    def __repr__(self) -> str:
        pid = self.process.pid if self.process else None
        return f"<Child {self.spec.name} pid={pid} failures={self.failures} restart_at_s={self.restart_at_s}>"

    def start(self, now_s: float) -> None:
        """Run it and hand it its options. Raises ``OSError`` if the system cannot start a process."""
        self.started_s, self.restart_at_s, self.kill_at_s = now_s, None, None
        self._untold = b""
        # Inherited by the child, for whom SIGHUP is to mean nothing, and the terminal's wish that only its foreground
        # writes; what comes to us meanwhile waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_CHILDREN)
        try:
            self.process = subprocess.Popen(
                self.spec.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # standard output belongs to the command; children speak on standard error
                pass_fds=self.spec.fds,
                process_group=0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _NOT_FOR_CHILDREN)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it is dead already; its exit code will tell more
            self.process.stdin.write(self.spec.options_json.encode() + b"\n")
            self.process.stdin.flush()
        os.set_blocking(self.process.stdin.fileno(), False)  # from now on it must not make us wait

    def tell(self, options_json: str) -> None:
        """Hand it new options, now or as soon as it reads; one that is started later gets them first."""
        self.spec = msgspec.structs.replace(self.spec, options_json=options_json)
        if self.process is not None:
            self._untold += options_json.encode() + b"\n"
            self.tell_on()

    @property
    def has_untold(self) -> bool:
        """Its standard input is full."""
        return bool(self._untold)

    def tell_on(self) -> None:
        """Go on handing over."""
        if self.process is None or not self._untold:
            return
        assert self.process.stdin is not None
        try:
            self._untold = self._untold[os.write(self.process.stdin.fileno(), self._untold) :]
        except BlockingIOError:
            pass
        except OSError:  # it is dead; its successor gets them
            self._untold = b""

    def signal(self, signum: int) -> None:
        """Send a signal if it runs; ``Popen`` never signals a pid that was reaped."""
        if self.process is not None:
            self.process.send_signal(signum)

    def reap(self) -> int | None:
        """The exit code of a process that has ended since the last call (negative: the signal that ended it)."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        assert self.process.stdin is not None
        with suppress(BrokenPipeError, BlockingIOError):
            self.process.stdin.close()
        self.process = None
        self.kill_at_s = None
        return code


class Reader:
    """One reading of the settings, from start to answer. In files, because a pipe can be full."""

    def __init__(self, reload: Reload, options: dict[str, str]) -> None:
        """Raises ``OSError`` if the system cannot start a process."""
        request = ReloadRequest(
            told_json=reload.told_json, options={name: options[name] for name in reload.children if name in options}
        )
        self._answer = os.fdopen(_nameless_file(), "r+b")
        self.kill_at_s = time.monotonic() + READING_LIMIT_S
        try:
            with os.fdopen(_nameless_file(), "r+b") as asked:
                asked.write(msgspec.json.encode(request))
                asked.seek(0)
                self.process = subprocess.Popen(reload.argv, stdin=asked, stdout=self._answer, start_new_session=True)
        except OSError:
            self._answer.close()
            raise

    def answer(self) -> ReloadAnswer | None:
        """What it said, once it has ended; ``None`` if it refused or failed."""
        with self._answer as file:
            if self.process.returncode != 0:
                return None
            file.seek(0)
            try:
                return msgspec.json.decode(file.read(), type=ReloadAnswer)
            except msgspec.MsgspecError:
                return None


class Supervisor:
    """Owns the children. ``run`` returns the exit code once none is left."""

    def __init__(self, plan: Plan) -> None:
        self._children = [Child(spec) for spec in plan.children]
        self._listen_fds = list(plan.listen_fds)
        self._scoreboard = None if plan.scoreboard_fd is None else Scoreboard(plan.scoreboard_fd)
        self._stopping = False
        self._stopped_group = -1  # this group and lower ones were told to stop
        self._stop_signals = 0
        self._exit_code = 0
        self._reload = plan.reload
        self._reader: Reader | None = None  # reads the settings again
        self._read_once_more = False

    def run(self) -> int:
        """Start all, then react to signals and due times until everything has ended."""
        with _signals() as wakeups, selectors.DefaultSelector() as selector:
            selector.register(wakeups, selectors.EVENT_READ)
            for child in self._children:
                self._start(child)
            while any(child.process or child.restart_at_s for child in self._children):
                if selector.select(self._patience_s()):
                    for signum in wakeups.recv(4096):
                        if signum in STOP_SIGNALS:
                            self._on_stop_signal(signum)
                        elif signum == signal.SIGHUP:
                            self._on_reload_signal()
                self._reap()
                self._do_what_is_due()
        return self._exit_code

    def _patience_s(self) -> float | None:
        due = [at for child in self._children for at in (child.restart_at_s, child.kill_at_s) if at is not None]
        if self._reader is not None:
            due.append(self._reader.kill_at_s)
        if any(child.has_untold for child in self._children):
            due.append(time.monotonic() + UNTOLD_PAUSE_S)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _do_what_is_due(self) -> None:
        now_s = time.monotonic()
        for child in self._children:
            if child.restart_at_s is not None and child.restart_at_s <= now_s:
                self._start(child)
            if child.kill_at_s is not None and child.kill_at_s <= now_s:
                log.warning("%s did not stop within %g s: killed", child.spec.name, child.spec.stop_timeout_s)
                child.kill_at_s = None
                child.signal(signal.SIGKILL)
            child.tell_on()
        if self._reader is not None and self._reader.kill_at_s <= now_s:
            self._reader.process.kill()

    def _start(self, child: Child) -> None:
        try:
            child.start(time.monotonic())
        except OSError as error:
            self._on_failure(child, f"could not be started ({error.strerror})", has_started=False)
        else:
            log.debug("%s runs as pid %d", child.spec.name, child.process.pid if child.process else 0)

    def _on_reload_signal(self) -> None:
        if self._stopping:
            return
        if self._reload is None:
            log.info("no file with settings was named at start (--config), so there is nothing to read again")
        elif self._reader is not None:
            self._read_once_more = True
        else:
            options = {child.spec.name: child.spec.options_json for child in self._children}
            try:
                self._reader = Reader(self._reload, options)
            except OSError as error:
                log.error("the settings cannot be read again, and stay as they are: %s", error.strerror)  # noqa: TRY400

    def _on_settings_read(self, reader: "Reader") -> None:
        answer = reader.answer()
        self._reader = None
        if self._stopping:
            return
        if answer is None:
            log.error("the new settings are refused (see above); the old ones stay")
        else:
            for child in self._children:
                if child.spec.name in answer.options:
                    child.tell(answer.options[child.spec.name])
            log.info("the settings were read again, and the workers told")
            if answer.needs_restart:
                log.warning("changed, but only a restart makes them count: %s", ", ".join(answer.needs_restart))
        if self._read_once_more:
            self._read_once_more = False
            self._on_reload_signal()

    def _reap(self) -> None:
        if self._reader is not None and self._reader.process.poll() is not None:
            self._on_settings_read(self._reader)
        for child in self._children:
            pid = child.process.pid if child.process else 0
            code = child.reap()
            if code is None:
                continue
            if self._stopping:
                log.log(logging.WARNING if code else logging.DEBUG, "%s ended: %s", child.spec.name, _said(code))
            elif code in REFUSALS:
                self._on_refusal(child, code)
            else:
                self._on_failure(child, f"ended ({_said(code)})", has_started=self._has_started(child, pid))
        if self._stopping:
            self._stop_next_group_if_idle()

    def _has_started(self, child: Child, pid: int) -> bool:
        if self._scoreboard is None or child.spec.slot is None:
            return True
        return pid == self._scoreboard.slot(child.spec.slot).get("pid")

    def _on_refusal(self, child: Child, code: int) -> None:
        log.error("%s refuses to run, because %s; it is not started again", child.spec.name, REFUSALS[code])
        alone = not any(other.process or other.restart_at_s for other in self._children)
        if child.spec.without_it is None or alone:
            self._give_up(code)
        else:
            log.error("without %s: %s", child.spec.name, child.spec.without_it)

    def _on_failure(self, child: Child, said: str, *, has_started: bool) -> None:
        now_s = time.monotonic()
        if now_s - child.started_s >= HEALTHY_AFTER_S:
            child.failures = 0
        child.failures += 1
        child.failed_starts = 0 if has_started else child.failed_starts + 1
        if child.failed_starts >= MOST_FAILED_STARTS and child.spec.without_it is None:
            log.error("%s could not start %d times in a row: giving up", child.spec.name, child.failed_starts)
            self._give_up(1)
            return
        delay_s = restart_delay_s(child.failures)
        child.restart_at_s = now_s + delay_s
        log.warning("%s %s; it is started again in %g s", child.spec.name, said, delay_s)

    def _on_stop_signal(self, signum: int) -> None:
        self._stop_signals += 1
        if self._stop_signals == 1 and not self._stopping:
            log.info("stopping; a second signal stops at once")
            self._stop()
        else:
            log.warning("stopping at once")
            self._exit_code = 128 + signum
            for child in self._children:
                child.signal(signal.SIGKILL)

    def _give_up(self, exit_code: int) -> None:
        self._exit_code = exit_code
        if not self._stopping:
            self._stop()

    def _stop(self) -> None:
        for child in self._children:
            child.restart_at_s = None
        self._stopping = True
        if self._reader is not None:
            self._reader.process.kill()
        self._stop_next_group_if_idle()
        for fd in self._listen_fds:
            os.close(fd)
        self._listen_fds.clear()

    def _stop_next_group_if_idle(self) -> None:
        running = [child for child in self._children if child.process]
        if not running or any(child.spec.stop_group <= self._stopped_group for child in running):
            return
        self._stopped_group = min(child.spec.stop_group for child in running)
        for child in running:
            if child.spec.stop_group == self._stopped_group:
                child.kill_at_s = time.monotonic() + child.spec.stop_timeout_s
                child.signal(signal.SIGTERM)


def _said(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket on which the number of every signal that matters arrives as one byte."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        before_fd = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        handled = (*STOP_SIGNALS, signal.SIGHUP, signal.SIGCHLD)
        before = {signum: signal.signal(signum, lambda *_: None) for signum in handled}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*STOP_SIGNALS, signal.SIGHUP))
        try:
            yield ours
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
            signal.set_wakeup_fd(before_fd)


def raise_descriptor_limit() -> None:
    """Let this process and its children open as many files as they may: each exchange needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # macOS answers so to "unlimited"; the soft limit is what doctor reports
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """``python -m llm_metrics_proxy.supervisor FD``: run the plan that ``become`` left on a descriptor."""
    fd = int(sys.argv[1])
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        plan = msgspec.json.decode(file.read(), type=Plan)
    logs.setup(plan.log_level, plan.log_format, "supervisor")
    raise_descriptor_limit()
    return Supervisor(plan).run()


if __name__ == "__main__":
    sys.exit(main())
