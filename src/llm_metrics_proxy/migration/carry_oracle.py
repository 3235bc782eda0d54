"""New records, held against the old ones: what should be there is worked out once more, in Python, from the oracles.

Nothing here asks the SQL that made the records. Which versions a record passed through is decided by its stamp, what an
old value means and what becomes of it by ``reading``. First all records are looked at in bulk: columns that no version
writes are compared inside SQLite, and what versions write with what their oracles give. What differs there is judged by
itself, with everything that can become of a value.
"""
# ruff: noqa: S608 -- names are ours, or quoted

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration.carry_bulk import Bulk
from llm_metrics_proxy.migration.carry_functions import ENCODINGS
from llm_metrics_proxy.migration.carry_sql import Carry, are_unicode, short_ways
from llm_metrics_proxy.migration.doubles import COLUMN as REQUEST_ID
from llm_metrics_proxy.migration.doubles import find_doubles, is_double_sql
from llm_metrics_proxy.migration.fits import UNFIT, text_guard
from llm_metrics_proxy.migration.fused import KEY, claims
from llm_metrics_proxy.migration.invalid_text import read_exactly, read_rows
from llm_metrics_proxy.migration.model import REASON_COLUMN, Fault, Migration
from llm_metrics_proxy.migration.old_table import OldTable
from llm_metrics_proxy.migration.reading import NumberWord, fitted, is_time, meant
from llm_metrics_proxy.migration.shortcuts import oracle_way_of
from llm_metrics_proxy.migration.timestamps import normalise
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.record import ALL_COLUMNS, APP_VERSION_COLUMN, KEY_COLUMNS, REGISTRY, literal
from llm_metrics_proxy.storage.sqlite_schema import TABLE

_ARRIVAL: Final = KEY_COLUMNS[0]
_SHOWN: Final = 64  # one of so many records is shown to the oracles in Python, whatever it is
_TIME, _TIME_ORIGINAL = "timestamp", "timestamp_original"
_MUST: Final = {  # SQL of what may not be, by what a column holds
    "number": "n.{0} NOT BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308",
    "flag": "n.{0} NOT IN (0, 1)",
}


class Verifier:
    """Compares the records of one run; ``connection`` reads only, and has the functions of ``carry_functions``."""

    def __init__(self, connection: apsw.Connection, carry: Carry) -> None:
        self._connection, self._carry, self._old = connection, carry, carry.old
        self._encoding = ENCODINGS[connection.pragma("encoding")]
        self._written = [name for name in ALL_COLUMNS if any(name in step.written for step in carry.steps)]
        self._leaves = _left(carry)
        if carry.has_doubles:
            find_doubles(connection, carry.old)
        differs = self._differs()
        old = self._old
        self._differing = (
            f"SELECT {old.key} FROM {old.rows} AS t LEFT JOIN main.{TABLE} AS n ON n.{_ARRIVAL} = {old.key} "
            f"WHERE {old.key} > ?1 AND {old.key} <= ?2 AND {differs}"
        )
        self._bulk, self.unproved = None, _unproved(carry)
        if self._written and self._leaves != "1":
            self._bulk = Bulk(carry, self._written, self._leaves, differs, self._encoding)

    def faults(self, after: int, through: int, limit: int) -> list[Fault]:
        """What is wrong with the new records of a range, at most ``limit`` of it. Raises ``apsw.Error``."""
        return list(islice(self._faults(after, through), limit))

    def _faults(self, after: int, through: int) -> Iterator[Fault]:
        suspected: Iterable[int] = ()
        if self._bulk is not None and self.unproved and are_unicode(self._connection, self._carry, after, through):
            found = self._connection.execute(self.unproved, (after, through))
            suspected = self._bulk.differing_of(self._connection, [number for (number,) in found])
        else:
            if self._bulk is None or self._leaves:
                suspected = [number for (number,) in self._connection.execute(self._differing, (after, through))]
            if self._bulk is not None:
                suspected = chain(suspected, self._bulk.differing(self._connection, after, through))
        for number in suspected:
            yield from self._judge(number)

    def _differs(self) -> str:
        """SQL: the record is not there, or its columns that no version writes are not alike."""
        old = self._old
        there = {name: f"t.{written}" for name, written in old.names.items() if name != _ARRIVAL}
        alike = {name: stored for name, stored in there.items() if name not in self._written}
        conditions = [f"n.{_ARRIVAL} IS NULL"]
        if UNFIT not in there:
            conditions.append(f"n.{UNFIT} IS NOT NULL")
        conditions += [f"n.{name} IS NOT {stored}" for name, stored in alike.items()]
        conditions += [
            f"typeof(n.{name}) <> typeof({stored})" for name, stored in alike.items() if not old.is_stored(name)
        ]
        must = ((name, _MUST.get(REGISTRY[name].kind.holds)) for name in there)
        conditions += [template.format(name) for name, template in must if template]
        conditions.append(text_guard(alike, old) or "0")
        if self._leaves:
            same = {name: there.get(name, "NULL") for name in self._written} | {
                APP_VERSION_COLUMN: f"'{self._carry.steps[-1].migration.version}'"
            }
            changed = " OR ".join(f"n.{name} IS NOT {stored}" for name, stored in same.items())
            conditions.append(f"({self._leaves} AND ({changed}))")
        return f"CASE WHEN {' OR '.join(conditions)} THEN 1 ELSE 0 END"

    def _judge(self, number: int) -> Iterator[Fault]:
        """One record, by itself."""
        old, names = self._old, list(self._old.names)
        stored = ", ".join(old.report(name, f"t.{old.names[name]}") for name in names)
        statement = f"SELECT {stored} FROM {old.rows} AS t WHERE {old.key} = ?"
        rows = read_exactly(self._connection, statement, (number,), len(names))
        values = {
            name: value if old.is_ours else meant(name, old.affinities, value, self._encoding)
            for name, value in zip(names, next(iter(rows)), strict=True)
        }
        statement = f"SELECT {', '.join(ALL_COLUMNS)} FROM main.{TABLE} WHERE {_ARRIVAL} = ?"
        found = list(read_rows(self._connection, statement, (number,), len(ALL_COLUMNS)))
        if not found:
            yield Fault("count", number, "the record was not carried over")
            return
        actual = dict(zip(ALL_COLUMNS, found[0], strict=True))
        actual["usage_reported"] = self._whole(actual["usage_reported"])
        wrong = [
            _compared(expected, unfit, actual)
            for expected, unfit in (self._fitted(number, each) for each in self._expected(number, values))
        ]
        if all(wrong):
            column, should = min(wrong, key=len)[0]
            check = "oracle" if column in self._written else "raw"
            yield Fault(check, number, f"{column} is {actual[column]!r} and should be {should!r}")

    def _whole(self, reported: Any) -> Any:
        return (
            reported
            if not isinstance(reported, str)
            else self._connection.execute("SELECT report_text(?)", (reported,)).get
        )

    def _expected(self, number: int, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The record after all versions that it lacks; two where its stamp is held against its values, and either may
        be."""
        carry, stamp = self._carry, values.get(APP_VERSION_COLUMN)
        claimed = claims(stamp, carry.chain, carry.app_version) if carry.distrusts else None
        needed = [m for m in carry.chain if is_older(stamp, m.version)]
        state = dict.fromkeys(ALL_COLUMNS) | dict(values)
        if claimed is not None and self._is_distrusted(number, claimed):
            needed.insert(0, claimed)
        states = [state]
        for migration in needed:
            states = [after for each in states for after in _passed(migration, self._old, each)]
        yield from states

    def _is_distrusted(self, number: int, migration: Migration) -> bool:
        old = self._old
        used = {*migration.inputs, *_columns_of(migration), REASON_COLUMN}
        meant_ = ", ".join(f"{old.report(name, old.meant(name))} AS {name}" for name in used)
        statement = (
            f"SELECT {migration.evaluated(migration.distrusted)} FROM "
            f"(SELECT {meant_} FROM {old.rows} AS t WHERE {old.key} = ?)"
        )
        return bool(self._connection.execute(statement, (number,)).get)

    def _fitted(self, number: int, expected: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """What our table has of it, and what ``unfit_values`` says."""
        unfit: dict[str, str] = {}
        fit = dict(expected)
        time, kept = expected[_TIME], expected[_TIME_ORIGINAL]
        if time is not None and not is_time(time):
            fit[_TIME_ORIGINAL] = kept = time if kept is None else kept
            readable = normalise(time)
            fit[_TIME] = readable if is_time(readable) else None
            if fit[_TIME] is None and (type(kept), kept) != (type(time), time):
                unfit[_TIME] = fitted(_TIME, time, self._encoding)[1] or ""
        for name in ALL_COLUMNS:
            if name not in {_TIME, UNFIT, *KEY_COLUMNS}:
                fit[name], said = fitted(name, fit[name], self._encoding)
                if said is not None:
                    unfit[name] = said
        if self._carry.has_doubles and self._connection.execute(f"SELECT {is_double_sql('?')}", (number,)).get:
            unfit[REQUEST_ID], fit[REQUEST_ID] = literal(fit[REQUEST_ID]), None
        return fit, unfit


def _passed(migration: Migration, old: OldTable, before: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One version further. An original may be kept or not where the value stayed as it was."""
    *values, reason = migration.oracle(*(before[name] for name in migration.inputs))
    after = dict(before)
    optional = []
    for change, value in zip(migration.changes, values, strict=True):
        if change.only_if_added and change.column in old.names and change.column not in old.added:
            continue
        after[change.column] = value
        if change.original and before[change.original] is None and before[change.column] is not None:
            if value != before[change.column]:
                after[change.original] = before[change.column]
            else:
                optional.append(change)
    after[REASON_COLUMN], after[APP_VERSION_COLUMN] = reason, migration.version
    yield after
    if optional:
        yield after | {str(change.original): before[change.column] for change in optional}


def _compared(
    expected: Mapping[str, Any], unfit: Mapping[str, str], actual: Mapping[str, Any]
) -> list[tuple[str, Any]]:
    """The columns that are not as they should be, with what they should be."""
    wrong = [
        (name, expected[name])
        for name in ALL_COLUMNS
        if name not in {_ARRIVAL, UNFIT} and not _is_same(expected[name], actual[name], REGISTRY[name].kind.holds)
    ]
    said = None if actual[UNFIT] is None else json.loads(actual[UNFIT])
    return wrong if said == (dict(unfit) or None) else [*wrong, (UNFIT, dict(unfit) or None)]


def _is_same(should: Any, is_: Any, holds: str) -> bool:
    if should is None or is_ is None:
        return should is is_
    if isinstance(should, NumberWord):
        return should.says(is_)
    if holds == "any":
        return type(should) is type(is_) and should == is_
    if holds == "number":
        return isinstance(is_, float) and float(should) == is_
    return bool(should == is_)


def _columns_of(migration: Migration) -> list[str]:
    originals = [change.original for change in migration.changes if change.original]
    return [*(change.column for change in migration.changes), *originals]


def _unproved(carry: Carry) -> str:
    """A statement that finds the records of a range of which no short way says that they are right, and some more; it
    is empty where no version has one. Each is then shown to the oracles in Python."""
    old = carry.old
    for way in short_ways(old, carry.steps, carry.stamps, oracle_way_of, is_apart=True):
        values = {name: f"w.{value}" for name, value in way.values.items()}
        alike = [f"n.{name} IS {values.get(name, 'NULL')}" for name in (*values, UNFIT)]
        alike += [
            f"typeof(n.{name}) = typeof({values[name]})"
            for name in values
            if not old.is_stored(name) and name in old.names
        ]
        alike += [
            f"({_MUST[holds].format(name)}) IS NOT TRUE"
            for name in values
            if name not in way.vouched and (holds := REGISTRY[name].kind.holds) in _MUST
        ]
        return (
            f"SELECT w.{KEY} FROM ({way.sql}) AS w LEFT JOIN main.{TABLE} AS n ON n.{_ARRIVAL} = w.{KEY} "
            f"WHERE w.{KEY} % {_SHOWN} = 0 OR (w.is_usual AND {' AND '.join(alike)}) IS NOT TRUE"
        )
    return ""


def _left(carry: Carry) -> str:
    """SQL over ``t``: the only version that concerns the table leaves the record as it is; empty: none does."""
    if len(carry.steps) != 1 or not carry.old.is_ours or carry.steps[0].migration.leaves == "0":
        return ""
    if not carry.steps[0].changes:
        return "1"
    migration = carry.steps[0].migration
    named = ", ".join(f"{carry.old.meant(name)} AS {name}" for name in migration.inputs if name in migration.leaves)
    return f"(SELECT {migration.leaves} FROM (SELECT {named}))"
