"""``--db`` and ``--json`` of the verbs that work on one database file."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_metrics_proxy.cli.output import print_json
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.metrics_service import APP_VERSION

Db = Annotated[
    Path | None, typer.Option("--db", help="The database; short for --db-path.", metavar="PATH", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def database(loaded: Loaded, db: Path | None) -> Path:
    """The file to work on. Raises ``SettingsError`` (exit code 2) if there is none."""
    path = (db or loaded.settings.db_path).absolute()
    if not path.exists():
        origin = "--db" if db else loaded.origins["db_path"]
        origin = loaded.origins["data_dir"] if origin == "default" else origin
        raise SettingsError([f"no database at {path} ({origin}); name it with --db"])
    return path


def answer(path: Path, *, json: bool, fields: dict[str, Any], shown: Callable[[], None]) -> None:
    """The answer of a verb: one JSON object, or what ``shown`` prints."""
    if json:
        print_json({"app_version": APP_VERSION, "database": str(path), **fields})
    else:
        shown()
