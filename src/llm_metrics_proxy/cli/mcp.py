"""``mcp``: tools by which an agent on this machine asks about records, on standard input and output."""

from typing import Annotated

import typer

from llm_metrics_proxy.cli.flags import READING, with_settings
from llm_metrics_proxy.cli.selection import open_database
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.processes.agents import tools_over_api, tools_over_records


@with_settings(*READING, "metrics_host", "metrics_port", "metrics_token")
def mcp(
    loaded: Loaded,
    *,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="A running metrics API, such as http://127.0.0.1:8002. [default: the database]"
        ),
    ] = None,
) -> None:
    """Serve tools for agents over the Model Context Protocol, until standard input ends. They only read."""
    settings = loaded.settings
    if url is not None:
        token = settings.metrics_token
        tools_over_api(url, None if token is None else token.get_secret_value())
        return
    host = settings.metrics_host
    shown = f"[{host}]" if ":" in host else host
    with open_database(loaded) as (records, _):
        tools_over_records(records, f"http://{shown}:{settings.metrics_port}/")
