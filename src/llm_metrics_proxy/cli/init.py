"""``init``: three questions, then a commented file of settings and, if wished, a unit for systemd."""

import asyncio
import os
import re
import secrets
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from llm_metrics_proxy.cli.output import console, plain
from llm_metrics_proxy.cli.written import Force, refuse_to_replace, written
from llm_metrics_proxy.config.sources import examine
from llm_metrics_proxy.config.toml_file import toml_file
from llm_metrics_proxy.config.types import DEMO
from llm_metrics_proxy.errors import ExportError, SettingsError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.ownership import make_folder
from llm_metrics_proxy.processes.discovery import LlmServer, identify, look_on_loopback
from llm_metrics_proxy.processes.systemd_unit import FILE_NAME, NAME, program, systemd_unit

HERE: Final = Path("llm-metrics-proxy.toml")
OF_SERVICE: Final = Path("/etc") / NAME / "config.toml"
UNITS: Final = Path("/etc/systemd/system")
_EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 -- written into a file, because somebody chose it
_UNWRITABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # in a comment of TOML, or in a unit
_SECRET_MODE: Final = 0o600
_ANSWER_LIMIT_S: Final = 3.0
_TOKEN_BYTES: Final = 24


class Reach(StrEnum):
    """Who may connect."""

    MACHINE = "machine"
    CLIENTS = "clients"
    ALL = "all"


_REACHES: Final = {
    Reach.MACHINE: "programs of this machine only",
    Reach.CLIENTS: "other machines may use the LLM server; the dashboard stays on this machine",
    Reach.ALL: "other machines may use both; the dashboard asks for a token, which is made now",
}
_WHY: Final = {
    "backend": "The LLM server. Clients use the proxy's address in its place.",
    "host": "Every address of this machine: who can reach it can use the LLM server.",
    "metrics_token": "Secret that the dashboard and the metrics API ask for. Keep this file from others (mode 600).",
}


class Choices(NamedTuple):
    """What is to be written. ``backend``: none: look for one at every start."""

    backend: str | None
    reach: Reach
    service: bool


def init(
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=f"The file to write. [default: {HERE}, for root's service {OF_SERVICE}]",
        ),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="URL", help="The LLM server, or demo. [default: one found on this machine]")
    ] = None,
    reach: Annotated[Reach | None, typer.Option(help="Who may connect. [default: machine]", show_default=False)] = None,
    service: Annotated[
        bool | None,
        typer.Option("--service/--no-service", help="Write a unit for systemd too. [default: no]", show_default=False),
    ] = None,
    unit: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Where the unit goes, which means --service. [default: for root {UNITS}, else beside the file]",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: flags and defaults decide.")] = False,
    force: Force = False,
) -> None:
    """Ask three things, and write a commented file of settings and, if wished, a unit for systemd.

    Nothing that is there is replaced without --force, and nothing is started.
    """
    if unit is not None and service is False:
        raise SettingsError(["--unit means --service, and --no-service wants no unit: leave one of them out"])
    service = True if unit is not None else service
    for flag, named in (("--output", output or HERE), ("--unit", unit)):
        if named is not None and _UNWRITABLE.search(str(named.absolute())):
            raise SettingsError(
                [f"{flag} {str(named.absolute())!r}: has a control character, or is no UTF-8: choose another name"]
            )
    asks = not yes and None in (backend, reach, service)
    if asks and not sys.stdin.isatty():
        raise SettingsError(
            ["init asks, and standard input is no terminal: say --yes, and flags for what shall differ"]
        )
    if output is not None and not force:
        refuse_to_replace(output)
    if backend is not None:
        _check(backend)
    chosen = _choose(backend, reach, service, asks=asks)
    as_root = os.geteuid() == 0
    file = (output or (OF_SERVICE if chosen.service and as_root else HERE)).absolute()
    unit_file = None
    if chosen.service:
        unit_file = (unit or (UNITS if as_root and output is None else file.parent) / FILE_NAME).absolute()
    for target in filter(None, (file, unit_file)):
        refuse_to_replace(target, force=force)
    contents = [(file, _settings_text(chosen, file), _SECRET_MODE if chosen.reach is Reach.ALL else None)]
    if unit_file is not None:
        contents.append((unit_file, systemd_unit(file, program()), None))
    _write(contents, force=force)
    _say_what_next(chosen, file, unit_file)


def _choose(backend: str | None, reach: Reach | None, service: bool | None, *, asks: bool) -> Choices:
    out = console()
    if backend is None:
        found = asyncio.run(look_on_loopback())
        for server in found:
            out.print(f"Found {plain(server)}.")
        offered = found[0].url if found else DEMO
        if asks:
            if not found:
                out.print("No LLM server answers on this machine; demo is a simulated one, to look around.")
            backend = typer.prompt("1. URL of the LLM server", default=offered, value_proc=_checked)
        else:
            backend = found[0].url if found else None
    if reach is None and asks:
        for each, meaning in _REACHES.items():
            out.print(f"   {each.value:<8} {meaning}")
        reach = typer.prompt("2. Who may connect?", default=Reach.MACHINE.value, value_proc=_reach)
    if service is None and asks:
        service = typer.confirm("3. Run it as a service of systemd?", default=False)
    return Choices(backend, reach or Reach.MACHINE, bool(service))


def _check(backend: str) -> None:
    """Raises ``SettingsError``."""
    _, faults = examine({"backend": backend}, {})
    if faults:
        raise SettingsError(faults)


def _checked(text: str) -> str:
    try:
        _check(text.strip())
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    return text.strip()


def _reach(text: str) -> Reach:
    try:
        return Reach(text.strip().lower())
    except ValueError:
        raise typer.BadParameter(f"one of {', '.join(Reach)}") from None


def _settings_text(chosen: Choices, file: Path) -> str:
    values: dict[str, Any] = {} if chosen.backend is None else {"backend": chosen.backend}
    if chosen.reach is not Reach.MACHINE:
        values["host"] = _EVERY_ADDRESS
    if chosen.reach is Reach.ALL:
        values |= {"metrics_host": _EVERY_ADDRESS, "metrics_token": secrets.token_urlsafe(_TOKEN_BYTES)}
    head = (
        f"Settings of the LLM Metrics Proxy, written by `{NAME} init` of version {APP_VERSION}.",
        "",
        f"Check:   {NAME} config check --config {shlex.quote(str(file))}",
        f"Start:   {NAME} serve --config {shlex.quote(str(file))}",
        f"Change:  {NAME} reload --config {shlex.quote(str(file))}",
        "",
        "A flag or a variable (LLM_METRICS_PROXY_PORT for port) wins over this file.",
        "Lines with # are comments and show the default: take the # away and change the value.",
    )
    return toml_file(values, head, _WHY)


def _write(contents: Sequence[tuple[Path, str, int | None]], *, force: bool) -> None:
    """All of them, or none: each can be written before one has its name. Raises ``ExportError``."""
    for target, _, _ in contents:
        try:
            make_folder(target.parent)
        except OSError as error:
            raise ExportError(f"{target} cannot be written: no folder {target.parent}: {error.strerror}") from error
    with ExitStack() as files:
        for target, text, mode in contents:
            files.enter_context(written(str(target), force=force, mode=mode)).write(text.encode())


def _say_what_next(chosen: Choices, file: Path, unit_file: Path | None) -> None:
    out = console()

    def say(text: str) -> None:
        out.print(plain(text), soft_wrap=True)

    say(f"Wrote {file}")
    if chosen.backend not in {None, DEMO}:
        answer = asyncio.run(identify(str(chosen.backend), limit_s=_ANSWER_LIMIT_S))
        if not isinstance(answer, LlmServer):
            say(f"The LLM server at {chosen.backend} does not answer as one now: {answer}")
    if chosen.reach is Reach.ALL:
        say(f"The dashboard's token stands in it: grep metrics_token {shlex.quote(str(file))}")
    if unit_file is None:
        say(f"Start it:  {NAME} serve --config {shlex.quote(str(file))}")
        return
    say(f"Wrote {unit_file}")
    say("As root, once:")
    say(f"  useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {NAME}")
    if chosen.reach is Reach.ALL:
        say(f"  chown {NAME}: {shlex.quote(str(file))}")
    if unit_file.parent != UNITS:
        say(f"  install -m 644 {shlex.quote(str(unit_file))} {UNITS / FILE_NAME}")
    say(f"  systemctl daemon-reload && systemctl enable --now {NAME}")
