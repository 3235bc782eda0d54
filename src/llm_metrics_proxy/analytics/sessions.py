"""Sessions: which there are, and what each amounts to. A session is all records with one ``session_id``.

Which sessions a filter and a range select is decided by their records: one selected record is enough. What a session
then shows is whole, also what lies outside of the range: half a session has a cost that nobody paid.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.cursors import NO_CURSOR, packed, unpacked
from llm_metrics_proxy.analytics.filters import RequestFilter, stored_time
from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.records import SESSION_ORDERS, Records, SessionList, SessionPlace, SessionSums
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.metrics_service import APP_VERSION

MAX_SESSIONS: Final = 200  # on one page
LIVE_S: Final = 300  # agents think and run tools between requests; after five minutes without one, a session rests
_CURSOR_VERSION: Final = 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SessionsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``order``: one of ``SESSION_ORDERS``, descending with ``-`` before it. Raises ``QueryError``."""

    filter: RequestFilter = RequestFilter()
    order: str = "-total_tokens"
    limit: int = 50
    cursor: str | None = None

    def __post_init__(self) -> None:
        name = self.order.removeprefix("-")
        if name not in SESSION_ORDERS:
            raise QueryError("order", f"{unknown('order of sessions', name, SESSION_ORDERS)}; with - it is descending")
        if not 1 <= self.limit <= MAX_SESSIONS:
            raise QueryError("limit", f"limit must be from 1 to {MAX_SESSIONS}; it is {self.limit}")


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One session, whole."""

    session_id: str
    app: str | None  # of its first request, as the user
    user: str | None
    agents: int  # the session's own among them
    models: tuple[str, ...]
    first_request: str | None  # when it began, as the last one
    last_request: str | None
    ended_at: str | None  # when the last answer ended
    duration_ms: float | None  # from the first request to the end of the last answer
    is_live: bool  # an answer ended within the last five minutes
    requests: int
    errors: int
    prompt_tokens: int | None  # cached ones included
    completion_tokens: int | None
    total_tokens: int | None
    cached_tokens: int | None
    cache_hit_ratio: float | None  # cached ÷ prompt tokens of the requests that report both
    cache_hit_requests: int  # so many report both
    cost_usd: float | None  # of the requests that have one
    cost_requests: int  # so many have one


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some sessions in order, and where the next page begins; ``None``: this is the last."""

    app_version: str
    items: list[SessionRow]
    next_cursor: str | None
    history: History | None = None


def list_sessions(records: Records, query: SessionsQuery, now: datetime) -> SessionPage:
    """Raises ``QueryError`` and ``StoreError``.

    Places are values: a session that goes on between two pages may be on both, or on none.
    """
    order = query.order.removeprefix("-")
    after = None if query.cursor is None else _read(query.cursor, query.order)
    asked = SessionList(query.filter, order, query.order.startswith("-"), after, query.limit + 1)
    found = records.sessions(asked)
    more = len(found) > query.limit
    items = [row_of(sums, now) for _, sums in found[: query.limit]]
    next_cursor = _make(found[query.limit - 1][0], query.order) if more else None
    return SessionPage(app_version=APP_VERSION, items=items, next_cursor=next_cursor)


def session_row(records: Records, session_id: str, now: datetime) -> SessionRow | None:
    """One session; ``None``: no record is of it. Raises ``StoreError``."""
    asked = SessionList(RequestFilter(session_id=session_id), "requests", False, None, 1)
    return next((row_of(sums, now) for _, sums in records.sessions(asked)), None)


def row_of(sums: SessionSums, now: datetime) -> SessionRow:
    """As people see it."""
    shared = {name: getattr(sums, name) for name in SessionRow.__struct_fields__ if hasattr(sums, name)}
    ended, first = sums.ended_us, sums.first_us
    return SessionRow(
        **shared,
        first_request=time_of(first),
        last_request=time_of(sums.last_us),
        ended_at=time_of(ended),
        duration_ms=None if ended is None or first is None else (ended - first) / 1000,
        is_live=ended is not None and _EPOCH + timedelta(microseconds=ended) > now - timedelta(seconds=LIVE_S),
        cache_hit_ratio=hit_ratio(sums.hit_cached_tokens, sums.hit_prompt_tokens),
        cache_hit_requests=sums.hit_requests,
    )


def hit_ratio(cached: int | None, prompt: int | None) -> float | None:
    """Cached ÷ prompt tokens, of requests that report both."""
    return cached / prompt if cached is not None and prompt else None


def time_of(unix_us: int | None) -> str | None:
    """As records have it; ``None`` where the calendar ends."""
    try:
        return None if unix_us is None else stored_time(_EPOCH + timedelta(microseconds=unix_us))
    except OverflowError:
        return None


def unix_us(timestamp: str) -> int:
    """Of a record's time."""
    return (datetime.fromisoformat(timestamp) - _EPOCH) // timedelta(microseconds=1)


class _SessionCursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    order: str
    value: int | float | str | None
    session_id: str


def _make(place: SessionPlace, order: str) -> str:
    return packed(msgspec.msgpack.encode(_SessionCursor(_CURSOR_VERSION, order, *place)))


def _read(cursor: str, order: str) -> SessionPlace:
    try:
        found = msgspec.msgpack.decode(unpacked(cursor), type=_SessionCursor)
    except msgspec.MsgspecError as error:
        raise QueryError("cursor", NO_CURSOR) from error
    if found.version != _CURSOR_VERSION:
        raise QueryError("cursor", NO_CURSOR)
    if found.order != order:
        raise QueryError("cursor", f"this cursor belongs to the order {found.order!r}; begin again without one")
    return SessionPlace(found.value, found.session_id)
