"""A short-lived process: reads the settings again, as SIGHUP asks, and answers with the new options of each process.

The supervisor starts it, because it holds none of the libraries that read settings. It gets a ``ReloadRequest`` on
standard input, and answers a ``ReloadAnswer`` on standard output. What is wrong is in it, and logged.
Which settings may change is a property of their rows (``reload``); all others wait for a restart.
"""

import hashlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
from pydantic import SecretStr

from llm_metrics_proxy import logs
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded, load, settings_table
from llm_metrics_proxy.config.table import rows, values_of
from llm_metrics_proxy.config.types import DEMO
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.processes.metrics_options import METRICS, MetricsOptions
from llm_metrics_proxy.processes.options import KILL_GRACE_S, backend_options, read_tokens, rules
from llm_metrics_proxy.proxy.options import ProxyOptions
from llm_metrics_proxy.store_address import SQLITE
from llm_metrics_proxy.supervisor import ReloadAnswer, ReloadRequest

log = logging.getLogger(__name__)


class ReloadStart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the settings were given at start, to be given so again."""

    flags: dict[str, Any]
    config_file: str
    fixed: dict[str, str]  # see ``fixed_settings``
    log_level: str
    log_format: str


def fixed_settings(settings: Settings) -> dict[str, str]:
    """A digest of each setting that only a restart changes: a change shows, and secrets do not."""
    return {name: _digest(getattr(settings, name)) for name, row in rows().items() if not row.reload}


def _digest(value: object) -> str:
    shown = value.get_secret_value() if isinstance(value, SecretStr) else repr(value)
    return hashlib.sha256(shown.encode()).hexdigest()


def read_again(request: ReloadRequest, environment: dict[str, str]) -> ReloadAnswer:
    """New options for every worker and the metrics process. Raises ``SettingsError``."""
    start = msgspec.json.decode(request.start_json, type=ReloadStart)
    loaded = load(start.flags, environment, Path(start.config_file))
    fixed = fixed_settings(loaded.settings)
    values = {name: value for name, value in values_of(loaded.settings).items() if rows()[name].reload}
    needs_restart = [name for name in start.fixed if start.fixed[name] != fixed.get(name)]
    if loaded.settings.store != SQLITE:  # the server deletes by a rule that is made at start
        values.pop("retention_days")
    options: dict[str, str] = {}
    changed: set[str] = set()
    for name, text in request.options.items():
        now: MetricsOptions | ProxyOptions
        new: MetricsOptions | ProxyOptions
        if name == METRICS:
            now = msgspec.json.decode(text, type=MetricsOptions)
            new = _for_metrics(loaded, now, values)
        else:
            now = msgspec.json.decode(text, type=ProxyOptions)
            new = _for_worker(loaded, now, values)
        changed |= {each for each in now.__struct_fields__ if getattr(now, each) != getattr(new, each)}
        needs_restart += _waits(now, loaded.settings)
        options[name] = msgspec.json.encode(new).decode()
    return ReloadAnswer(
        options=options,
        changed=[name for name in rows() if name in changed],
        needs_restart=list(dict.fromkeys(needs_restart)),
        stop_timeouts_s={
            name: loaded.settings.drain_timeout_s + KILL_GRACE_S for name in request.options if name != METRICS
        },
        log_level=loaded.settings.log_level,
    )


def _waits(now: MetricsOptions | ProxyOptions, settings: Settings) -> list[str]:
    """Settings that are read again, but not in this case."""
    token = now.metrics_token if isinstance(now, MetricsOptions) else now.health_token
    found = {
        "metrics_token": (token is None) != (settings.metrics_token is None),
        "retention_days": settings.store != SQLITE and now.retention_days != settings.retention_days,
    }
    return [name for name, waits in found.items() if waits]


def _token(before: str | None, settings: Settings) -> str | None:
    """Another one, but not one in place of none: who may ask, and how, is settled at start."""
    if before is None or settings.metrics_token is None:
        return before
    return settings.metrics_token.get_secret_value()


def _for_metrics(loaded: Loaded, now: MetricsOptions, changed: dict[str, Any]) -> MetricsOptions:
    before = {row["name"]: row for row in now.settings}  # what waits for a restart is shown as it still is
    shown = [row if rows()[row["name"]].reload else before[row["name"]] for row in settings_table(loaded)]
    named = loaded.settings.backend
    new: dict[str, Any] = {
        "backends": backend_options(loaded),
        "found_backend": "" if loaded.settings.backends else now.found_backend if named in {None, DEMO} else str(named),
        "tokens": read_tokens(loaded),
        "simulated": now.simulated and not loaded.settings.backends and named in {None, DEMO},
        "metrics_token": _token(now.metrics_token, loaded.settings),
    }
    return msgspec.structs.replace(now, **changed, **new, **rules(loaded.settings), settings=shown)


def _for_worker(loaded: Loaded, now: ProxyOptions, changed: dict[str, Any]) -> ProxyOptions:
    new = changed | {
        "backend": _backend(loaded.settings, now),
        "backends": backend_options(loaded),
        "health_token": _token(now.health_token, loaded.settings),
    }
    return msgspec.structs.replace(now, **new)


def _backend(settings: Settings, now: ProxyOptions) -> str:
    """The one that is named. With none, the one that was found or simulated at start stays."""
    if settings.backends:
        return ""
    if settings.backend not in {None, DEMO}:
        return str(settings.backend)
    if not now.backend:
        raise SettingsError(["the file names no backend any more: name one, or several as [[backends]]"])
    return now.backend


def main() -> int:
    """Exit status 0, or 2 if the settings are refused."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=ReloadRequest)
    start = msgspec.json.decode(request.start_json, type=ReloadStart)
    logs.setup(start.log_level, start.log_format, "reload")
    try:
        answer = read_again(request, dict(os.environ))
    except SettingsError as error:
        for problem in error.problems:
            log.error("%s", problem)  # noqa: TRY400 -- one line each, for people
        sys.stdout.buffer.write(msgspec.json.encode(ReloadAnswer(problems=[str(each) for each in error.problems])))
        return error.exit_code
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
