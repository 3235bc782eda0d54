"""Questions as values: path, parameters, and the type of the answer. Pure, but for ``now``, which is handed in."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Generic, NamedTuple, TypedDict, TypeVar

from llm_metrics_proxy.analytics.changes import Changes
from llm_metrics_proxy.analytics.conditions import Condition, Value
from llm_metrics_proxy.analytics.costs import Costs
from llm_metrics_proxy.analytics.error_answer import Errors
from llm_metrics_proxy.analytics.moments import aware, moment_or_age
from llm_metrics_proxy.analytics.session_detail import SessionDetail
from llm_metrics_proxy.analytics.summary import Summary
from llm_metrics_proxy.client.answers import QueryResult, RecordPage, SessionTable
from llm_metrics_proxy.client.given import joined, text, texts, values
from llm_metrics_proxy.errors import QueryError

Moment = str | datetime | timedelta
Wanted = Value | Sequence[Value]
Answer = TypeVar("Answer")
Parameters = list[tuple[str, str]]


class RecordSelection(TypedDict, total=False):
    """Which records. ``since`` and ``until``: a moment, or an age such as ``24h`` or a ``timedelta``. Every other name
    is a column: one value, several of which any will do, or ``None`` for no value. ``where``: conditions as text, such
    as ``response_time_ms>5000``; all must be met."""

    since: Moment | None
    until: Moment | None
    where: str | Sequence[str]
    model: Wanted
    origin: Wanted
    backend: Wanted
    endpoint: Wanted
    streaming: bool
    success: bool
    status_code: Wanted
    outcome: Wanted
    error_category: Wanted
    error_type: Wanted
    error_phase: Wanted
    app_version: Wanted
    backend_name: Wanted
    user: Wanted
    user_agent: Wanted
    api_key_id: Wanted
    trace_id: Wanted
    tag: Wanted
    host: Wanted
    app: Wanted
    session_id: Wanted
    session_source: Wanted
    agent_id: Wanted
    parent_agent_id: Wanted
    cache_miss_reason: Wanted
    quota_status: Wanted


class Question(NamedTuple, Generic[Answer]):
    """``path``: below ``api/v1/``; ``answer``: the type of what it answers."""

    path: str
    parameters: Parameters
    answer: type[Answer]


_NOT_CONDITIONS: Final = ("since", "until", "where")


def selected(selection: RecordSelection, now: datetime) -> Parameters:
    """The selection as parameters. Raises ``QueryError``."""
    given: dict[str, Any] = dict(selection)
    found = [
        (parameter, _written(given[name], name, now))
        for name, parameter in (("since", "start"), ("until", "end"))
        if given.get(name) is not None
    ]
    found += [("where", text) for text in texts("where", given.get("where", ()))]
    for name, wanted in given.items():
        if name not in _NOT_CONDITIONS:
            found.append(("where", str(Condition(name, "=", values(name, wanted)))))
    return found


def _written(moment: object, name: str, now: datetime) -> str:
    try:
        if isinstance(moment, timedelta):
            if moment < timedelta(0):
                raise QueryError(name, f"{name}: an age counts back from now: give a timedelta that is not below zero")
            moment = now - moment
        elif isinstance(moment, str):
            moment = moment_or_age(moment, name, now)
        if isinstance(moment, datetime):
            return aware(moment).isoformat()
    except OverflowError as error:
        raise QueryError(
            name, f"{name}: this moment is outside the calendar: give one of the years 1 to 9999"
        ) from error
    raise QueryError(name, f"{name}: give a moment (ISO 8601 text or a datetime) or an age (24h or a timedelta)")


def _with(fixed: dict[str, Any], selection: RecordSelection, now: datetime) -> Parameters:
    """Parameters with a value, and the selection."""
    words = {True: "true", False: "false"}
    written = [
        (name, words[value] if isinstance(value, bool) else str(value))
        for name, value in fixed.items()
        if value is not None
    ]
    return written + selected(selection, now)


def query(
    selection: RecordSelection,
    now: datetime,
    metrics: str | Sequence[str],
    by: str | Sequence[str],
    slo: str | Sequence[str],
    **shape: Any,
) -> Question[QueryResult]:
    """Any metrics by any dimensions."""
    fixed = {"metrics": joined("metrics", metrics), "group_by": joined("by", by) or None, **shape}
    slos = [("slo", text) for text in texts("slo", slo)]
    return Question("query", _with(fixed, selection, now) + slos, QueryResult)


def summary(selection: RecordSelection, now: datetime) -> Question[Summary]:
    """What the records amount to."""
    return Question("summary", selected(selection, now), Summary)


def errors(selection: RecordSelection, now: datetime, examples: int) -> Question[Errors]:
    """What went wrong."""
    return Question("errors", _with({"examples": examples}, selection, now), Errors)


def requests(
    selection: RecordSelection, now: datetime, limit: int, order: str | None, cursor: str | None
) -> Question[RecordPage]:
    """One page of records."""
    return Question("requests", _with({"limit": limit, "order": order, "cursor": cursor}, selection, now), RecordPage)


def sessions(
    selection: RecordSelection, now: datetime, order: str, limit: int, cursor: str | None
) -> Question[SessionTable]:
    """One page of sessions."""
    return Question("sessions", _with({"order": order, "limit": limit, "cursor": cursor}, selection, now), SessionTable)


def session(quoted: Callable[[str], str], session_id: str, limit: int) -> Question[SessionDetail]:
    """One session; the slash at the end is no part of its id."""
    return Question(f"sessions/{quoted(text('session_id', session_id))}/", [("limit", str(limit))], SessionDetail)


def changes(selection: RecordSelection, now: datetime, timezone: str, limit: int) -> Question[Changes]:
    """What changed since the period before: of the last 24 hours, unless the selection says otherwise."""
    since: RecordSelection = {"since": timedelta(days=1), **selection}
    return Question("changes", _with({"timezone": timezone, "limit": limit}, since, now), Changes)


def costs(selection: RecordSelection, now: datetime, by: str | Sequence[str], timezone: str) -> Question[Costs]:
    """What it costs."""
    return Question("costs", _with({"by": joined("by", by), "timezone": timezone}, selection, now), Costs)


def exported(selection: RecordSelection, now: datetime, columns: str | Sequence[str] | None) -> Parameters:
    """Parameters of an export to Parquet."""
    names = None if columns is None else joined("columns", columns)
    return _with({"format": "parquet", "columns": names}, selection, now)
