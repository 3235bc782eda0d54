"""One session: its requests on a line of time, what each waited for, what the cache gave, and where all of it went."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.records import Records, SessionList
from llm_metrics_proxy.analytics.rows import items_of
from llm_metrics_proxy.analytics.session_agents import AgentNode, ModelUse, by_model, tree, used_by
from llm_metrics_proxy.analytics.session_time import Phases, TimeShares, phases_of, shared_out
from llm_metrics_proxy.analytics.sessions import SessionRow, session_row, unix_us
from llm_metrics_proxy.columns import MAX_COUNT
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import REGISTRY, UsageSource

MOST_COUNTED: Final = 20_000  # requests of which the parts are told: 0.5 s
MAX_REQUESTS: Final = 5_000  # in one answer: 3 MB
MOST_CHILDREN: Final = 50
COLUMNS: Final = (
    "arrival", "host", "request_id", "timestamp", "agent_id", "parent_agent_id", "model", "backend_name", "endpoint",
    "is_streaming", "success", "error_category", "error_type", "status_code", "finish_reason", "response_time_ms",
    "request_sent_ms", "time_to_first_token_ms", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens",
    "cache_write_tokens", "cache_miss_reason", "cache_missed_tokens", "cost_usd", "tool_call_count", "usage_source",
)  # fmt: skip
_COUNTED_ONCE: Final = tuple(name for name in COLUMNS if REGISTRY[name].counts_once)
_COUNTS: Final = tuple(name for name in _COUNTED_ONCE if REGISTRY[name].kind.most == MAX_COUNT)
_item: Final = items_of(COLUMNS)


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a session. ``cache``: ``hit``, ``miss`` or ``new``; ``None``: the server does not say."""

    request_id: str | None
    arrival: int
    host: str | None
    timestamp: str
    start_ms: float  # since the session's first request
    agent_id: str | None
    model: str | None
    backend_name: str | None
    endpoint: str | None
    success: bool | None
    error_type: str | None
    status_code: int | None
    finish_reason: str | None
    response_time_ms: float | None
    waiting_ms: float | None  # until the server had the request
    first_token_ms: float | None  # from then to the first token; none: not streamed
    generating_ms: float | None  # from then to the end
    gap_ms: float  # before it no request of the session was open for so long
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    cache: str | None
    cache_miss_reason: str | None  # in the server's words
    cost_usd: float | None
    tool_call_count: int | None


class CacheMisses(msgspec.Struct, frozen=True, kw_only=True):
    """Misses of one reason. ``reason``: the server's word; ``None``: it gave none."""

    reason: str | None
    requests: int
    uncached_tokens: int  # prompt tokens of theirs that were not read from the cache


class SessionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One session. ``time``, ``agents``, ``models`` and ``misses`` are of its first ``counted_requests``."""

    app_version: str
    session: SessionRow
    parent_session_id: str | None  # the session that started this one
    children: list[SessionRow]  # sessions that this one started
    counted_requests: int
    time: TimeShares
    agents: list[AgentNode]
    models: list[ModelUse]
    misses: list[CacheMisses]
    requests: list[SessionRequest]  # in the order in which they began
    next_offset: int | None  # where the next ones begin; none: these are the last
    history: History | None = None


def read_session(
    records: Records, session_id: str, now: datetime, *, limit: int = MAX_REQUESTS, offset: int = 0
) -> SessionDetail | None:
    """``None``: no record is of it. Raises ``QueryError`` and ``StoreError``."""
    if not 1 <= limit <= MAX_REQUESTS:
        raise QueryError("limit", f"limit must be from 1 to {MAX_REQUESTS}; it is {limit}")
    if not 0 <= offset <= MOST_COUNTED:
        raise QueryError("offset", f"offset must be from 0 to {MOST_COUNTED}; it is {offset}")
    with records.moment() as then:
        session = session_row(then, session_id, now)
        if session is None:
            return None
        rows = [_item(row) for row in then.of_session(session_id, COLUMNS, MOST_COUNTED)]
        parent = _parent(then, session_id, rows)
        children = _children(then, session_id, now)
    return detail_of(session, rows, parent=parent, children=children, limit=limit, offset=offset)


def detail_of(
    session: SessionRow,
    records: Sequence[dict[str, Any]],
    *,
    parent: str | None = None,
    children: Sequence[SessionRow] = (),
    limit: int = MAX_REQUESTS,
    offset: int = 0,
) -> SessionDetail:
    """``records``: values of ``COLUMNS`` by name, in the order of their times."""
    rows = [_counted_here(record) for record in records]
    began_us = [unix_us(row["timestamp"]) for row in rows]
    phases = [phases_of(row) for row in rows]
    shared = shared_out(began_us, phases)
    used = [used_by(row, busy_ms) for row, busy_ms in zip(rows, shared.of_request, strict=True)]
    cache = cache_states(rows)
    until = offset + limit
    return SessionDetail(
        app_version=APP_VERSION,
        session=session,
        parent_session_id=parent,
        children=list(children),
        counted_requests=len(rows),
        time=shared.shares,
        agents=tree(session.session_id, rows, used),
        models=by_model(rows, used),
        misses=misses(rows, cache),
        requests=[
            _request(rows[at], (began_us[at] - began_us[0]) / 1000, phases[at], shared.gaps[at], cache[at])
            for at in range(offset, min(until, len(rows)))
        ],
        next_offset=until if until < len(rows) else None,
    )


def _counted_here(record: Mapping[str, Any]) -> dict[str, Any]:
    """What another record counts, or is beyond all that it can be, is no value of this one, as in every sum."""
    row = dict(record)
    if row["usage_source"] == UsageSource.REPEATED:
        row.update(dict.fromkeys(_COUNTED_ONCE))
    for name in _COUNTS:
        if row[name] is not None and not 0 <= row[name] <= MAX_COUNT:
            row[name] = None
    return row


def _parent(records: Records, session_id: str, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The first name of a parent that is a session, if the first request has one that is no agent of this one."""
    agents = {row["agent_id"] for row in rows}
    named = next((row["parent_agent_id"] for row in rows if row["parent_agent_id"] is not None), None)
    if named is None or named == session_id or named in agents:
        return None
    is_one = records.sessions(SessionList(RequestFilter(session_id=named), "requests", False, None, 1))
    return named if is_one else None


def _children(records: Records, session_id: str, now: datetime) -> list[SessionRow]:
    rows = [session_row(records, child, now) for child in records.started_by(session_id, MOST_CHILDREN)]
    return sorted((row for row in rows if row is not None), key=lambda row: (row.first_request or "", row.session_id))


def cache_states(rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """``miss``: the server says why, or less than half of what its agent had sent to that model with the request before
    was read from the cache, though the prompt is no shorter. ``new``: nothing was read, and nothing could have been."""
    before: dict[tuple[str | None, str | None], int] = {}
    states: list[str | None] = []
    for row in rows:
        cached, prompt, who = row["cached_tokens"], row["prompt_tokens"], (row["agent_id"], row["model"])
        known = before.get(who)
        if row["cache_miss_reason"] is not None:
            states.append("miss")
        elif cached is None:
            states.append(None)
        elif known is not None and prompt is not None and prompt >= known and cached < known / 2:
            states.append("miss")
        else:
            states.append("hit" if cached > 0 else "new")
        if prompt is not None and row["error_category"] is None:
            before[who] = prompt
    return states


def misses(rows: Sequence[Mapping[str, Any]], states: Sequence[str | None]) -> list[CacheMisses]:
    """The most tokens first."""
    found: dict[str | None, tuple[int, int]] = {}
    for row, state in zip(rows, states, strict=True):
        if state == "miss":
            requests, tokens = found.get(row["cache_miss_reason"], (0, 0))
            uncached = max(0, (row["prompt_tokens"] or 0) - (row["cached_tokens"] or 0))
            found[row["cache_miss_reason"]] = (requests + 1, tokens + uncached)
    all_of = [CacheMisses(reason=name, requests=n, uncached_tokens=tokens) for name, (n, tokens) in found.items()]
    return sorted(all_of, key=lambda one: (-one.uncached_tokens, one.reason or ""))


def _request(
    row: Mapping[str, Any], start_ms: float, phases: Phases, gap_ms: float, cache: str | None
) -> SessionRequest:
    of_record = {name: row[name] for name in SessionRequest.__struct_fields__ if name in row}
    return SessionRequest(
        **of_record,
        start_ms=start_ms,
        waiting_ms=phases.waiting,
        first_token_ms=phases.first_token,
        generating_ms=phases.generating,
        gap_ms=gap_ms,
        cache=cache,
    )
