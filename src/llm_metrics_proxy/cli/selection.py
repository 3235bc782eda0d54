"""The flags that say which records a verb is about, and the read-only database behind it."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple

import typer

from llm_metrics_proxy.analytics import WORDS, RequestFilter
from llm_metrics_proxy.analytics.conditions import parse_conditions
from llm_metrics_proxy.analytics.filters import FILTERED, filter_of, value_type
from llm_metrics_proxy.analytics.history import history_of
from llm_metrics_proxy.analytics.moments import moment_or_age
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.cli.output import error_console, plain
from llm_metrics_proxy.columns import Column, Flag
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.errors import NewerDatabaseError, StoreError
from llm_metrics_proxy.storage.base import Reader
from llm_metrics_proxy.storage.read_pool import Explain
from llm_metrics_proxy.storage.sqlite import SqliteReader
from llm_metrics_proxy.storage.sqlite_schema import applied_steps

_PANEL: Final = "Which records"


_MOST_WORDS: Final = 10  # that a line of help has room for


def _option(text: str, *declarations: str, metavar: str | None = None) -> Any:
    return typer.Option(*declarations, help=text, metavar=metavar, rich_help_panel=_PANEL)


def _of_column(name: str, column: Column, flag: Flag) -> Any:
    words = WORDS.get(name, ())
    metavar = "K=V" if name == "tag" else "|".join(words) if 0 < len(words) <= _MOST_WORDS else None
    kind: Any = list[str] if name == "tag" else bool if value_type(column) is bool else str
    return Annotated[kind | None, _option(flag.help, *filter(None, [flag.declaration]), metavar=metavar)]


_OFFERED: Final = {
    name: column.filter.flag
    for name, column in sorted(FILTERED.items(), key=lambda row: row[1].place)
    if column.filter is not None and column.filter.flag is not None
}
# Flags by the parameter that carries them; all are absent unless given.
_FLAGS: Final[dict[str, Any]] = {
    "since": Annotated[str | None, _option("From this ISO 8601 time on, or an age: 15m, 24h, 7d.", metavar="TIME")],
    "until": Annotated[str | None, _option("Up to, not including, this time or age.", metavar="TIME")],
    **{name: _of_column(name, FILTERED[name], flag) for name, flag in _OFFERED.items()},
    "where": Annotated[
        list[str] | None,
        _option(
            "On any column: model!=a,b or response_time_ms>5000 (=, !=, >, >=, <, <=; (none): no value); repeated ones "
            "must all be met.",
            metavar="CONDITION",
        ),
    ],
}


def with_selection(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb, as its second argument, the ``RequestFilter`` that flags of its command line describe."""

    def command(loaded: Loaded, **values: Any) -> None:
        chosen = selection(**{name: values.pop(name) for name in _FLAGS})
        verb(loaded, chosen, **values)

    own = list(inspect.signature(verb).parameters.values())
    kind = inspect.Parameter.KEYWORD_ONLY
    flags = [inspect.Parameter(name, kind, default=None, annotation=hint) for name, hint in _FLAGS.items()]
    command.__name__, command.__doc__ = verb.__name__, verb.__doc__
    command.__signature__ = inspect.Signature([own[0], *own[2:], *flags])  # type: ignore[attr-defined]
    return command


def selection(
    *,
    since: str | None = None,
    until: str | None = None,
    where: Sequence[str] | None = None,
    now: datetime | None = None,
    **values: Any,
) -> RequestFilter:
    """The flags as a filter; ``values`` by its fields. Raises ``QueryError`` that names what cannot be read."""
    now = now or datetime.now(UTC)
    texts = [f"{name}={_written(name, value)}" for name, value in values.items() if value is not None and value != []]
    conditions = parse_conditions([*texts, *(where or ())])
    return filter_of(conditions, start=moment(since, "--since", now), end=moment(until, "--until", now))


def _written(name: str, value: list[str] | bool | str) -> str:
    """A flag's value as a condition has it."""
    if isinstance(value, bool):
        return str(value != _OFFERED[name].negated).lower()
    return ",".join(value) if isinstance(value, list) else value


def moment(text: str | None, flag: str, now: datetime) -> datetime | None:
    """An ISO 8601 time, or an age such as ``24h`` counted back from ``now``."""
    return None if text is None else moment_or_age(text, flag, now)


class Database(NamedTuple):
    """What verbs read."""

    records: Records
    control: Reader


@contextmanager
def open_database(loaded: Loaded, explain: Explain | None = None) -> Iterator[Database]:
    """Records, and the control store beside them, read-only. Of what a newer program made, what this one knows.

    What history they lack is said on standard error, whatever the verb prints. ``explain`` gets each statement. Raises
    ``StoreError`` that says where it was searched and why, or that it is another program's, or of an older layout.
    """
    path = loaded.settings.db_path
    if not path.exists():
        origin = loaded.origins["db_path"]
        origin = loaded.origins["data_dir"] if origin == "default" else origin
        raise StoreError(
            f"no database at {path} ({origin}): `llm-metrics-proxy serve` makes it; another is named with --db-path"
        )
    with suppress(NewerDatabaseError):
        applied_steps(path)
    with (
        closing(SqliteReader(path, explain=explain)) as control,
        closing(open_records(control, store_access(loaded.settings))) as records,
    ):
        if history := history_of(records.carried()):
            error_console().print(f"[yellow]{plain(history.text)}[/]", soft_wrap=True)
        yield Database(records, control)
