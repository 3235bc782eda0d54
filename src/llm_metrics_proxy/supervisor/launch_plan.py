"""What the supervisor runs, as values that pass through JSON; ``become`` hands them over."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Final, NoReturn

import msgspec

from llm_metrics_proxy import descriptors

SUPERVISOR: Final = "llm_metrics_proxy.supervisor"  # as its command line has it
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One process to keep running."""

    name: str
    module: str  # of Python, run as `python -m` does
    options_json: str  # one line for its standard input
    fds: list[int] = []  # descriptors that it inherits, under the same numbers
    stop_group: int = 0  # lower groups are stopped first
    stop_timeout_s: float = 30.0  # from SIGTERM to SIGKILL
    slot: int | None = None  # its slot in the scoreboard; it has started once its pid is there
    without_it: str | None = None  # how things go on if it refuses to run; None: they do not


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """The process that reads the settings again: ``ReloadRequest`` on its standard input, ``ReloadAnswer`` out."""

    argv: list[str]
    start_json: str  # what it needs besides the options that the children have now
    children: list[str]  # names of those that it gives new options


class ReloadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``options``: JSON by the child's name, as each got it last."""

    start_json: str
    options: dict[str, str]


class ReloadAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """New ``options``, one line of JSON by the child's name; or ``problems``, one line each, and nothing changes."""

    options: dict[str, str] = {}
    changed: list[str] = []  # settings that are in use now
    needs_restart: list[str] = []  # settings that have changed to no effect
    problems: list[str] = []
    stop_timeouts_s: dict[str, float] = {}  # by the child's name
    log_level: str | None = None


class LaunchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the supervisor needs to know."""

    children: list[ChildSpec]
    preloaded: list[str] = []  # modules that are loaded once, before the children are made
    listen_fds: list[int] = []  # closed when stopping begins, so that clients are refused instead of kept waiting
    scoreboard_fd: int | None = None
    log_level: str = "info"
    log_format: str = "text"
    reload: Reload | None = None  # none: no file can have changed
    state_file: str | None = None  # where it says which process it is, and what became of reloads


def become(plan: LaunchPlan, announce: Callable[[], None]) -> NoReturn:
    """Replace this process by a supervisor with ``plan``; the pid stays. Descriptors in the plan are handed over.

    ``announce`` says that it starts. From then on a signal stops it as it stops the supervisor.
    """
    plan_fd = descriptors.nameless_file()
    with os.fdopen(os.dup(plan_fd), "wb") as writer:
        writer.write(msgspec.json.encode(plan))
    handed_over = {plan_fd, *plan.listen_fds, *(fd for child in plan.children for fd in child.fds)}
    if plan.scoreboard_fd is not None:
        handed_over.add(plan.scoreboard_fd)
    for fd in handed_over:
        os.set_inheritable(fd, True)
    # A signal that comes while the new image loads waits until its handlers stand (``signals`` unblocks).
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOP_SIGNALS, signal.SIGHUP))
    announce()
    sys.stdout.flush()
    sys.stderr.flush()
    argv = command(SUPERVISOR, f"--plan-descriptor={plan_fd}")
    os.execv(sys.executable, argv)  # noqa: S606 -- our own module, started as this program was


def command(module: str, *arguments: str) -> list[str]:
    """The words that run a module of this program."""
    # -P: a file json.py in the folder where somebody starts the proxy must not become part of it.
    return [sys.executable, "-P", "-m", module, *arguments]
