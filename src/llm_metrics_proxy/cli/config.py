"""``config check``: file, environment and flags looked at together, every fault at once, nothing started."""

import os

import typer

from llm_metrics_proxy.cli.flags import GivenSettings, Json, with_flags
from llm_metrics_proxy.cli.output import console, plain, print_json
from llm_metrics_proxy.config.faults import SettingFault
from llm_metrics_proxy.config.sources import DEFAULT
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.processes.config_faults import Examined, examined

config = typer.Typer(
    name="config",
    help="Look at the configuration without starting anything.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@config.command("check")
@with_flags()
def check(given: GivenSettings, *, json: Json = False) -> None:
    """Say everything that is wrong with file, environment and flags, as FILE:LINE where a line is known.

    Give it the flags that `serve` will get. Exit codes: 0 well, perhaps with warnings; 2 `serve` would refuse it.
    """
    seen = examined(given.flags, os.environ, given.config_file)
    if json:
        problems = [_as_json(each, "error") for each in seen.faults]
        problems += [_as_json(each, "warning") for each in seen.cautions]
        print_json({"ok": not seen.faults, "app_version": APP_VERSION, "problems": problems})
    else:
        _print(seen)
    if seen.faults:
        raise typer.Exit(SettingsError.exit_code)


def _print(seen: Examined) -> None:
    out = console()
    for each in seen.faults:
        out.print(plain(_placed(each)), soft_wrap=True)
    for each in seen.cautions:
        out.print(plain(_placed(each, "warning: ")), soft_wrap=True)
    if seen.loaded is None:
        out.print(f"[bold red]{len(seen.faults)} to correct[/]")
        return
    given = sum(origin != DEFAULT for origin in seen.loaded.origins.values())
    file = seen.loaded.config_file
    source = "no file" if file is None else str(file)
    out.print(f"[green]ok[/]: {given} settings given ({plain(source)}), the others at their defaults", soft_wrap=True)


def _placed(fault: SettingFault, kind: str = "") -> str:
    """As compilers say it, so that editors find the place."""
    if fault.file is None:
        return f"{kind}{fault}"
    line = "" if fault.line is None else f":{fault.line}"
    return f"{fault.file}{line}: {kind}{fault.bare}"


def _as_json(fault: SettingFault, severity: str) -> dict[str, object]:
    file = None if fault.file is None else str(fault.file)
    return {
        "severity": severity,
        "setting": fault.setting,
        "file": file,
        "line": fault.line,
        "message": fault.bare if file else str(fault),
    }
