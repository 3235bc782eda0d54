"""What versions wrote, held against their oracles in bulk: one look at each record, in Python made for its stamp."""
# ruff: noqa: S608 -- names are ours, or quoted

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration.carry_sql import Carry
from llm_metrics_proxy.migration.fused import claims
from llm_metrics_proxy.migration.invalid_text import read_rows
from llm_metrics_proxy.migration.model import REASON_COLUMN, Migration, Oracle
from llm_metrics_proxy.migration.reading import meant
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.record import APP_VERSION_COLUMN, KEY_COLUMNS
from llm_metrics_proxy.storage.sqlite_schema import TABLE

_ARRIVAL: Final = KEY_COLUMNS[0]
_MOST_REMEMBERED: Final = 50_000


class Bulk:
    """What versions wrote, record by record, as fast as Python can: a list of values, on which each oracle adds."""

    def __init__(self, carry: Carry, written: Sequence[str], leaves: str, differs: str, encoding: str) -> None:
        old = carry.old
        self._steps, self._carry, self._written = carry.steps, carry, tuple(written)
        inputs = sorted({n for step in carry.steps for n in (*step.migration.inputs, *step.written)} & old.names.keys())
        self._places = {name: place for place, name in enumerate(inputs, 1)}
        columns = [old.key, *(old.report(name, f"t.{old.names[name]}") for name in inputs)]
        self._keyed: dict[tuple[int, str], int] = {}
        changed: set[str] = set()
        for k, step in enumerate(carry.steps):
            migration = step.migration
            if _is_few(migration) and step.changes:
                for name, template in zip(migration.inputs, migration.oracle_key or (), strict=True):
                    if template != "{}" and old.is_stored(name) and name not in changed:
                        self._keyed[k, name] = len(columns)
                        columns.append(_filled(template, f"t.{old.names[name]}"))
            changed |= step.written
        self._converted = [
            (self._places[name], name) for name in inputs if not old.is_stored(name) and name != "usage_reported"
        ]
        self._affinities, self._encoding = old.affinities, encoding
        self._actual = len(columns)
        columns += [f"n.{name}" for name in written]
        where, join = "", "JOIN"
        if leaves:
            where = f" AND ({leaves}) IS NOT TRUE"
        else:  # one look at each record is enough
            columns.append(differs)
            join = "LEFT JOIN"
        self._width, self._says_itself = len(columns), not leaves
        self._sql = (
            f"SELECT {', '.join(columns)} FROM {old.rows} AS t {join} main.{TABLE} AS n ON n.{_ARRIVAL} = {old.key} "
            f"WHERE {old.key} > ?1 AND {old.key} <= ?2{where}"
        )
        self._sql_of = self._sql.replace(" FROM ", " FROM json_each(?1) AS chosen CROSS JOIN ", 1).replace(
            f"WHERE {old.key} > ?1 AND {old.key} <= ?2", f"WHERE {old.key} = chosen.value"
        )
        self._stamp = self._places.get(APP_VERSION_COLUMN)
        self._patterns: dict[Any, Callable[[tuple[Any, ...]], bool]] = {}

    def differing(self, connection: apsw.Connection, after: int, through: int) -> Iterator[int]:
        """Numbers of records that are not what the oracles say; each may still be right, in a way that is rare."""
        return self._wrong(read_rows(connection, self._sql, (after, through), self._width))

    def differing_of(self, connection: apsw.Connection, numbers: Sequence[int]) -> Iterator[int]:
        """The same of the records with these numbers."""
        return self._wrong(read_rows(connection, self._sql_of, (json.dumps(numbers),), self._width))

    def _wrong(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[int]:
        stamp_at, patterns = self._stamp, self._patterns
        for row in rows:
            stamp = None if stamp_at is None else row[stamp_at]
            is_right = patterns.get(stamp)
            if is_right is None:
                is_right = patterns[stamp] = self._compiled(stamp)
            if not is_right(row):
                yield row[0]

    def _compiled(self, stamp: Any) -> Callable[[tuple[Any, ...]], bool]:
        """Whether a record with that stamp is right: Python of its own, since most of the time goes where it is called.

        ``v0``, ``v1``, … are the row's values, ``r0``, ``r1``, … what the oracles gave, by its place among all of it.
        """
        carry = self._carry
        claimed = claims(stamp, carry.chain, carry.app_version) if carry.distrusts else None
        taken = [
            (k, step)
            for k, step in enumerate(self._steps)
            if is_older(stamp, step.migration.version) or step.migration.version == (claimed and claimed.version)
        ]
        known: dict[str, Any] = {"converted": self._meant}
        at = {name: f"v{place}" for name, place in self._places.items()}
        lines = [f"{', '.join(f'v{place}' for place in range(self._width))}, = row"]
        lines += [f"v{place} = converted({name!r}, v{place})" for place, name in self._converted]
        results = 0
        for k, step in taken:
            migration, before = step.migration, dict(at)
            if step.changes:
                given = "".join(
                    f"v{self._keyed[k, name]}, " if (k, name) in self._keyed else f"{at.get(name, 'None')}, "
                    for name in migration.inputs
                )
                found = [f"r{results + place}" for place in range(len(migration.changes) + 1)]
                results += len(found)
                known[f"oracle{k}"] = _remembering(migration) if _is_few(migration) else migration.oracle
                lines.append(f"{', '.join(found)}, = oracle{k}({given})")
                at |= {c.column: name for c, name in zip(migration.changes, found, strict=False) if c in step.changes}
                at[REASON_COLUMN] = found[-1]
            for change in step.changes:
                if change.original:
                    kept, was, now = (names.get(name, "None") for names, name in (
                        (before, change.original), (before, change.column), (at, change.column)))  # fmt: skip
                    at[change.original] = f"r{results}"
                    lines.append(f"r{results} = {was} if {kept} is None and {was} != {now} else {kept}")
                    results += 1
            at[APP_VERSION_COLUMN] = repr(migration.version)
        actual = ", ".join(f"v{self._actual + place}" for place in range(len(self._written)))
        final = ", ".join(at.get(name, "None") for name in self._written)
        differs = f"not v{self._width - 1} and " if self._says_itself else ""
        lines.append(f"return {differs}({final},) == ({actual},)")
        exec("def is_right(row):\n    " + "\n    ".join(lines), known)  # noqa: S102 -- of places and our own names
        is_right: Callable[[tuple[Any, ...]], bool] = known["is_right"]
        return is_right

    def _meant(self, name: str, value: Any) -> Any:
        return meant(name, self._affinities, value, self._encoding)


def _is_few(migration: Migration) -> bool:
    """Many records look the same to its oracle."""
    return migration.oracle_key is not None and migration.oracle_key_where == "1"


def _remembering(migration: Migration) -> Oracle:
    """Its oracle, asked once for what it cannot distinguish."""
    remembered: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    def oracle(*given: Any) -> tuple[Any, ...]:
        found = remembered.get(given)
        if found is None:
            if len(remembered) >= _MOST_REMEMBERED:
                remembered.clear()
            found = remembered[given] = migration.oracle(*given)
        return found

    return oracle


def _filled(template: str, value: str) -> str:
    return template.replace("{0}", value).replace("{}", value)
