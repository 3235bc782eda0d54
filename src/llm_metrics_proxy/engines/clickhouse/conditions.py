"""Which records, as ClickHouse's WHERE clauses."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from llm_metrics_proxy.analytics.arrivals import ArrivalRange
from llm_metrics_proxy.analytics.conditions import COMPARISONS, Condition, Value
from llm_metrics_proxy.analytics.filters import FILTERED, RequestFilter
from llm_metrics_proxy.analytics.records import Only
from llm_metrics_proxy.engines.clickhouse.expressions import HAS_TIME, expression, literal, quoted, time_literal
from llm_metrics_proxy.engines.clickhouse.table import TABLE

# Up to so many records of a range are found by the projection along arrivals: their times are a set held in memory.
_FEW: Final = 200_000
_ONLY: Final[Mapping[Only, str]] = {
    Only.ERRORS: "error_category IS NOT NULL",
    Only.LIMITED: "error_category IS NOT NULL AND "
    "(retry_after_ms IS NOT NULL OR (error_category = 'limit' AND ifNull(error_type, '') != 'quota'))",
}


def where(selection: RequestFilter, *more: str, only: Only | None = None, arrived: ArrivalRange | None = None) -> str:
    """Those that a filter selects, and that meet ``more`` conditions too; nothing, if all do."""
    found: list[str] = []
    if selection.start is not None:
        found.append(f"timestamp >= {time_literal(selection.start)}")
    if selection.end is not None:
        found.append(f"timestamp < {time_literal(selection.end)}")
    if selection.start is not None or selection.end is not None:
        found.append(HAS_TIME)
    found += [_said(one) for one in selection.conditions]
    if only is not None:
        found.append(_ONLY[only])
    if arrived is not None:
        found.append(within(arrived))
    found += more
    return f" WHERE {' AND '.join(f'({one})' for one in found)}" if found else ""


def _said(condition: Condition) -> str:
    """One condition. What NULL compares to differs between servers' settings, so it is asked apart."""
    if condition.name == "tag":
        return _said_of_tags(condition)
    value, holds = expression(condition.column), condition.column.kind.holds
    values = [_literal(one, holds) for one in condition.values if one is not None]
    if condition.op in COMPARISONS:
        said = f"{value} {condition.op} {values[0]}"
        return f"{said} AND {HAS_TIME}" if holds == "time" else said
    if not values:
        return f"{value} IS {'' if condition.op == '=' else 'NOT '}NULL"
    plain = quoted(condition.column.name) if condition.name in FILTERED else value
    if condition.op == "!=":
        return f"{value} IS NOT NULL AND {plain} NOT IN ({', '.join(values)})"
    found = f"{plain} = {values[0]}" if len(values) == 1 else f"{plain} IN ({', '.join(values)})"
    return f"{found} OR {value} IS NULL" if None in condition.values else found


def _literal(value: Value, holds: str) -> str:
    if holds == "time":
        return time_literal(datetime.fromisoformat(str(value)))
    if isinstance(value, str):
        return literal(value)
    return repr(value) if isinstance(value, float) else str(int(value or 0))


def _said_of_tags(condition: Condition) -> str:
    """All must be there; with ``!=``, other tags and none of these."""
    values = [str(one) for one in condition.values if one is not None]
    if not values:
        return f"tags IS {'' if condition.op == '=' else 'NOT '}NULL"
    has = [f"position(concat(',', tags, ','), {literal(f',{tag},')}) > 0" for tag in values]
    return " AND ".join(has) if condition.op == "=" else f"tags IS NOT NULL AND NOT ({' OR '.join(has)})"


def within(arrived: ArrivalRange) -> str:
    """Those of a range; none of a host that it does not name.

    Of a short one, the projection along arrivals tells the times, by which the table is sorted.
    """
    after = arrived.after.by_host
    hosts = {host: last for host, last in arrived.through.by_host.items() if last > after.get(host, last - 1)}
    if not hosts:
        return "0"
    found = " OR ".join(
        f"(host = {literal(host)} AND arrival <= {last}{f' AND arrival > {after[host]}' if host in after else ''})"
        for host, last in hosts.items()
    )
    if sum(last - after.get(host, -_FEW) for host, last in hosts.items()) > _FEW:
        return found
    return f"timestamp IN (SELECT timestamp FROM {TABLE} WHERE {found}) AND ({found})"  # noqa: S608 -- names are ours
