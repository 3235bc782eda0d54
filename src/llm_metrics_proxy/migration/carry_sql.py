"""The statements that make new records of old ones: pure text for the copy engine, from a table and its versions.

``carry`` reads what the old table is and gives a ``Carry``. Its statements take two parameters: the old records with
``?1`` < key <= ``?2``. A connection that runs them has ``carry_functions.register``.
"""
# ruff: noqa: S608 -- names are ours, or quoted

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.migration.doubles import COLUMN as REQUEST_ID
from llm_metrics_proxy.migration.doubles import find_doubles, is_double_sql
from llm_metrics_proxy.migration.fits import REFUSED, UNFIT, fitted, guard, text_guard, unfit_object
from llm_metrics_proxy.migration.fused import APART, KEY, Step, is_one_of, pipeline, steps_for
from llm_metrics_proxy.migration.model import REASON_COLUMN, Migration, Usual
from llm_metrics_proxy.migration.old_table import OldTable, read_table
from llm_metrics_proxy.migration.shortcuts import Shortcut, groups, shortcut, way_of
from llm_metrics_proxy.migration.timestamps import needs_original_sql, normalised_sql
from llm_metrics_proxy.record import ALL_COLUMNS, KEY_COLUMNS, REGISTRY
from llm_metrics_proxy.storage.sqlite_schema import TABLE, quoted

_ARRIVAL: Final = KEY_COLUMNS[0]
_FEW: Final = 20  # columns that are cheaper to hand through than to look up once more
_LONG: Final = 2000  # bytes of all texts of a record
_TIME, _TIME_ORIGINAL = "timestamp", "timestamp_original"


class Carry(NamedTuple):
    """How an old table is carried over. ``steps``: the migrations of ``chain`` that concern it, in order.

    ``usual``: statements that insert records for which there is a short way, after ``are_unicode``, which reads what
    ``texts`` gives. ``insert`` inserts what is not there yet; it raises ``apsw.ConstraintError`` and inserts nothing if
    a value does not fit its column: ``insert_any`` then inserts all of it, at several times the cost.
    ``gaps``: rows ``(reason, records)``.
    """

    old: OldTable
    chain: tuple[Migration, ...]
    app_version: str
    distrusts: bool
    steps: tuple[Step, ...]
    stamps: tuple[Any, ...]
    texts: str
    usual: tuple[str, ...]
    insert: str
    insert_any: str
    has_doubles: bool
    gaps: str


def carry(
    connection: apsw.Connection,
    table: str,
    chain: Sequence[Migration],
    stamps: Sequence[Any],
    *,
    app_version: str,
    distrusts: bool,
    rows: str = "",
    key: str = "id",
) -> Carry:
    """``table`` is never written to. ``stamps``: every ``app_version`` in it, as stored. ``distrusts``: other programs
    wrote it, so that stamps are held against values. ``rows`` (SQL; by default the table itself) has the table's
    columns and, as ``key``, the number of each record. Raises ``apsw.Error``."""
    old = read_table(connection, table, rows=rows or f"main.{quoted(table)}", key=key)
    steps = tuple(steps_for(old, chain, stamps, app_version=app_version, distrusts=distrusts))
    has_doubles = find_doubles(connection, old)
    texts = "" if old.is_ours or connection.pragma("encoding") != "UTF-8" else _texts(old)
    is_usual = old.is_ours or bool(texts)
    usual = tuple(_usual(old, steps, stamps, has_doubles=has_doubles)) if steps and is_usual else ()
    there = f"{old.key} NOT IN (SELECT {_ARRIVAL} FROM main.{TABLE})" if usual else "1"
    codes = ", ".join(f"'{gap.code}'" for step in steps for gap in step.migration.gaps) or "NULL"
    return Carry(
        old=old,
        chain=tuple(chain),
        app_version=app_version,
        distrusts=distrusts,
        steps=steps,
        stamps=tuple(stamps),
        texts=texts,
        usual=usual,
        insert=_insert(old, _source(old, steps, there), has_doubles=has_doubles),
        insert_any=_insert_any(_source(old, steps, there), has_doubles=has_doubles),
        has_doubles=has_doubles,
        gaps=f"SELECT {REASON_COLUMN}, count(*) FROM main.{TABLE} WHERE {_ARRIVAL} > ?1 AND {_ARRIVAL} <= ?2 "
        f"AND {REASON_COLUMN} IN ({codes}) GROUP BY 1",
    )


def carry_over(connection: apsw.Connection, how: Carry, after: int, through: int) -> bool:
    """Insert the new records of a range, within the caller's transaction; whether all fitted. Raises ``apsw.Error``."""
    are_text = bool(how.usual) and are_unicode(connection, how, after, through)
    statements = (how.usual if are_text else (), how.insert, how.insert_any)
    return run(lambda statement: connection.execute(statement, (after, through)), *statements)


def run(execute: Callable[[str], object], usual: Sequence[str], insert: str, insert_any: str) -> bool:
    """What is usual, then the rest; whether all fitted. Raises ``apsw.Error``."""
    try:
        for statement in usual:
            execute(statement)
        execute(insert)
    except apsw.ConstraintError:
        execute(insert_any)
        return False
    return True


def are_unicode(connection: apsw.Connection, how: Carry, after: int, through: int) -> bool:
    """The texts of the range that are of usual length."""
    try:
        if how.texts:
            connection.execute(how.texts, (after, through)).fetchall()
    except UnicodeDecodeError:
        return False
    return True


class _Source(NamedTuple):
    """``sql`` for FROM; ``values``: SQL over it by column, of those that the old record has or a version gives."""

    sql: str
    values: Mapping[str, str]
    key: str
    time_before: str = ""  # the time as it was, where formulas normalise it: what they change is a time


def _text_columns(old: OldTable) -> list[str]:
    return [f"t.{name}" for column, name in old.names.items() if REGISTRY[column].kind.holds in {"text", "any"}]


def _texts(old: OldTable) -> str:
    """A statement whose result has all texts of a range in it, so that who reads it finds bytes that are no text."""
    given = f"group_concat(concat_ws(' ', {', '.join(_text_columns(old))}), ' ')"
    return f"SELECT {given} FROM {old.rows} AS t WHERE {old.key} > ?1 AND {old.key} <= ?2 AND {are_short(old)}"


def are_short(old: OldTable) -> str:
    """SQL over ``t``: the texts of the record are of usual length, together."""
    lengths = " + ".join(f"coalesce(octet_length({name}), 0)" for name in _text_columns(old))
    return f"({lengths}) < {_LONG}" if lengths and not old.is_ours else "1"


def short_ways(
    old: OldTable, steps: Sequence[Step], stamps: Sequence[Any], way: Callable[[Step], Usual | None], *, is_apart: bool
) -> Iterator[Shortcut]:
    """One for each group of stamps that has one."""
    of = groups(steps, stamps)
    for places, alike in of.items():
        where = are_short(old) if len(of) == 1 else f"{are_short(old)} AND {is_one_of(alike)}"
        found = shortcut(old, [steps[place] for place in places], way, where=where, is_apart=is_apart)
        if places and found is not None:
            yield found


def _usual(old: OldTable, steps: Sequence[Step], stamps: Sequence[Any], *, has_doubles: bool) -> Iterator[str]:
    for found in short_ways(old, steps, stamps, way_of, is_apart=False):
        given = _in_order(found.values)
        guards = [
            sql for name, value in given.items() if name not in found.vouched and (sql := guard(name, value, old))
        ]
        guards += [f"{given[UNFIT]} IS NOT NULL"] if UNFIT in given else []
        guards += [is_double_sql(KEY)] if has_doubles else []
        yield (
            f"INSERT INTO main.{TABLE} ({', '.join([_ARRIVAL, *given])}) SELECT {', '.join([KEY, *given.values()])} "
            f"FROM ({found.sql}) WHERE is_usual AND ({' OR '.join(guards) or '0'}) IS NOT TRUE"
        )


def _source(old: OldTable, steps: Sequence[Step], where: str) -> _Source:
    known = [name for name in ALL_COLUMNS if name in old.names and name != _ARRIVAL]
    if not steps:
        rows = f"{old.rows} AS t WHERE {old.key} > ?1 AND {old.key} <= ?2 AND {where} ORDER BY {old.key}"
        return _Source(rows, {name: old.meant(name) for name in known}, old.key)
    written = {name for step in steps for name in step.written}
    unchanged = [name for name in known if name not in written]
    if len(unchanged) <= _FEW:
        before = f"stored_{_TIME}" if _TIME in written else ""
        made = pipeline(old, steps, [*unchanged, _TIME] if before else unchanged, where=where)
        values = {name: f"stored_{name}" for name in unchanged}
        return _Source(
            f"({made.sql}{APART})", values | {name: name for name in made.columns if name in written}, KEY, before
        )
    made = pipeline(old, steps, where=where)
    values = {name: old.meant(name) for name in unchanged}
    values |= {name: f"made.{name}" for name in made.columns if name in written}
    # a wide table: columns that no formula touches are looked up once more, which is cheaper than to hand them on
    sql = (
        f"(SELECT {', '.join([KEY, *written])} FROM ({made.sql}){APART}) AS made CROSS JOIN {old.rows} AS t "
        f"WHERE {old.key} = made.{KEY}"
    )
    return _Source(sql, values, old.key, old.meant(_TIME) if _TIME in written else "")


def _insert(old: OldTable, source: _Source, *, has_doubles: bool) -> str:
    values = {_ARRIVAL: source.key, **_in_order(source.values)}
    guards = {name: sql for name, value in source.values.items() if (sql := guard(name, value, old))}
    if source.time_before and _TIME in guards:
        guards[_TIME] = f"({source.values[_TIME]} IS {source.time_before} AND ({guards[_TIME]}))"
    others = (text_guard(values, old), is_double_sql(source.key) if has_doubles else "")
    guards |= {f"other {place}": sql for place, sql in enumerate(others) if sql}
    if guards:
        there = f" ELSE {values[UNFIT]}" if UNFIT in values else ""
        values[UNFIT] = f"CASE WHEN {' OR '.join(guards.values())} THEN {REFUSED}{there} END"
    return f"INSERT INTO main.{TABLE} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {source.sql}"


def _insert_any(source: _Source, *, has_doubles: bool) -> str:
    given = {_TIME_ORIGINAL: "NULL"} | _in_order(source.values)
    if _TIME in given:  # as 2.0.0 has it, whatever the stamp
        time = given[_TIME]
        given[_TIME_ORIGINAL] = (
            f"CASE WHEN {given[_TIME_ORIGINAL]} IS NULL AND ({needs_original_sql(time)}) THEN {time} "
            f"ELSE {given[_TIME_ORIGINAL]} END"
        )
        given[_TIME] = normalised_sql(time)
    listed = ", ".join([f"{source.key} AS {KEY}", *(f"{sql} AS {name}" for name, sql in given.items())])
    rows = f"(SELECT {listed} FROM {source.sql}{APART})"
    values = {_ARRIVAL: KEY, **{name: fitted(name, name) for name in given}}
    refused = {}
    if has_doubles:
        refused[REQUEST_ID] = is_double_sql(KEY)
        values[REQUEST_ID] = f"iif({refused[REQUEST_ID]}, NULL, {values[REQUEST_ID]})"
    judged = {name: name for name in given if name != UNFIT}
    values[UNFIT] = unfit_object(judged, known={_TIME: f"{_TIME_ORIGINAL} IS {_TIME}"}, refused=refused)
    return f"INSERT INTO main.{TABLE} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {rows}"


def _in_order(values: Mapping[str, str]) -> dict[str, str]:
    return {name: values[name] for name in ALL_COLUMNS if name in values and values[name] != "NULL"}
