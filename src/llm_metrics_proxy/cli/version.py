"""``version``: what runs, down to the libraries whose version decides about data and speed."""

from llm_metrics_proxy.cli.flags import Json
from llm_metrics_proxy.cli.output import console, print_json
from llm_metrics_proxy.processes.versions import versions


def version(json: Json = False) -> None:
    """Show the versions of the program and of its libraries."""
    if json:
        print_json(versions())
        return
    out = console()
    for name, number in versions().items():
        out.print(f"{name:<12} {number}")
