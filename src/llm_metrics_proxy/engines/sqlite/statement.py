"""Query plans as one SQL statement over the records.

Plans that only count share one pass over the records of their filter: a table of cells, one for each combination of all
their keys and of ``app_version``, from which each plan adds up its groups. A plan that needs values of columns has a
pass of its own: an inner SELECT reads every record once, its keys and its values, and the SELECT around it groups them.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from llm_metrics_proxy.analytics.dimensions import IN_TIME
from llm_metrics_proxy.analytics.exact import DISTINCT
from llm_metrics_proxy.analytics.source import QueryPlan
from llm_metrics_proxy.engines.sqlite.conditions import ALONG_ARRIVALS, TABLE, Clause, where, within
from llm_metrics_proxy.engines.sqlite.expressions import BEGAN_US, OPEN_US, is_good, key_in
from llm_metrics_proxy.record import READABLE
from llm_metrics_proxy.storage.expressions import expression

GROUP, PEAK, VERSION = "group", "peak", "version"  # kinds of rows


class _Aggregate(NamedTuple):
    """``of_records`` makes one value of records, of each of which it reads ``reads``; ``of_cells`` one of cells."""

    of_records: str
    of_cells: str
    reads: str


_AGGREGATES: Final = {
    "requests": _Aggregate("count(*)", "sum(requests)", ""),
    "succeeded": _Aggregate("count(*) FILTER (WHERE success = 1)", "sum(succeeded)", "success"),
    "failed": _Aggregate("count(*) FILTER (WHERE success = 0)", "sum(failed)", "success"),
    "errors": _Aggregate("count(error_category)", "sum(errors)", "error_category"),
    "good": _Aggregate("count(*) FILTER (WHERE good)", "sum(good)", "good"),
    "priced_sessions": _Aggregate(
        "count(DISTINCT priced_session)", "", "iif(cost_usd NOT NULL, session_id, NULL) AS priced_session"
    ),
    "oldest": _Aggregate("min(timestamp)", "min(oldest)", "timestamp"),
    "newest": _Aggregate("max(timestamp)", "max(newest)", "timestamp"),
    "newest_error": _Aggregate(
        "max(error_began)", "max(newest_error)", "iif(error_category NOT NULL, timestamp, NULL) AS error_began"
    ),
}
_SECOND_OF: Final = {"first_s": "oldest", "last_s": "newest"}  # times that are other times, as a number


class Statement(NamedTuple):
    """Its rows have the place of their plan, their kind, so many keys and so many values. ``versions``: the place under
    which each plan finds its versions."""

    clause: Clause
    keys: int
    values: int
    versions: Sequence[int]


def measured(plan: QueryPlan) -> tuple[str, ...]:
    """Counts and times, which are the first values of a group."""
    times = {_SECOND_OF.get(name, name) for name in plan.needs.times}
    return ("requests", *sorted(plan.needs.counts), *sorted(times))


def stats(plan: QueryPlan) -> list[tuple[str, tuple[str, ...], list[float]]]:
    """Columns with the functions and the percentiles that are the other values of a group."""
    fractions: dict[str, list[float]] = {column: [] for column in sorted(plan.needs.moments)}
    for column, fraction in sorted(plan.needs.quantiles):
        fractions[column].append(fraction)
    extremes = plan.needs.extremes
    return [
        (column, ("count", "sum", *(("min", "max") if column in extremes else ())), of_column)
        for column, of_column in fractions.items()
    ]


def statement(plans: Sequence[QueryPlan], most_groups: int) -> Statement:
    """One for all plans, with at most so many groups of each and one."""
    alike = [(plan.filter, plan.arrived, plan.slos) for plan in plans]
    first = [alike.index(one) for one in alike]
    tables: list[Clause] = []
    selects: list[_Select] = []
    for shared in dict.fromkeys(first):
        records = _Records(plans[shared])
        compiled = [_Compiled(place, plans[place]) for place, owner in enumerate(first) if owner == shared]
        by_version = any(one.plan.by_version for one in compiled)
        cells = _Cells(f"cells{shared}", [one for one in compiled if one.only_counts], by_version=by_version)
        if by_version or cells.plans:
            tables.append(cells.table(records))
        if by_version:
            values = ("sum(requests)",)
            selects.append(_Select(shared, VERSION, ("app_version",), values, cells.name, "GROUP BY app_version"))
        for one in compiled:
            if one.only_counts:
                selects.append(cells.groups(one, most_groups))
            else:
                tables.append(one.chosen(records))
                selects += one.groups(most_groups)
    keys, values_ = (
        max(map(len, column)) for column in (zip(*((one.keys, one.values) for one in selects), strict=True))
    )
    sql = f"WITH {', '.join(one.sql for one in tables)} {' UNION ALL '.join(one.sql(keys, values_) for one in selects)}"
    return Statement(Clause(sql, tuple(chain.from_iterable(one.parameters for one in tables))), keys, values_, first)


class _Select(NamedTuple):
    """One part of the statement: rows of one kind."""

    place: int
    kind: str
    keys: Sequence[str]
    values: Sequence[str]
    table: str
    rest: str

    def sql(self, keys: int, values: int) -> str:
        """As wide as the others."""
        shown = [*self.keys, *["NULL"] * (keys - len(self.keys)), *self.values, *["NULL"] * (values - len(self.values))]
        return f"SELECT * FROM (SELECT {self.place}, '{self.kind}', {', '.join(shown)} FROM {self.table} {self.rest})"  # noqa: S608


class _Records:
    """The records that plans of one filter are about."""

    def __init__(self, plan: QueryPlan) -> None:
        self._table, self._where = TABLE, where(plan.filter)
        if plan.arrived is not None and plan.arrived.after.by_host:
            self._table, self._where = f"{TABLE} {ALONG_ARRIVALS}", within(self._where, plan.arrived)
        elif plan.arrived is not None:  # of all that came so far, the range of time is the shorter way
            self._where = self._where.also("+arrival <= ?", plan.arrived.through.number)
        good = is_good(plan.slos)
        self._good = good._replace(sql=f"{good.sql} AS good")

    def each(self, shown: Sequence[Clause], reads: Sequence[str], *, once: bool) -> Clause:
        """These values of every record, and what the aggregates of those names read.

        ``once``: each value is calculated once, and not again in each of the aggregates that read it.
        """
        inputs = [Clause(_AGGREGATES[name].reads) if name != "good" else self._good for name in reads]
        parts = [*shown, *dict.fromkeys(one for one in inputs if one.sql)] or [Clause("1")]
        rest = " LIMIT -1" if once else ""  # it limits nothing: it keeps SQLite from flattening the query
        # S608: every name comes from our own tables; values only ever travel as parameters.
        sql = f"SELECT {', '.join(part.sql for part in parts)} FROM {self._table}{self._where.sql}{rest}"  # noqa: S608
        return Clause(sql, (*chain.from_iterable(part.parameters for part in parts), *self._where.parameters))


class _Compiled:
    """One plan as SQL."""

    def __init__(self, place: int, plan: QueryPlan) -> None:
        self.place, self.plan = place, plan
        self.keys = [key_in(plan, name) for name in plan.group_by]
        self.only_counts = not plan.needs.moments and not plan.needs.peak and not plan.needs.counts & DISTINCT
        self._chosen = f"chosen{place}"
        self._names = [f"k{number}" for number in range(len(self.keys))]

    def chosen(self, records: _Records) -> Clause:
        """Keys and values of the records."""
        shown = [_named(key, name) for key, name in zip(self.keys, self._names, strict=True)]
        shown += [Clause(f"{expression(READABLE[name])} AS v_{name}") for name in sorted(self.plan.needs.moments)]
        if self.plan.needs.peak:
            shown.append(Clause(f"{OPEN_US} AS open_us, {BEGAN_US} AS began_us"))
        each = records.each(shown, measured(self.plan), once=True)
        return Clause(f"{self._chosen} AS ({each.sql})", each.parameters)

    def groups(self, most: int) -> Iterator[_Select]:
        """Groups, and peaks if the plan needs them."""
        values = [_AGGREGATES[name].of_records for name in measured(self.plan)]
        for column, functions, fractions in stats(self.plan):
            values += [f"{function}(v_{column})" for function in functions]
            values += [f"percentile_cont(v_{column}, {fraction!r})" for fraction in fractions]
        by = _group_by(self._names)
        yield _Select(self.place, GROUP, self._names, values, self._chosen, f"{by} LIMIT {most + 1}")
        if self.plan.needs.peak:
            running = _running(self._chosen, dict(zip(self.plan.group_by, self._names, strict=True)))
            yield _Select(self.place, PEAK, self._names, ["max(open)"], running, by)


class _Cells:
    """What the plans of one filter that only count add up."""

    def __init__(self, name: str, plans: Sequence[_Compiled], *, by_version: bool) -> None:
        self.name, self.plans = name, plans
        keys = dict.fromkeys(chain.from_iterable(one.keys for one in plans))
        self._names = {key: f"k{number}" for number, key in enumerate(keys)}
        self._measured = [*dict.fromkeys(chain(("requests",), *(measured(one.plan) for one in plans)))]
        self._version = ["app_version"] if by_version else []

    def table(self, records: _Records) -> Clause:
        """All of it in one pass."""
        shown = [_named(key, name) for key, name in self._names.items()]
        by = [*self._names.values(), *self._version]
        each = records.each([*shown, *map(Clause, self._version)], self._measured, once=not by)
        values = [f"{_AGGREGATES[name].of_records} AS {name}" for name in self._measured]
        sql = f"SELECT {', '.join([*by, *values])} FROM ({each.sql}) {_group_by(by)}"  # noqa: S608 -- names are ours
        return Clause(f"{self.name} AS MATERIALIZED ({sql})", each.parameters)

    def groups(self, one: _Compiled, most: int) -> _Select:
        """The groups of one of the plans."""
        keys = [self._names[key] for key in one.keys]
        values = [_AGGREGATES[name].of_cells for name in measured(one.plan)]
        rest = f"LIMIT {most + 1}"
        if one.plan.most_errors is not None:
            rest = f"HAVING sum(errors) > 0 ORDER BY sum(errors) DESC LIMIT {one.plan.most_errors}"
        return _Select(one.place, GROUP, keys, values, self.name, f"{_group_by(keys)} {rest}")


def _named(clause: Clause, name: str) -> Clause:
    return Clause(f"{clause.sql} AS {name}", clause.parameters)


def _group_by(keys: Sequence[str]) -> str:
    return f"GROUP BY {', '.join(keys)}" if keys else ""


def _running(table: str, named: Mapping[str, str]) -> str:
    """Beginnings of requests with how many were open then, itself among them; ``named``: dimension -> key.

    Everything that began and ended is put in order; of one moment, ends come first, and beginnings count together.
    """
    apart = [key for name, key in named.items() if name not in IN_TIME]
    begins = "".join(f"{key}, " for key in named.values())
    ends = "".join(f"{'NULL' if name in IN_TIME else key}, " for name, key in named.items())
    events = (
        f"SELECT {begins}began_us AS at_us, 1 AS step FROM {table} WHERE open_us NOT NULL AND began_us NOT NULL "  # noqa: S608
        f"UNION ALL SELECT {ends}began_us + open_us, -1 FROM {table} WHERE open_us NOT NULL AND began_us NOT NULL"
    )
    partition = f"PARTITION BY {', '.join(apart)} " if apart else ""
    running = f"SELECT {begins}step, sum(step) OVER ({partition}ORDER BY at_us, step) AS open FROM ({events})"  # noqa: S608
    return f"(SELECT * FROM ({running}) WHERE step = 1)"  # noqa: S608
