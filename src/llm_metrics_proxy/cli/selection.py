"""The flags that say which records a verb is about, and the read-only database behind it."""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from llm_metrics_proxy.analytics import WORDS, RequestFilter, parse_time
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import NewerDatabaseError, QueryError, StoreError
from llm_metrics_proxy.storage.sqlite import SqliteReader
from llm_metrics_proxy.storage.sqlite_schema import applied_steps

_PANEL: Final = "Which records"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _flag(text: str, *declarations: str, metavar: str | None = None) -> Any:
    return typer.Option(*declarations, help=text, metavar=metavar, rich_help_panel=_PANEL)


# Flags by the parameter that carries them; all are absent unless given.
_FLAGS: Final[dict[str, Any]] = {
    "since": Annotated[str | None, _flag("From this ISO 8601 time on, or an age: 15m, 24h, 7d.", metavar="TIME")],
    "until": Annotated[str | None, _flag("Up to, not including, this time or age.", metavar="TIME")],
    "model": Annotated[str | None, _flag("Model that was asked for.")],
    "origin": Annotated[str | None, _flag("Who asked.")],
    "user": Annotated[str | None, _flag("`user` of the request's body.")],
    "user_agent": Annotated[str | None, _flag("First product of User-Agent, as recorded.")],
    "api_key_id": Annotated[str | None, _flag("Which key asked: the id that records show.")],
    "backend_name": Annotated[str | None, _flag("Name of the LLM server in the settings.")],
    "trace_id": Annotated[str | None, _flag("W3C trace: 32 hex digits.")],
    "tag": Annotated[list[str] | None, _flag("x-llm-metrics-tag; repeated ones must all be there.", metavar="K=V")],
    "outcome": Annotated[str | None, _flag("How it ended.", metavar="|".join(WORDS["outcome"]))],
    "error_category": Annotated[str | None, _flag("Where the fault lies.", metavar="|".join(WORDS["error_category"]))],
    "error_type": Annotated[str | None, _flag("What went wrong, as `errors` and `requests` show it.")],
    "error_phase": Annotated[str | None, _flag("How far it had come.", metavar="|".join(WORDS["error_phase"]))],
    "status": Annotated[int | None, _flag("Status that the client got.")],
    "failed": Annotated[bool | None, _flag("Only the one or the other.", "--failed/--succeeded")],
    "streamed": Annotated[bool | None, _flag("Only the one or the other.", "--streamed/--not-streamed")],
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
    model: str | None = None,
    origin: str | None = None,
    user: str | None = None,
    user_agent: str | None = None,
    api_key_id: str | None = None,
    backend_name: str | None = None,
    trace_id: str | None = None,
    tag: list[str] | None = None,
    outcome: str | None = None,
    error_category: str | None = None,
    error_type: str | None = None,
    error_phase: str | None = None,
    status: int | None = None,
    failed: bool | None = None,
    streamed: bool | None = None,
    now: datetime | None = None,
) -> RequestFilter:
    """The flags as a filter. Raises ``QueryError`` for a time that is none."""
    now = now or datetime.now(UTC)
    return RequestFilter(
        start=moment(since, "--since", now),
        end=moment(until, "--until", now),
        model=model,
        origin=origin,
        user=user,
        user_agent=user_agent,
        api_key_id=api_key_id,
        backend_name=backend_name,
        trace_id=trace_id,
        tag=",".join(tag) if tag else None,
        outcome=outcome,
        error_category=error_category,
        error_type=error_type,
        error_phase=error_phase,
        status_code=status,
        success=None if failed is None else not failed,
        streaming=streamed,
    )


def moment(text: str | None, flag: str, now: datetime) -> datetime | None:
    """An ISO 8601 time, or an age such as ``24h`` counted back from ``now``."""
    if text is None:
        return None
    age = re.fullmatch(r"(\d{1,6})([smhdw])", text, re.ASCII)
    if age is None:
        try:
            return parse_time(text, flag)
        except QueryError as error:
            raise QueryError(flag, f"{flag}: {error}; or give an age such as 24h") from error
    try:
        return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    except OverflowError as error:
        raise QueryError(flag, f"{flag}: {text} ago is before the calendar begins") from error


@contextmanager
def open_database(loaded: Loaded) -> Iterator[SqliteReader]:
    """The database, read-only. Raises ``StoreError`` that says where it was looked for and why there, or what it is
    instead: another program's, or an older program's that is not adopted yet. A newer program's is read as far as
    this one knows it.
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
    reader = SqliteReader(path)
    try:
        yield reader
    finally:
        reader.close()
