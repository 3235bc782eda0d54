"""``serve``: the whole product under one supervisor."""

import asyncio
from typing import Annotated, NamedTuple

import typer
from rich.table import Table
from rich.text import Text

from llm_metrics_proxy import descriptors, logs
from llm_metrics_proxy.cli.flags import with_settings
from llm_metrics_proxy.cli.output import console
from llm_metrics_proxy.cli.standard_output import courtesy
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.config.types import DEMO
from llm_metrics_proxy.doors import is_loopback
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.processes import discovery, launch
from llm_metrics_proxy.scoreboard import Scoreboard


class ChosenBackend(NamedTuple):
    """Who answers; ``note`` says how it was chosen. ``url`` is ``None`` for the simulated server, not yet started, and
    empty where the settings name several."""

    url: str | None
    note: str


@with_settings()
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
        children.append(launch.demo_spec(demo, traffic_to=None if demo_traffic is False else clients.url))
        url = demo.url
    children += launch.worker_specs(loaded, url, clients, scoreboard)
    children.append(launch.metrics_spec(loaded, readers, scoreboard))

    with courtesy():
        print_start_block(
            settings, ChosenBackend(url, backend.note), clients.url, readers.url, simulated=backend.url is None
        )
    launch.launch(loaded, children, ports, scoreboard)


def choose_backend(settings: Settings, origin: str) -> ChosenBackend:
    """The one that was named, else one found on loopback, else (``url`` is ``None``) the simulated one."""
    if settings.backends:
        return ChosenBackend("", f"{len(settings.backends)} of the file")
    if settings.backend == DEMO:
        return ChosenBackend(None, f"the simulated server was asked for ({origin})")
    if settings.backend is not None:
        return ChosenBackend(settings.backend, origin)
    found = asyncio.run(discovery.look_on_loopback(frozenset({settings.port, settings.metrics_port})))
    if not found:
        looked_at = ", ".join(f"{candidate.program} {candidate.port}" for candidate in discovery.CANDIDATES)
        return ChosenBackend(None, f"no backend was named and no LLM server found on loopback ({looked_at})")
    also = f"; also there: {', '.join(map(str, found[1:]))}" if found[1:] else ""
    count = len(found[0].models)
    return ChosenBackend(
        found[0].url, f"{found[0].program} with {count} model{'' if count == 1 else 's'}, found on loopback{also}"
    )


def print_start_block(
    settings: Settings, backend: ChosenBackend, proxy_url: str, metrics_url: str, *, simulated: bool
) -> None:
    """What runs where, and how to point a client at it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in start_lines(settings, backend, proxy_url, metrics_url, simulated=simulated):
        table.add_row(f"  {name}", text)
    out = console()
    out.print(Text.assemble((f"LLM Metrics Proxy {APP_VERSION}", "bold cyan")))
    out.print(table)
    if simulated:
        out.print(Text(f"  {backend.note}.", style="yellow"))
        out.print(Text("  A simulated server answers: ITS NUMBERS ARE SIMULATED.", style="bold yellow"))
        out.print(Text("  Name a real one with --backend http://host:port", style="yellow"))


def start_lines(
    settings: Settings, backend: ChosenBackend, proxy_url: str, metrics_url: str, *, simulated: bool
) -> list[tuple[str, str]]:
    """Name and text of each line of the start-up block."""
    reach = "" if is_loopback(settings.host) else f"  (on {settings.host}: other machines can reach it)"
    guard = "  (token needed)" if settings.metrics_token else ""
    if not is_loopback(settings.metrics_host) and not settings.metrics_token:
        guard = "  (INSECURE: everyone who reaches this address reads the metrics)"
    return [
        ("Proxy", f"{proxy_url}{reach}"),
        *backend_lines(settings, backend, simulated=simulated),
        ("Metrics", f"{metrics_url}{guard}"),
        ("API docs", f"{metrics_url}/docs"),
        ("Database", str(settings.db_path)),
        ("Workers", str(settings.workers)),
        ("Client", f"export OPENAI_BASE_URL={proxy_url}/v1"),
    ]


def backend_lines(settings: Settings, backend: ChosenBackend, *, simulated: bool) -> list[tuple[str, str]]:
    """One line for each server."""
    if not settings.backends:
        return [("Backend", f"{backend.url}  ({'simulated' if simulated else backend.note})")]
    return [
        ("Backend", f"{each.name}: {each.url}  ({', '.join(each.models) or 'models that no other lists'})")
        for each in settings.backends
    ]
