"""Sessions in ClickHouse: which come first, then what their records add up to. Pure: text."""
# ruff: noqa: S608 -- names are ours, and words are literals

from collections.abc import Sequence
from typing import Final

from llm_metrics_proxy.analytics.arrivals import ArrivalRange
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.records import SessionList
from llm_metrics_proxy.engines.clickhouse.conditions import where
from llm_metrics_proxy.engines.clickhouse.expressions import AT_US, HAS_TIME, OPEN_US, expression, literal
from llm_metrics_proxy.engines.clickhouse.table import TABLE
from llm_metrics_proxy.record import REGISTRY

_PROMPT, _CACHED, _COST_OF_ONE = (expression(REGISTRY[name]) for name in ("prompt_tokens", "cached_tokens", "cost_usd"))
_HIT: Final = f"{_CACHED} IS NOT NULL AND {_PROMPT} IS NOT NULL AND {_CACHED} <= {_PROMPT}"
_HIT_CACHED, _HIT_PROMPT = (f"sum(if({_HIT}, {value}, NULL))" for value in (_CACHED, _PROMPT))
_AT: Final = f"if({HAS_TIME}, {AT_US}, NULL)"
_FIRST_US, _LAST_US = f"min({_AT})", f"max({_AT})"
_ENDED_US: Final = f"max(if({HAS_TIME}, {AT_US} + ifNull({OPEN_US}, 0), NULL))"


def _sum(name: str) -> str:
    return f"sum({expression(REGISTRY[name])})"


def _of_first(name: str) -> str:
    """``argMin`` passes over NULL, which a tuple is not."""
    return f"argMin(tuple(toNullable(`{name}`)), (timestamp, host, arrival)).1"


_ALL_COST: Final = _sum("cost_usd")
# Rounded, as threads add up in any order; rounding multiplies, and what no money amounts to would become infinite.
_COST: Final = f"if(abs({_ALL_COST}) < 1e15, round({_ALL_COST}, 9), {_ALL_COST})"
_AGENTS: Final = "uniqExact(ifNull(agent_id, ''))"
_TOKENS: Final = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens")
_SORTED_BY: Final = {
    "first_request": _FIRST_US,
    "last_request": _LAST_US,
    "duration_ms": f"{_ENDED_US} - {_FIRST_US}",
    "requests": "count()",
    "errors": "count(error_category)",
    **{name: _sum(name) for name in _TOKENS},
    "cache_hit_ratio": f"{_HIT_CACHED} / nullIf({_HIT_PROMPT}, 0)",
    "cost_usd": _COST,
    "agents": _AGENTS,
    "models": "uniqExact(model)",
    "app": _of_first("app"),
    "user": _of_first("user"),
}
_SUMS: Final = (
    "count()", "count(error_category)", _FIRST_US, _LAST_US, _ENDED_US, *map(_sum, _TOKENS), _HIT_CACHED, _HIT_PROMPT,
    f"countIf({_HIT})", _COST, f"count({_COST_OF_ONE})", _AGENTS, "arraySort(groupUniqArray(model))",
    _of_first("app"), _of_first("user"),
)  # fmt: skip


def order(asked: SessionList, arrived: ArrivalRange | None) -> str:
    """(session_id, value) of the sessions of one page."""
    chosen = "session_id IS NOT NULL"
    conditions = [chosen]
    if asked.selection != RequestFilter():
        among = where(asked.selection, chosen, arrived=arrived)
        conditions.append(f"session_id IN (SELECT session_id FROM {TABLE}{among})")
    records = where(asked.within, *conditions, arrived=arrived)
    groups = f"SELECT session_id, {_SORTED_BY[asked.order]} AS value FROM {TABLE}{records} GROUP BY session_id"
    direction = "DESC" if asked.descending else "ASC"
    behind = _behind(asked)
    return (
        f"SELECT session_id, value FROM ({groups}){behind} "
        f"ORDER BY value IS NULL, value {direction}, session_id LIMIT {asked.limit}"
    )


def _behind(asked: SessionList) -> str:
    if asked.after is None:
        return ""
    value, session_id = asked.after.value, literal(asked.after.session_id)
    if value is None:
        return f" WHERE value IS NULL AND session_id > {session_id}"
    shown = literal(value) if isinstance(value, str) else repr(value)
    sign = "<" if asked.descending else ">"
    return f" WHERE value IS NULL OR value {sign} {shown} OR (value = {shown} AND session_id > {session_id})"


def sums(session_ids: Sequence[str], within: RequestFilter, arrived: ArrivalRange | None) -> str:
    """Rows of ``SessionSums``, in any order."""
    is_one = f"session_id IN ({', '.join(map(literal, session_ids))})"
    records = where(within, is_one, arrived=arrived)
    return f"SELECT session_id, {', '.join(_SUMS)} FROM {TABLE}{records} GROUP BY session_id"


def started_by(session_id: str, limit: int, within: RequestFilter, arrived: ArrivalRange | None) -> str:
    """Ids of sessions."""
    parent = literal(session_id)
    others = where(within, f"parent_agent_id = {parent}", f"session_id != {parent}", arrived=arrived)
    return f"SELECT DISTINCT session_id FROM {TABLE}{others} ORDER BY session_id LIMIT {limit}"
