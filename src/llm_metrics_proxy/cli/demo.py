"""``demo``: the simulated LLM server alone, in the foreground."""

from typing import Annotated

import typer

from llm_metrics_proxy.cli.output import console
from llm_metrics_proxy.cli.standard_output import courtesy
from llm_metrics_proxy.demo import server


def demo(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: the kernel chooses.")] = 8003,
    seed: Annotated[int, typer.Option(help="The same seed gives the same answers to the same requests.")] = 0,
    speed: Annotated[float, typer.Option(min=0.01, help="10 answers ten times as fast as a real server.")] = 1.0,
    fault_rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of requests that fail.")] = 0.03,
    traffic_to: Annotated[
        str | None, typer.Option(metavar="URL", help="Base URL of a proxy that simulated clients talk to.")
    ] = None,
    rate_per_s: Annotated[float, typer.Option(min=0.01, help="Mean requests per second of those clients.")] = 1.0,
) -> None:
    """Start a simulated LLM server: believable timing, no model, and every answer says so."""
    server.run(
        host,
        port,
        seed=seed,
        speed=speed,
        fault_rate=fault_rate,
        traffic_to=traffic_to,
        rate_per_s=rate_per_s,
        announce=_announce,
    )


def _announce(url: str) -> None:
    with courtesy():
        console().print(f"Simulated LLM server at {url}; its numbers are simulated")
