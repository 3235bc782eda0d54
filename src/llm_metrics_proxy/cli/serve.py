"""``serve``: the whole product under one supervisor."""

import logging
from typing import Annotated

import typer
from rich.text import Text

from llm_metrics_proxy import dashboard, descriptors, logs
from llm_metrics_proxy.cli.flags import with_settings
from llm_metrics_proxy.cli.output import console
from llm_metrics_proxy.cli.standard_output import courtesy
from llm_metrics_proxy.cli.tables import lines
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.doors import is_loopback
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.processes import launch
from llm_metrics_proxy.processes.discovery import ChosenBackend, choose_backend
from llm_metrics_proxy.scoreboard import Scoreboard

log = logging.getLogger(__name__)


@with_settings(service=True)
def serve(
    loaded: Loaded,
    demo_traffic: Annotated[
        bool | None,
        typer.Option(
            "--demo-traffic/--no-demo-traffic",
            help="Simulated clients for the simulated server. [default: on]",
            show_default=False,
            rich_help_panel="Backend",
        ),
    ] = None,
) -> None:
    """Start the proxy, the recording of every request, and the metrics API."""
    settings = loaded.settings
    logs.setup(settings.log_level, settings.log_format, "serve")
    descriptors.raise_limit()
    if settings.metrics_role == "read":
        raise SettingsError(
            ["metrics_role = 'read': nobody would store what this proxy records; `metrics` can only read, `serve` not"]
        )
    backend = choose_backend(settings, loaded.origins["backend"])
    launch.prepare_folders(settings)
    clients, readers = launch.listen_for_clients(settings), launch.listen_for_readers(settings)
    ports = [clients, readers]
    scoreboard = Scoreboard.create()

    children = []
    url = backend.url
    if url is None:
        demo = launch.listen_for_demo()
        ports.append(demo)
        children.append(launch.demo_spec(demo, settings, traffic_to=None if demo_traffic is False else clients.url))
        url = demo.url
    children += launch.worker_specs(loaded, url, clients, scoreboard)
    served, simulated = ChosenBackend(url, backend.note), backend.url is None
    children.append(launch.metrics_spec(loaded, readers, scoreboard, url, proxy_url=clients.url, simulated=simulated))

    def announce() -> None:
        if logs.is_json():
            log_start(settings, served, clients.url, readers.url, simulated=simulated)
            return
        with courtesy():
            print_start_block(settings, served, clients.url, readers.url, simulated=simulated)

    launch.launch(loaded, children, ports, scoreboard, announce=announce)


def log_start(settings: Settings, backend: ChosenBackend, proxy_url: str, metrics_url: str, *, simulated: bool) -> None:
    """The same for collectors: one line, with the addresses as keys of its own."""
    fields = {
        "app_version": APP_VERSION,
        "proxy_url": proxy_url,
        "metrics_url": metrics_url,
        "backends": [each.url for each in settings.backends] or [backend.url or ""],
        "simulated": simulated,
        "database": str(settings.db_path),
        "workers": settings.workers,
    }
    log.info("LLM Metrics Proxy %s starts", APP_VERSION, extra={logs.FIELDS: fields})
    if simulated:
        log.warning("%s: a simulated server answers, and its numbers are simulated", backend.note)
    if not is_loopback(settings.metrics_host) and not settings.metrics_token:
        log.warning("insecure: everyone who reaches %s reads the metrics", metrics_url)


def print_start_block(
    settings: Settings, backend: ChosenBackend, proxy_url: str, metrics_url: str, *, simulated: bool
) -> None:
    """What runs where, and how to point a client at it."""
    reach = "" if is_loopback(settings.host) else f"  (on {settings.host}: other machines can reach it)"
    guard = "  (token needed)" if settings.metrics_token else ""
    if not is_loopback(settings.metrics_host) and not settings.metrics_token:
        guard = "  (INSECURE: everyone who reaches this address reads the metrics)"
    backends = [
        f"{each.name}: {each.url}  ({', '.join(each.models) or 'models that no other lists'})"
        for each in settings.backends
    ] or [f"{backend.url}  ({'simulated' if simulated else backend.note})"]
    page = f"{metrics_url}/  (open it in a browser)"
    has_page = dashboard.is_built() and settings.metrics_role != "ingest"
    rows = [
        ("Proxy", f"{proxy_url}{reach}"),
        *(("Backend", text) for text in backends),
        *((("Dashboard", page),) if has_page else ()),
        ("Metrics", f"{metrics_url}{guard}"),
        ("API docs", f"{metrics_url}/docs"),
        ("Database", str(settings.db_path)),
        ("Workers", str(settings.workers)),
        ("Client", f"export OPENAI_BASE_URL={proxy_url}/v1"),
    ]
    out = console()
    out.print(Text.assemble((f"LLM Metrics Proxy {APP_VERSION}", "bold cyan")))
    lines(out, ((f"  {name}", text) for name, text in rows))
    if simulated:
        out.print(Text(f"  {backend.note}.", style="yellow"))
        out.print(Text("  A simulated server answers: ITS NUMBERS ARE SIMULATED.", style="bold yellow"))
        out.print(Text("  Name a real one with --backend http://host:port", style="yellow"))
