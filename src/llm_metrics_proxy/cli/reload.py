"""``reload``: have the processes that run read their file of settings again, and say what came of it."""

import errno
import os
import signal
import time
from typing import Annotated, Final, NamedTuple

import psutil  # type: ignore[import-untyped]
import typer

from llm_metrics_proxy.cli.flags import Json, with_settings
from llm_metrics_proxy.cli.output import console, plain, print_json
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import LlmMetricsProxyError, SettingsError
from llm_metrics_proxy.processes import launch
from llm_metrics_proxy.supervisor import SUPERVISOR, SupervisorState, running

_LIMIT_S: Final = 40.0  # the supervisor gives the reading of settings 30
_LOOK_S: Final = 0.1


class Reloaded(NamedTuple):
    """What became of it, for one of the verbs that start processes."""

    role: str
    state: SupervisorState


@with_settings("data_dir")
def reload(
    loaded: Loaded,
    *,
    json: Json = False,
    timeout_s: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait.")] = _LIMIT_S,
) -> None:
    """Have `serve`, `proxy` or `metrics` with this data folder read their file again, without losing a request.

    What can be read again is used at once; what needs a restart is named. A file with mistakes changes nothing. Exit
    codes: 0 it was read, 1 nothing runs or nothing answered, 2 it was refused.
    """
    found = {role: state for role in launch.ROLES if (state := _running(loaded, role)) is not None}
    if not found:
        folder = loaded.settings.data_dir.absolute()
        raise LlmMetricsProxyError(f"nothing that reads settings runs with the folder {folder}; name it by --data-dir")
    for state in found.values():
        _signal(state)
    done = [Reloaded(role, _waited(loaded, role, state, timeout_s)) for role, state in found.items()]
    if json:
        print_json({"ok": all(_problems(each) == [] for each in done), "reloaded": [_as_json(each) for each in done]})
    else:
        for each in done:
            _print(each)
    if any(_problems(each) for each in done):
        raise typer.Exit(SettingsError.exit_code)


def _running(loaded: Loaded, role: str) -> SupervisorState | None:
    path = launch.state_file(loaded.settings, role)
    try:
        return running(path)
    except OSError as error:
        raise LlmMetricsProxyError(f"{path} cannot be read: {error.strerror}; ask as the user that runs it") from error


def _signal(state: SupervisorState) -> None:
    """Only a supervisor: in another container that shares the folder, the number is another process's."""
    try:
        if SUPERVISOR not in psutil.Process(state.pid).cmdline():
            raise ProcessLookupError(errno.ESRCH, "it does not run here")
        os.kill(state.pid, signal.SIGHUP)
    except (OSError, psutil.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise LlmMetricsProxyError(
            f"process {state.pid} cannot be told: {reason}; ask as the user that runs it, and where it runs"
        ) from error


def _waited(loaded: Loaded, role: str, before: SupervisorState, limit_s: float) -> SupervisorState:
    """How it stands once one more reload has ended."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        now = _running(loaded, role)
        if now is None or now.pid != before.pid:
            raise LlmMetricsProxyError(f"{role} (process {before.pid}) has ended meanwhile; its log says why")
        if now.reloads > before.reloads:
            return now
        time.sleep(_LOOK_S)
    raise LlmMetricsProxyError(f"{role} (process {before.pid}) did not answer within {limit_s:g} s; its log says more")


def _problems(each: Reloaded) -> list[str]:
    return [] if each.state.last is None else each.state.last.problems


def _as_json(each: Reloaded) -> dict[str, object]:
    last = each.state.last
    assert last is not None
    return {
        "role": each.role,
        "pid": each.state.pid,
        "changed": last.changed,
        "needs_restart": last.needs_restart,
        "problems": last.problems,
    }


def _print(each: Reloaded) -> None:
    out, last = console(), each.state.last
    assert last is not None
    who = f"{each.role} (process {each.state.pid})"
    if last.problems:
        out.print(f"[bold red]{plain(who)} refuses the settings; the old ones stay:[/]")
        for line in last.problems:
            out.print(f"  {plain(line)}", soft_wrap=True)
        return
    changed = ", ".join(last.changed) or "nothing has changed"
    out.print(f"{plain(who)} has read its settings again. In use now: {plain(changed)}", soft_wrap=True)
    if last.needs_restart:
        out.print(f"[yellow]Only a restart makes them count:[/] {plain(', '.join(last.needs_restart))}", soft_wrap=True)
