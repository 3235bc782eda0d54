"""Which records, as ClickHouse's WHERE clauses."""

from collections.abc import Mapping
from typing import Final

from llm_metrics_proxy.analytics.arrivals import ArrivalRange
from llm_metrics_proxy.analytics.filters import FILTERED, NO_VALUE, RequestFilter, tags_in
from llm_metrics_proxy.analytics.records import Only
from llm_metrics_proxy.engines.clickhouse.expressions import HAS_TIME, literal, quoted, time_literal
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
    found += [
        _is(column.name, value)
        for name, column in FILTERED.items()
        if name != "tag" and (value := getattr(selection, name)) is not None
    ]
    found += [
        f"position(concat(',', tags, ','), {literal(f',{tag},')}) > 0"
        for tag in (tags_in(selection.tag) if selection.tag is not None else ())
    ]
    if only is not None:
        found.append(_ONLY[only])
    if arrived is not None:
        found.append(within(arrived))
    found += more
    return f" WHERE {' AND '.join(f'({one})' for one in found)}" if found else ""


def _is(name: str, value: bool | int | str) -> str:
    if name == "app_version" and value == NO_VALUE:
        return "app_version IS NULL"
    return f"{quoted(name)} = {literal(value) if isinstance(value, str) else int(value)}"


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
