"""The formulas of several versions as one SELECT over an old table: a record passes through those it lacks, in order.

``t`` is a row of the old table. Inside, each migration sees the columns by their names, as they were before it. What
several of its expressions share is worked out once, in a subquery that SQLite may not merge with the one around it
(``LIMIT -1 OFFSET 0``): first, with the columns that are read, if no migration before it changes what it reads.
"""
# ruff: noqa: S608 -- the SQL is put together from texts of migrations and names of ours

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.migration.formula import sqlite
from llm_metrics_proxy.migration.model import REASON_COLUMN, ColumnChange, Migration, SharedExpressions
from llm_metrics_proxy.migration.old_table import OldTable
from llm_metrics_proxy.migration.versions import Standing, is_older, standing
from llm_metrics_proxy.record import ALL_COLUMNS, APP_VERSION_COLUMN
from llm_metrics_proxy.storage.connection import in_memory

KEY: Final = "carried_key"
APART: Final = " LIMIT -1 OFFSET 0"
_NAME: Final = re.compile(r"[a-z_][a-z_0-9]*")


class Step(NamedTuple):
    """One migration as it applies to a table. ``needed``, ``claimed``: SQL over a record as it was; ``claimed`` are
    stamps of this version that are checked against the values, in files of other programs."""

    migration: Migration
    changes: tuple[ColumnChange, ...]
    needed: str
    claimed: str

    @property
    def written(self) -> set[str]:
        """Every column that it may change."""
        originals = {change.original for change in self.changes if change.original}
        return {APP_VERSION_COLUMN, REASON_COLUMN, *originals, *(change.column for change in self.changes)}


def steps_for(
    table: OldTable, chain: Sequence[Migration], stamps: Sequence[Any], *, app_version: str, distrusts: bool
) -> list[Step]:
    """The migrations that concern any record; ``stamps`` are all that the table has."""
    found = []
    for migration in chain:
        trusted = [stamp for stamp in stamps if not is_older(stamp, migration.version)]
        claimed = [s for s in trusted if distrusts and claims(s, chain, app_version) is migration]
        if len(trusted) == len(stamps) and not claimed:
            continue
        changes = tuple(
            change
            for change in migration.changes
            if not change.only_if_added or change.column not in table.names or change.column in table.added
        )
        # What is not known to be newer is treated as the oldest: also a stamp that nobody counted.
        needed = f"({is_one_of(trusted)}) IS NOT 1" if trusted else "1"
        step = Step(migration, changes, needed, is_one_of(claimed) if claimed else "")
        if _leaves_all(table, migration):
            stamp_alone = migration._replace(changes=(), gaps=(), shared=None, inputs=(APP_VERSION_COLUMN,))
            step = step._replace(migration=stamp_alone, changes=())
        found.append(step)
    return found


def claims(stamp: Any, chain: Sequence[Migration], app_version: str) -> Migration | None:
    """The newest of the migrations that a stamp says were done."""
    if standing(stamp, app_version) is not Standing.CURRENT:
        return None
    return next((each for each in reversed(chain) if not is_older(stamp, each.version)), None)


def _leaves_all(table: OldTable, migration: Migration) -> bool:
    """No record of the table has what the migration is about: a column that the table lacks."""
    absent = [f"NULL AS {name}" for name in migration.inputs if name not in table.names]
    if not absent:
        return False
    with closing(in_memory()) as connection:
        try:
            return bool(connection.execute(f"SELECT ({migration.leaves}) FROM (SELECT {', '.join(absent)})").get)
        except apsw.SQLError:
            return False  # it is about another column


def is_one_of(stamps: Iterable[Any]) -> str:
    listed = ", ".join(apsw.format_sql_value(stamp) for stamp in stamps)
    return f"+{APP_VERSION_COLUMN} COLLATE BINARY IN ({listed})"


class Pipeline(NamedTuple):
    """``sql``: a SELECT whose rows are those with ``?1`` < key <= ``?2``, in that order: ``carried_key`` and, under
    their names, ``columns`` as the new version has them; and, as ``stored_…``, the columns that just pass through."""

    sql: str
    columns: tuple[str, ...]
    passed: tuple[str, ...]


def pipeline(table: OldTable, steps: Sequence[Step], passed: Sequence[str] = (), *, where: str = "1") -> Pipeline:
    """``passed``: further columns that are handed through as they are meant; ``where``: SQL over ``t``, of which."""
    used = {name for step in steps for name in (*step.migration.inputs, *step.written)}
    columns = tuple(name for name in ALL_COLUMNS if name in used)
    hoisted, changed = [], set[str]()
    for place, step in enumerate(steps):
        shared = step.migration.shared
        if shared is not None and not changed & _names_in(shared):
            hoisted.append(place)
        changed |= step.written
    extra = {f"needs_{place}": step.needed for place, step in enumerate(steps) if step.needed != "1"}
    extra |= {f"claims_{place}": step.claimed for place, step in enumerate(steps) if step.claimed}
    extra |= {f"shared_{place}": _worked_out(steps[place]) for place in hoisted}
    scope = _read(table, columns, passed, extra, where)
    through, beside = [KEY, *(f"stored_{name}" for name in passed)], list(extra)
    absent = {name for name in columns if name not in table.names}
    for place, step in enumerate(steps):
        shared = step.migration.shared
        if shared is not None and place not in hoisted:
            scope = f"SELECT *, {_worked_out(step)} AS shared_{place} FROM ({scope}){APART}"
            beside.append(f"shared_{place}")
        visible = scope if shared is None else f"SELECT *, {named(_unpacked(place, shared))} FROM ({scope})"
        takes = "1" if step.needed == "1" else f"needs_{place}"
        if step.claimed:
            taken = f"{takes} OR (claims_{place} AND ({sqlite(step.migration.distrusted)}))"
            visible = f"SELECT *, {taken} AS takes_{place} FROM ({visible}){APART}"
            takes = f"takes_{place}"
        after = after_step(step, takes)
        absent -= after.keys()
        kept = {name: "NULL" if name in absent else after.get(name, name) for name in columns}
        scope = f"SELECT {', '.join([*through, *beside])}, {named(kept)} FROM ({visible})"
    return Pipeline(scope, columns, tuple(passed))


def _read(table: OldTable, columns: Sequence[str], passed: Sequence[str], extra: Mapping[str, str], where: str) -> str:
    meant = {name: table.report(name, table.meant(name)) for name in columns}
    rows = (
        f"SELECT {table.key} AS {KEY}, {named(meant | {f'stored_{name}': table.meant(name) for name in passed})} "
        f"FROM {table.rows} AS t WHERE {table.key} > ?1 AND {table.key} <= ?2 AND {where}"
    )
    converted = any(sql != "NULL" and not table.is_stored(name) for name, sql in meant.items())
    if converted and not table.is_ours:
        rows += f" ORDER BY {table.key}{APART}"
    # what the table lacks is not handed on: so SQLite knows that it is NULL
    there = [KEY, *(name for name in columns if name in table.names), *(f"stored_{name}" for name in passed)]
    listed = ", ".join([*there, *(f"{sql} AS {name}" for name, sql in extra.items())])
    scope = f"SELECT {listed} FROM ({rows}) ORDER BY {KEY}{APART}"
    missing = [name for name in columns if name not in table.names]
    return f"SELECT *{''.join(f', NULL AS {name}' for name in missing)} FROM ({scope})"


def _names_in(shared: SharedExpressions) -> set[str]:
    texts = [
        shared.plain,
        *(sql for layer in shared.layers for _name, sql in layer),
        *(sql for _name, sql in shared.seen),
    ]
    return {name for text in texts for name in _NAME.findall(text)}


def _worked_out(step: Step) -> str:
    """SQL of the shared value, or of the JSON list of several; of the list, NULL for a plain record."""
    shared = step.migration.shared
    assert shared is not None
    takes = step.needed if not step.claimed else f"({step.needed} OR {step.claimed})"
    names = [name for name, _plain in shared.seen]
    if len(shared.seen) == 1 and len(shared.layers) == 1 and len(shared.layers[0]) == 1:
        worked_out = shared.layers[0][0][1]
    else:
        packed = f"json_array({', '.join(names)})" if len(names) > 1 else names[0]
        worked_out = f"(SELECT {packed} FROM {shared.below()})"
    if len(names) > 1:
        return f"CASE WHEN {takes} AND ({shared.plain}) IS NOT TRUE THEN {worked_out} END"
    return f"CASE WHEN NOT {takes} THEN NULL WHEN {shared.plain} THEN {shared.seen[0][1]} ELSE {worked_out} END"


def _unpacked(place: int, shared: SharedExpressions) -> dict[str, str]:
    given = f"shared_{place}"
    if len(shared.seen) == 1:
        return {shared.seen[0][0]: given}
    return {
        name: f"CASE WHEN {given} IS NULL THEN {plain} ELSE {given} ->> {index} END"
        for index, (name, plain) in enumerate(shared.seen)
    }


def after_step(step: Step, takes: str) -> dict[str, str]:
    """SQL of each column that the migration writes, over the record before it."""
    migration = step.migration
    values = {APP_VERSION_COLUMN: f"'{migration.version}'", REASON_COLUMN: migration.reason_expression}
    for change in step.changes:
        values[change.column] = change.sql
        if change.original:
            values[change.original] = (
                f"CASE WHEN {change.original} IS NULL AND ({sqlite(change.keep_when)}) "
                f"THEN {change.column} ELSE {change.original} END"
            )
    if takes == "1":
        return values
    return {name: f"CASE WHEN {takes} THEN {value} ELSE {name} END" for name, value in values.items()}


def named(values: Mapping[str, str]) -> str:
    return ", ".join(f"{sql} AS {name}" for name, sql in values.items())
