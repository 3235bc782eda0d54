"""``version``: what runs, down to the libraries whose version decides about data and speed."""

import platform
from importlib import metadata
from typing import Annotated

import apsw
import typer

from llm_metrics_proxy.cli.output import console, print_json
from llm_metrics_proxy.metrics_service import APP_VERSION


def versions() -> dict[str, str]:
    """Name and version of everything that matters in a bug report."""
    return {
        "app_version": APP_VERSION,
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "uvloop": metadata.version("uvloop"),
        "httptools": metadata.version("httptools"),
        "platform": platform.platform(),
    }


def version(json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Show the versions of the program and of what it stands on."""
    if json:
        print_json(versions())
        return
    out = console()
    for name, number in versions().items():
        out.print(f"{name:<12} {number}")
