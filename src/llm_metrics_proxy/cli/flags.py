"""Turns rows of the settings table into flags of a verb.

A flag's text is passed on unread: ``config.sources`` validates every layer in one place and names the flag in its
message. So one wrong flag does not hide another, and a flag and an environment variable are refused alike.
"""

import inspect
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from llm_metrics_proxy import logs
from llm_metrics_proxy.config.sources import Loaded, load, wants_json_logs
from llm_metrics_proxy.config.table import CONFIG_ENVIRONMENT, CONFIG_FLAG, SettingRow, rows
from llm_metrics_proxy.errors import SettingsError

Db = Annotated[
    Path | None, typer.Option("--db", help="The database; short for --db-path.", metavar="PATH", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
UnroundedJson = Annotated[bool, typer.Option("--json", help="One JSON object, unrounded.")]
# What a verb needs that only reads records.
READING = ("data_dir", "db_path", "store", "store_password_file", "store_ca_file", "store_cluster")


class GivenSettings(NamedTuple):
    """What a command line says of the settings, not looked at yet."""

    flags: dict[str, Any]
    config_file: Path | None


def with_settings(*names: str, service: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb, as its first argument, the ``Loaded`` settings, and a flag for each of ``names`` (default: all).

    ``service``: what it says of wrong settings goes to whoever reads its log, in the format of the log.
    """

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        @wraps(verb)
        def command(given: GivenSettings, **values: Any) -> None:
            if service and wants_json_logs(given.flags, os.environ, given.config_file):
                logs.setup("info", "json", verb.__name__)
            loaded = load(given.flags, os.environ, given.config_file)
            if loaded.settings.log_level == "debug":  # processes set up their own logs after this
                logs.setup("debug", loaded.settings.log_format, verb.__name__)
            verb(loaded, **values)

        return with_flags(*names)(command)

    return decorate


def with_flags(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As ``with_settings``, for verbs that look at what is wrong themselves: they get ``GivenSettings``."""

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        given = {name: row for name, row in rows().items() if not row.toml_only and not row.no_flag}
        table = {name: row for name, row in given.items() if not names or name in names}

        def command(**values: Any) -> None:
            config_file = values.pop("config")
            flags = {name: value for name in table if (value := values.pop(name)) not in (None, [])}
            verb(GivenSettings(flags, config_file), **values)

        own = list(inspect.signature(verb).parameters.values())[1:]
        parameters = [*own, _config_parameter(), *(_parameter(row) for row in table.values())]
        command.__name__ = verb.__name__
        command.__doc__ = verb.__doc__
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        )
        return command

    return decorate


def _config_parameter() -> inspect.Parameter:
    text = f"TOML file with settings. [env: {CONFIG_ENVIRONMENT}]"
    option = typer.Option(CONFIG_FLAG, metavar="FILE", help=text, show_default=False)
    return _keyword("config", Annotated[Path | None, option])


def _parameter(row: SettingRow) -> inspect.Parameter:
    kind: Any = bool if row.is_switch else list[str] if row.is_list else str
    option = typer.Option(
        row.flags,
        help=f"{row.meaning} [default: {row.default}]",
        metavar=None if row.is_switch else row.unit.upper() or "VALUE",
        show_default=False,
        rich_help_panel=row.group,
    )
    return _keyword(row.name, Annotated[kind | None, option])


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def database(loaded: Loaded, db: Path | None) -> Path:
    """The file that is meant. Raises ``SettingsError`` (exit code 2) if there is none."""
    path = (db or loaded.settings.db_path).absolute()
    if not path.exists():
        origin = "--db" if db else loaded.origins["db_path"]
        origin = loaded.origins["data_dir"] if origin == "default" else origin
        raise SettingsError([f"no database at {path} ({origin}); name it with --db"])
    return path
