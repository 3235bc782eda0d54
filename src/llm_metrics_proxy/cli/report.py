"""``report``: what happened, for people who were not there."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.cli.flags import READING, with_settings
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.cli.written import STANDARD_OUTPUT, Force, Output, format_by_name, format_flag, written
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.reports import FORMATS, ReportQuery, build, rendered

_DEFAULT: Final = "md"


@with_settings(*READING)
@with_selection
def report(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    output: Output = STANDARD_OUTPUT,
    format: Annotated[str | None, format_flag(FORMATS, _DEFAULT)] = None,  # noqa: A002 -- the flag's name
    timezone: Annotated[str, typer.Option(metavar="ZONE", help="IANA zone, such as Europe/Berlin.")] = "UTC",
    force: Force = False,
) -> None:
    """Write a report: a summary in sentences, figures compared with the period before, charts, models, clients,
    errors and what to do about them. Without --since it is about the last seven days."""
    name = format or format_by_name(output, FORMATS, _DEFAULT)
    if name not in FORMATS:
        raise QueryError("--format", f"there is no format {name[:64]!r}; there are: {', '.join(FORMATS)}")
    query = ReportQuery(filter=chosen, timezone=timezone)
    with open_database(loaded) as (records, _), written(output, force=force) as file:
        file.write(rendered(build(records, query, datetime.now(UTC)), name))
