"""A short-lived process: reads the settings again, as SIGHUP asks, and says what each process is to be told now.

The supervisor starts it, because it holds none of the libraries that read settings. It gets a ``ReloadRequest`` on
standard input, and answers a ``ReloadAnswer`` on standard output, or exit code 2 after having logged what is wrong.
"""

import logging
import os
import sys
from pathlib import Path

import msgspec

from llm_metrics_proxy import logs
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded, load
from llm_metrics_proxy.config.types import DEMO
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.processes import launch
from llm_metrics_proxy.processes.metrics_options import MetricsOptions
from llm_metrics_proxy.processes.reload_options import RELOADED, ReloadTold, fixed_settings
from llm_metrics_proxy.proxy.options import ProxyOptions, reloaded
from llm_metrics_proxy.supervisor import ReloadAnswer, ReloadRequest

log = logging.getLogger(__name__)


def read_again(request: ReloadRequest, environment: dict[str, str]) -> ReloadAnswer:
    """New options for every worker and the metrics process. Raises ``SettingsError``."""
    told = msgspec.json.decode(request.told_json, type=ReloadTold)
    loaded = load(told.flags, environment, Path(told.config_file))
    fixed = fixed_settings(loaded.settings)
    waiting = [name for name in told.fixed if told.fixed[name] != fixed.get(name)]
    options = {
        name: (_for_metrics if name == launch.METRICS else _for_worker)(loaded, text)
        for name, text in request.options.items()
    }
    return ReloadAnswer(options=options, needs_restart=waiting)


def _for_metrics(loaded: Loaded, told: str) -> str:
    now = msgspec.json.decode(told, type=MetricsOptions)
    before = {row["name"]: row for row in now.settings}  # what waits for a restart is shown as it still is
    shown = [row if row["name"] in RELOADED else before[row["name"]] for row in launch.settings_table(loaded)]
    new = {**launch.reloaded_by_metrics(loaded.settings), "settings": shown}
    return msgspec.json.encode(msgspec.structs.replace(now, **new)).decode()


def _for_worker(loaded: Loaded, told: str) -> str:
    now = msgspec.json.decode(told, type=ProxyOptions)
    wanted = launch.proxy_options(
        loaded.settings,
        backend=_backend(loaded.settings, now),
        listen_fds=now.listen_fds,
        worker_index=now.worker_index,
        scoreboard_fd=now.scoreboard_fd,
        api_keys=loaded.api_keys,
    )
    return msgspec.json.encode(reloaded(now, wanted)).decode()


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
    """Exit status 0 or 2."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=ReloadRequest)
    told = msgspec.json.decode(request.told_json, type=ReloadTold)
    logs.setup(told.log_level, told.log_format, "reload")
    try:
        answer = read_again(request, dict(os.environ))
    except SettingsError as error:
        for problem in error.problems:
            log.error("%s", problem)  # noqa: TRY400 -- one line each, for people
        return error.exit_code
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
