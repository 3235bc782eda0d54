"""From settings to running processes: folders, listening sockets, one ``ChildSpec`` per process, and the supervisor."""

import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import msgspec

from llm_metrics_proxy import listening
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.demo.options import DemoOptions
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.ownership import make_folder
from llm_metrics_proxy.processes import secret_file
from llm_metrics_proxy.processes.metrics_options import METRICS
from llm_metrics_proxy.processes.options import KILL_GRACE_S, metrics_options, proxy_options
from llm_metrics_proxy.processes.reload import ReloadStart, fixed_settings
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.supervisor import ChildSpec, LaunchPlan, Reload, become, command

# Workers stop first, so that nothing new arrives; then the metrics process, which stores what they left. The simulated
# server answers the workers' open requests, so it goes last.
_WORKERS, _METRICS, _DEMO = 0, 1, 2
_DEMO_NAME: Final = "demo"
WORKER: Final = "llm_metrics_proxy.proxy"
_SHARED: Final = "llm_metrics_proxy.proxy.worker"  # half of it serves the metrics process, too
ROLES: Final = ("serve", "proxy", "metrics")  # verbs that start a supervisor
# It stores for 5 s at most; killed later, it loses nothing: the journal is read on at the next start.
LAST_INGESTION_S: Final = 30.0
_DEMO_STOP_S: Final = 5.0

log = logging.getLogger(__name__)


class PortSockets(NamedTuple):
    """The listening sockets of one port, a group for each process, and the URL that people see."""

    groups: list[list[socket.socket]]
    url: str

    @property
    def fds(self) -> list[int]:
        """Every descriptor once."""
        return sorted({member.fileno() for group in self.groups for member in group})


def listen_for_clients(settings: Settings) -> PortSockets:
    """The workers' sockets. Raises ``PortInUseError`` or ``LlmMetricsProxyError``."""
    return _listening(settings.host, listening.listen(settings.host, settings.port, sockets=settings.workers))


def listen_for_readers(settings: Settings) -> PortSockets:
    """The metrics process's sockets; errors as for ``listen_for_clients``."""
    host = settings.metrics_host
    return _listening(host, listening.listen(host, settings.metrics_port, flag="--metrics-port"))


def listen_for_demo() -> PortSockets:
    """The simulated server's socket: loopback, a port that the kernel chooses."""
    return _listening("127.0.0.1", listening.listen("127.0.0.1", 0))


def _listening(host: str, groups: list[list[socket.socket]]) -> PortSockets:
    return PortSockets(groups, listening.base_url(host, groups[0][0].getsockname()[1]))


def prepare_folders(settings: Settings) -> None:
    """Make the folders and the secret that the processes expect. Raises ``LlmMetricsProxyError``."""
    for folder in (settings.data_dir, settings.db_path.parent, settings.journal_dir):
        try:
            make_folder(folder)
        except OSError as error:
            raise LlmMetricsProxyError(f"folder {folder}: cannot be made: {error.strerror}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise LlmMetricsProxyError(f"folder {folder}: cannot be written to by this user")
    warning = secret_file.ensure(secret_file.secret_path(settings))
    if warning:
        log.warning("%s", warning)


def worker_specs(loaded: Loaded, backend: str, clients: PortSockets, scoreboard: Scoreboard) -> list[ChildSpec]:
    """One process per worker, each with sockets of its own."""
    specs = []
    for index, group in enumerate(clients.groups):
        fds = [member.fileno() for member in group]
        options = proxy_options(
            loaded, backend=backend, listen_fds=fds, worker_index=index, scoreboard_fd=scoreboard.fd
        )
        specs.append(
            ChildSpec(
                name=f"worker-{index}",
                module=WORKER,
                options_json=_line(options),
                fds=[*fds, scoreboard.fd],
                stop_group=_WORKERS,
                stop_timeout_s=loaded.settings.drain_timeout_s + KILL_GRACE_S,
                slot=index,
            )
        )
    return specs


def metrics_spec(
    loaded: Loaded,
    readers: PortSockets,
    scoreboard: Scoreboard | None,
    backend: str = "",
    *,
    proxy_url: str = "",
    simulated: bool = False,
) -> ChildSpec:
    """The metrics process. ``scoreboard`` is ``None`` if it runs without workers; ``backend``: the single one, and
    ``simulated``: it is the demo's; ``proxy_url``: where clients reach the proxy, for the page that says so."""
    board = [] if scoreboard is None else [scoreboard.fd]
    options = metrics_options(
        loaded,
        backend=backend,
        listen_fds=readers.fds,
        scoreboard_fd=board[0] if board else None,
        proxy_url=proxy_url,
        simulated=simulated,
    )
    return ChildSpec(
        name=METRICS,
        module="llm_metrics_proxy.processes.metrics_process",
        options_json=_line(options),
        fds=[*readers.fds, *board],
        stop_group=_METRICS,
        stop_timeout_s=LAST_INGESTION_S,
        without_it=(
            f"requests are still served, and their records wait in {loaded.settings.journal_dir}; there are no metrics "
            "until the cause is removed and this program is started again"
        ),
    )


def demo_spec(demo: PortSockets, settings: Settings, *, traffic_to: str | None) -> ChildSpec:
    """The simulated server; with ``traffic_to``, simulated clients of that proxy too."""
    fd = demo.fds[0]
    return ChildSpec(
        name=_DEMO_NAME,
        module="llm_metrics_proxy.demo",
        options_json=_line(
            DemoOptions(
                listen_fd=fd, traffic_to=traffic_to, log_level=settings.log_level, log_format=settings.log_format
            )
        ),
        fds=[fd],
        stop_group=_DEMO,
        stop_timeout_s=_DEMO_STOP_S,
        without_it="requests are answered with errors",
    )


def launch_plan(
    loaded: Loaded, children: list[ChildSpec], ports: Sequence[PortSockets], scoreboard: Scoreboard | None = None
) -> LaunchPlan:
    """What the supervisor runs. Its own copies of the sockets live as long as it serves."""
    return LaunchPlan(
        children=children,
        preloaded=[_SHARED] if any(child.module == WORKER for child in children) else [],
        listen_fds=sorted({fd for each in ports for fd in each.fds}),
        scoreboard_fd=None if scoreboard is None else scoreboard.fd,
        log_level=loaded.settings.log_level,
        log_format=loaded.settings.log_format,
        state_file=str(state_file(loaded.settings, _role(children))),
        reload=_reload(loaded, [child.name for child in children if child.name != _DEMO_NAME]),
    )


def state_file(settings: Settings, role: str) -> Path:
    """Where the supervisor that one of ``ROLES`` started says who it is."""
    return settings.data_dir.absolute() / f"{role}.state"


def _role(children: Sequence[ChildSpec]) -> str:
    if all(child.name != METRICS for child in children):
        return "proxy"
    return "serve" if len(children) > 1 else "metrics"


def launch(
    loaded: Loaded,
    children: list[ChildSpec],
    ports: Sequence[PortSockets],
    scoreboard: Scoreboard | None = None,
    *,
    announce: Callable[[], None],
) -> NoReturn:
    """Become the supervisor of ``children``."""
    become(launch_plan(loaded, children, ports, scoreboard), announce)


def _reload(loaded: Loaded, children: list[str]) -> Reload | None:
    """How ``children`` get settings that are read again; ``None`` without a file, so that nothing can have changed."""
    if loaded.config_file is None:
        return None
    start = ReloadStart(
        flags=dict(loaded.flags),
        config_file=str(loaded.config_file),
        fixed=fixed_settings(loaded.settings),
        log_level=loaded.settings.log_level,
        log_format=loaded.settings.log_format,
    )
    return Reload(argv=command("llm_metrics_proxy.processes.reload"), start_json=_line(start), children=children)


def _line(options: msgspec.Struct) -> str:
    return msgspec.json.encode(options).decode()
