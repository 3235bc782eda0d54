"""``report``: what happened, for people who were not there."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.cli.flags import READING, with_settings
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.cli.written import STANDARD_OUTPUT, written
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.reports import FORMATS, ReportQuery, build, rendered

_DEFAULT: Final = "md"
_ENDINGS: Final = {"htm": "html", "markdown": "md"}


@with_settings(*READING)
@with_selection
def report(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is standard output.")
    ] = STANDARD_OUTPUT,
    format: Annotated[  # noqa: A002 -- the flag's name
        str | None,
        typer.Option(metavar="|".join(FORMATS), help=f"[default: by the end of FILE's name, else {_DEFAULT}]"),
    ] = None,
    timezone: Annotated[str, typer.Option(metavar="ZONE", help="IANA zone, such as Europe/Berlin.")] = "UTC",
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
) -> None:
    """Write a report: a summary in sentences, figures beside those of the period before, charts, models, clients,
    errors and what to do about them. Without --since it is about the last seven days."""
    name = format or format_of(output)
    if name not in FORMATS:
        raise QueryError("--format", f"there is no format {name[:64]!r}; there are: {', '.join(FORMATS)}")
    query = ReportQuery(filter=chosen, timezone=timezone)
    with open_database(loaded) as reader, written(output, force=force) as file:
        file.write(rendered(build(reader, query, datetime.now(UTC)), name))


def format_of(output: str) -> str:
    """By how the file's name ends."""
    ending = Path(output).suffix.removeprefix(".").lower()
    ending = _ENDINGS.get(ending, ending)
    return ending if ending in FORMATS else _DEFAULT
