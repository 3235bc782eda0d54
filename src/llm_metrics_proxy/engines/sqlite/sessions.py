"""Sessions in SQLite: which come first, then what their records add up to. Pure: text.

All that is added up stands in the index ``records_by_session``, group by group, so that neither a record nor a sorter
is needed: 0.15 s for a million records of sessions, where the records themselves take 2 s and more. What only the
sessions of one page need is asked of those alone.
"""
# ruff: noqa: S608 -- names are ours; values only ever travel as parameters

from collections.abc import Sequence
from typing import Final

from llm_metrics_proxy.analytics.filters import RequestFilter, stored_time
from llm_metrics_proxy.analytics.records import SessionList
from llm_metrics_proxy.engines.sqlite.conditions import TABLE, Clause, where
from llm_metrics_proxy.engines.sqlite.expressions import BEGAN_US, OPEN_US
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.storage.expressions import expression, is_there

_BOTH: Final = f"{is_there(REGISTRY['cached_tokens'])} AND {is_there(REGISTRY['prompt_tokens'])}"
_HIT: Final = f"{_BOTH} AND cached_tokens <= prompt_tokens"  # more cached than there is: nobody knows what was read
_HIT_CACHED, _HIT_PROMPT = (f"sum(iif({_HIT}, {name}, NULL))" for name in ("cached_tokens", "prompt_tokens"))
_FIRST_US, _LAST_US = (BEGAN_US.replace("timestamp", f"{end}(timestamp)") for end in ("min", "max"))
_ENDED_US: Final = f"max({BEGAN_US} + coalesce({OPEN_US}, 0))"


def _sum(name: str) -> str:
    return f"sum({expression(REGISTRY[name])})"


_COST: Final = f"round({_sum('cost_usd')}, 9)"
_AGENTS: Final = "count(DISTINCT coalesce(agent_id, ''))"
_TOKENS: Final = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens")


def _of_first(name: str, within: RequestFilter) -> Clause:
    """Of the first record of a session: one look into the table."""
    clause = where(within).also("first.session_id = each.session_id")
    sql = f"(SELECT {name} FROM {TABLE} AS first{clause.sql} ORDER BY first.timestamp, first.arrival LIMIT 1)"
    return Clause(sql, clause.parameters)


_SORTED_BY: Final = {
    "first_request": "min(timestamp)",
    "last_request": "max(timestamp)",
    "duration_ms": f"{_ENDED_US} - ({_FIRST_US})",
    "requests": "count(*)",
    "errors": "count(error_category)",
    **{name: _sum(name) for name in _TOKENS},
    "cache_hit_ratio": f"1.0 * {_HIT_CACHED} / nullif({_HIT_PROMPT}, 0)",
    "cost_usd": _COST,
    "agents": _AGENTS,
    "models": "count(DISTINCT model)",
}
_SUMS: Final = (
    "count(*)", "count(error_category)", _FIRST_US, _LAST_US, _ENDED_US, *map(_sum, _TOKENS), _HIT_CACHED, _HIT_PROMPT,
    f"count(iif({_HIT}, 1, NULL))", _COST, f"count({expression(REGISTRY['cost_usd'])})", _AGENTS,
    "json_group_array(DISTINCT model)",
)  # fmt: skip


def order(asked: SessionList, *, whole_pass: bool) -> Clause:
    """(session_id, value) of the sessions of one page. ``whole_pass``: the range of time has much of the records, so
    that one walk along all sessions is the shorter way."""
    found = _in_a_walk(asked) if whole_pass else _selected(asked)
    value = Clause("value") if asked.order in _SORTED_BY else _of_first(asked.order, asked.within)
    sql = f"SELECT session_id, {value.sql} AS value FROM ({found.sql}) AS each"
    direction = "DESC" if asked.descending else "ASC"
    behind = _behind(asked)
    return Clause(
        f"SELECT session_id, value FROM ({sql}){behind.sql} "
        f"ORDER BY value IS NULL, value {direction}, session_id LIMIT ?",
        (*value.parameters, *found.parameters, *behind.parameters, asked.limit),
    )


def _groups(asked: SessionList, records: Clause, having: str = "") -> str:
    value = _SORTED_BY.get(asked.order, "NULL")
    return f"SELECT session_id, {value} AS value FROM {TABLE}{records.sql} GROUP BY session_id{having}"


def _selected(asked: SessionList) -> Clause:
    """``+`` keeps SQLite from looking for the selected records along the sessions, each of which it would have to read:
    it goes along the times, or along one session where that is selected."""
    chosen = where(asked.selection).also("+session_id NOT NULL")
    inner = f"SELECT session_id FROM {TABLE}{chosen.sql}"
    records = where(asked.within).also(f"session_id IN ({inner})", *chosen.parameters)
    return Clause(_groups(asked, records), records.parameters)


def _in_a_walk(asked: SessionList) -> Clause:
    """Of a range of time alone."""
    given = [
        (f"timestamp {sign} ?", stored_time(moment))
        for sign, moment in ((">=", asked.selection.start), ("<", asked.selection.end))
        if moment is not None
    ]
    having = f" HAVING max({' AND '.join(condition for condition, _ in given)})" if given else ""
    records = where(asked.within).also("session_id NOT NULL")
    return Clause(_groups(asked, records, having), (*records.parameters, *(value for _, value in given)))


def is_time_alone(selection: RequestFilter) -> bool:
    """Whether it has no condition but a range of time."""
    return selection == RequestFilter(start=selection.start, end=selection.end)


def _behind(asked: SessionList) -> Clause:
    if asked.after is None:
        return Clause("")
    value, session_id = asked.after
    if value is None:
        return Clause(" WHERE value IS NULL AND session_id > ?", (session_id,))
    sign = "<" if asked.descending else ">"
    sql = f" WHERE value IS NULL OR value {sign} ? OR (value = ? AND session_id > ?)"
    return Clause(sql, (value, value, session_id))


def sums(session_ids: Sequence[str], within: RequestFilter) -> Clause:
    """Rows of ``SessionSums``, in any order; its models are a JSON list."""
    marks = ", ".join("?" * len(session_ids))
    values = ", ".join(f"{sql} AS v{number}" for number, sql in enumerate(_SUMS))
    shown = ", ".join(f"v{number}" for number in range(len(_SUMS)))
    app, user = (_of_first(name, within) for name in ("app", "user"))
    records = where(within).also(f"session_id IN ({marks})", *session_ids)
    return Clause(
        f"SELECT session_id, {shown}, {app.sql}, {user.sql} FROM "
        f"(SELECT session_id, {values} FROM {TABLE}{records.sql} GROUP BY session_id) AS each",
        (*app.parameters, *user.parameters, *records.parameters),
    )
