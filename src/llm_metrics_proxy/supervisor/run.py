"""The supervisor itself: it owns the children, and reacts to signals and due times. The rules are in the package."""

import logging
import os
import selectors
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from llm_metrics_proxy import logs
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.supervisor.child import Child, restart_delay_s
from llm_metrics_proxy.supervisor.launch_plan import STOP_SIGNALS, LaunchPlan, ReloadAnswer
from llm_metrics_proxy.supervisor.settings_reader import SettingsReader
from llm_metrics_proxy.supervisor.signals import signals
from llm_metrics_proxy.supervisor.state_file import StateFile

HEALTHY_AFTER_S: Final = 30.0
MOST_FAILED_STARTS: Final = 5
REFUSALS: Final = {2: "its settings are unusable", 3: "the database is not one it may write (see above)"}
PENDING_PAUSE_S: Final = 0.05
NOTHING_TO_READ: Final = "no file with settings was named at start (--config), so there is nothing to read again"

log = logging.getLogger(__name__)


class Supervisor:
    """Owns the children. ``run`` returns the exit code once none is left."""

    def __init__(self, plan: LaunchPlan) -> None:
        self._children = [Child(spec) for spec in plan.children]
        self._listen_fds = list(plan.listen_fds)
        self._scoreboard = None if plan.scoreboard_fd is None else Scoreboard(plan.scoreboard_fd)
        self._stopping = False
        self._stopped_group = -1  # this group and lower ones have had SIGTERM
        self._stop_signals = 0
        self._exit_code = 0
        self._reload = plan.reload
        self._reader: SettingsReader | None = None  # reads the settings again
        self._read_once_more = False
        self._state = _state_file(plan.state_file)

    def run(self) -> int:
        """Start all, then react to signals and due times until everything has ended."""
        with signals() as wakeups, selectors.DefaultSelector() as selector:
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
        if any(child.has_pending_stdin for child in self._children):
            due.append(time.monotonic() + PENDING_PAUSE_S)
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
            child.flush_stdin()
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
            log.info("%s", NOTHING_TO_READ)
            if self._state is not None:
                self._state.reloaded(ReloadAnswer(problems=[NOTHING_TO_READ]))
        elif self._reader is not None:
            self._read_once_more = True
        else:
            options = {child.spec.name: child.spec.options_json for child in self._children}
            try:
                self._reader = SettingsReader(self._reload, options)
            except OSError as error:
                log.error("the settings cannot be read again, and stay as they are: %s", error.strerror)  # noqa: TRY400

    def _on_settings_read(self, reader: SettingsReader) -> None:
        answer = reader.answer() or ReloadAnswer(problems=["the process that reads the settings failed; see the log"])
        self._reader = None
        if self._stopping:
            return
        if answer.problems:
            log.error("the new settings are refused (see above); the old ones stay")
        else:
            self._use(answer)
        if self._state is not None:
            self._state.reloaded(answer)
        if self._read_once_more:
            self._read_once_more = False
            self._on_reload_signal()

    def _use(self, answer: ReloadAnswer) -> None:
        for child in self._children:
            if (options := answer.options.get(child.spec.name)) is not None:
                child.reload(options, answer.stop_timeouts_s.get(child.spec.name))
        log.info("the settings were read again and handed to the processes")
        if answer.changed:
            log.info("changed: %s", ", ".join(answer.changed))
        if answer.needs_restart:
            log.warning("changed, but only a restart makes them count: %s", ", ".join(answer.needs_restart))
        if answer.log_level is not None:
            logs.set_level(answer.log_level)

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


def _state_file(path: str | None) -> StateFile | None:
    """None if it cannot be had: everything but the verb `reload` goes without."""
    if path is None:
        return None
    try:
        return StateFile(Path(path))
    except OSError as error:
        log.debug("no state file %s: %s", path, error.strerror)
        return None


def _said(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
