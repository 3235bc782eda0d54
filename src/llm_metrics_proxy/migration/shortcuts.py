"""The short ways of several versions as one flat SELECT, which SQLite works out in one pass over the old table."""
# ruff: noqa: S608 -- the SQL is put together from texts of migrations and names of ours

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.migration.fused import KEY, Step, after_step, named
from llm_metrics_proxy.migration.model import Usual
from llm_metrics_proxy.migration.old_table import OldTable
from llm_metrics_proxy.migration.usual import ORACLE_WAYS, SHORT_WAYS
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.record import ALL_COLUMNS, APP_VERSION_COLUMN, KEY_COLUMNS


class Shortcut(NamedTuple):
    """``sql``: a SELECT of all records of the range; ``values``: names in it, by column. ``is_usual`` says whether they
    are right. ``vouched``: columns that hold only what fits them then."""

    sql: str
    values: Mapping[str, str]
    vouched: frozenset[str]


def groups(steps: Sequence[Step], stamps: Sequence[Any]) -> dict[tuple[int, ...], list[Any]]:
    """Stamps by the places of the steps that records with them lack."""
    found: dict[tuple[int, ...], list[Any]] = {}
    for stamp in stamps:
        lacking = tuple(place for place, step in enumerate(steps) if is_older(stamp, step.migration.version))
        found.setdefault(lacking, []).append(stamp)
    return found


def way_of(step: Step) -> Usual:
    """Without a short way of its own, its SQL as it is, of records for which nothing has to be worked out."""
    migration = step.migration
    if not step.changes:
        return _AS_IT_IS
    return SHORT_WAYS.get(migration.checksum) or Usual(
        "1" if migration.shared is None else migration.shared.plain, {}, {}
    )


def oracle_way_of(step: Step) -> Usual | None:
    """The same for verification, of which nothing is the migration's own SQL."""
    return ORACLE_WAYS.get(step.migration.checksum) if step.changes else _AS_IT_IS


_AS_IT_IS: Final = Usual("1", {}, {})


def shortcut(
    table: OldTable,
    steps: Sequence[Step],
    way: Callable[[Step], Usual | None],
    *,
    where: str,
    is_apart: bool = False,
) -> Shortcut | None:
    """Nothing that SQLite could not merge into one pass. ``where``: SQL over ``t``; ``is_apart``: nothing is taken from
    the SQL of migrations. None: a step has no short way, or values of the table have to be read first."""
    columns = sorted({name for step in steps for name in (*step.migration.inputs, *step.written)})
    if any(step.claimed for step in steps) or not all(
        name not in table.names or table.is_stored(name) for name in columns
    ):
        return None
    written = {name for step in steps for name in step.written}
    passed = [name for name in ALL_COLUMNS if name in table.names and name != KEY_COLUMNS[0] and name not in written]
    values = {name: f"stored_{name}" for name in passed} | {name: name for name in written}
    whole = {name for step in steps if step.migration.leaves == "0" for name in step.migration.inputs}
    meant = {name: table.report(name, table.meant(name)) if name in whole else table.meant(name) for name in columns}
    meant |= {f"stored_{name}": table.meant(name) for name in passed}
    scope = (
        f"SELECT {table.key} AS {KEY}, ({where}) AS is_usual, {named(meant)} FROM {table.rows} AS t "
        f"WHERE {table.key} > ?1 AND {table.key} <= ?2"
    )
    vouched: set[str] = set()
    for step in steps:
        migration, usual = step.migration, way(step)
        if migration.leaves != "0" and step.changes:
            usual, after = Usual(migration.leaves, {}, {}), dict[str, str]()
        else:
            after = {} if is_apart else after_step(step, "1")
        if usual is None:
            return None
        given = {**dict(migration.shared.seen if migration.shared and not is_apart else ()), **usual.given}
        if given:
            scope = f"SELECT *, {named(given)} FROM ({scope})"
        after |= {name: sql for name, sql in usual.values.items() if name in step.written}
        after[APP_VERSION_COLUMN] = f"'{migration.version}'"
        vouched |= {name for name, sql in usual.values.items() if sql != name}
        kept = {name: after.get(name, name) for name in columns}
        through = ", ".join([KEY, *(f"stored_{name}" for name in passed)])
        scope = f"SELECT {through}, (is_usual AND ({usual.where})) AS is_usual, {named(kept)} FROM ({scope})"
    return Shortcut(scope, values, frozenset(vouched))
