"""What a migration would do, tried on a sample of the records in memory.

The sample is adopted, kept, recomputed and checked by the very statements and oracles of a real run, so that what is
shown before is what comes after.
"""

import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice, repeat
from math import isfinite
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy.migration.model import Fault
from llm_metrics_proxy.migration.oracle_check import MOST_FAULTS, OracleCheck
from llm_metrics_proxy.migration.sql import RunSql
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.storage.connection import in_memory
from llm_metrics_proxy.storage.invalid_text import read_rows
from llm_metrics_proxy.storage.report_shapes import TABLE as SHAPES
from llm_metrics_proxy.storage.sqlite_schema import TABLE, declared_columns, quoted

_LARGEST: Final = "1.7976931348623157e308"
_EVERY: Final = (-(2**63), 2**63 - 1)
_TABLE_SQL: Final = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE"


class Figures(msgspec.Struct, frozen=True):
    """One metric over ``n`` records that have it; with ``n`` = 0 all else is ``None``.

    ``left_out``: records with something there that is not a finite number. Percentiles interpolate linearly.
    """

    n: int
    mean: float | None
    p50: float | None
    p95: float | None
    left_out: int


class Comparison(msgspec.Struct, frozen=True):
    """The same records of the sample, before and after. ``model`` is ``None`` where a record names none."""

    model: str | None
    records: int
    before: Figures
    after: Figures


class MetricChange(msgspec.Struct, frozen=True):
    """One metric that people look at: over the whole sample, and by model, those with most records first."""

    metric: str
    unit: str
    overall: Comparison
    by_model: tuple[Comparison, ...]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """``gaps[k]``: records of the sample that migration k cannot recompute, by reason. ``faults`` are what a run would
    be taken back for."""

    records: int = 0
    metrics: tuple[MetricChange, ...] = ()
    gaps: tuple[dict[str, int], ...] = ()
    faults: tuple[Fault, ...] = ()
    seconds: float = 0.0


def take_sample(source: apsw.Connection, takes: str, columns: Sequence[str], every: int) -> apsw.Connection:
    """A database in memory whose table is like the one in ``source`` and holds each ``every``-th record that is taken.

    ``takes`` is SQL over a record with all ``columns``; those that the table lacks are NULL. Raises ``apsw.Error``.
    """
    own = [quoted(name) for name in stored_columns(source)]
    # text goes over as bytes: a foreign file may hold some that is not Unicode, which Python could not read
    picked = ", ".join(
        f"typeof({name}) = 'text', iif(typeof({name}) = 'text', CAST({name} AS BLOB), {name})" for name in own
    )
    put = ", ".join(f"iif(?{2 * at + 1}, CAST(?{2 * at + 2} AS TEXT), ?{2 * at + 2})" for at in range(len(own)))
    source.create_scalar_function("every_nth", _every_nth(every), 0)
    rows = source.execute(
        f"SELECT {picked} FROM {with_all(source, columns)} WHERE CASE WHEN {takes} THEN every_nth() END"  # noqa: S608
    )
    sample = in_memory()
    try:
        sample.pragma("encoding", source.pragma("encoding"))  # so that bytes of text mean the same
        sample.pragma("ignore_check_constraints", True)
        sample.execute(source.execute(_TABLE_SQL, (TABLE,)).get)
        if shapes := source.execute(_TABLE_SQL, (SHAPES,)).get:
            sample.execute(shapes)
            sample.executemany(f"INSERT INTO {SHAPES} VALUES (?, ?)", source.execute(f"SELECT * FROM {SHAPES}"))  # noqa: S608
        with sample:
            sample.executemany(f"INSERT INTO {TABLE} ({', '.join(own)}) VALUES ({put})", rows)  # noqa: S608
    except BaseException:
        sample.close()
        raise
    return sample


def with_all(connection: apsw.Connection, columns: Sequence[str]) -> str:
    """The table, for FROM, with every one of ``columns``: NULL where it lacks one."""
    own = {name.lower() for name in stored_columns(connection)}
    nulls = "".join(f", NULL AS {quoted(name)}" for name in columns if name.lower() not in own)
    return f"(SELECT *{nulls} FROM {TABLE}) AS {TABLE}"  # noqa: S608


def stored_columns(connection: apsw.Connection) -> list[str]:
    """Names of the table's columns, those that SQLite generates left out."""
    rows = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", (TABLE,))
    return [str(name) for (name,) in rows]


def _every_nth(n: int) -> Callable[..., bool]:
    """SQL function: true for the first call and each n-th after it."""
    turns = cycle([True, *repeat(False, n - 1)])
    return lambda *_none: next(turns)


def try_out(sample: apsw.Connection, sql: RunSql, index_steps: Sequence[str]) -> Preview:
    """Migrate the sample, whose table has every column by now, at once."""
    shown = list(dict.fromkeys(name for migration in sql.migrations for name in migration.shown))
    values = "".join(f", {sql.meant(name, name)} AS {_before(name)}" for name in shown)
    sample.execute(f"CREATE TEMP TABLE before_values AS SELECT id AS record_id{values} FROM {TABLE}")  # noqa: S608
    sample.execute("CREATE INDEX temp.before_values_id ON before_values (record_id)")
    start = time.perf_counter()
    try:
        for k in range(len(sql.migrations)):
            sample.execute(sql.create_undo_table(k))
            sample.execute(sql.save_undo(k), _EVERY)
            sample.execute(sql.update(k), _EVERY)
    except apsw.Error as error:  # there is neither disk nor lock here: it is the formula
        return Preview(faults=(Fault("formula", None, f"a formula cannot be calculated: {error}"),))
    for statement in index_steps:
        sample.execute(statement)
    checked = [_check(sample, sql, k) for k in range(len(sql.migrations))]
    return Preview(
        records=sample.execute(f"SELECT count(*) FROM {TABLE}").get,  # noqa: S608
        metrics=tuple(_metric(sample, name, sql.meant(name, name)) for name in shown),
        gaps=tuple(gaps for gaps, _faults in checked),
        faults=tuple(fault for _gaps, faults in checked for fault in faults),
        seconds=time.perf_counter() - start,
    )


def add_missing_columns(sample: apsw.Connection, columns: Sequence[str]) -> None:
    """What a schema step of this program would add to a table that is ours already."""
    own = {name.lower() for name in stored_columns(sample)}
    for name in columns:
        if name not in own:
            sample.execute(f"ALTER TABLE {TABLE} ADD COLUMN {quoted(name)} {declared_columns()[name]}")


def _check(sample: apsw.Connection, sql: RunSql, k: int) -> tuple[dict[str, int], tuple[Fault, ...]]:
    """Gaps, and records on which the oracle and the SQL disagree."""
    codes = {gap.code for gap in sql.migrations[k].gaps}
    gaps = {reason: n for reason, n in read_rows(sample, sql.reasons(k), _EVERY, 2) if reason in codes}
    differences = OracleCheck(sample, sql, k, verb="would be").by_record(sql.written(k), *_EVERY)
    return gaps, tuple(islice(differences, MOST_FAULTS))


def _metric(sample: apsw.Connection, name: str, after: str) -> MetricChange:
    parts = [part for value in (_before(name), after) for part in _figures(value)]
    # a model can be any value, even text that is not UTF-8
    group = "CAST(model AS BLOB)"
    statement = (
        f"SELECT {{group}}, count(*), {', '.join(parts)} FROM {TABLE} "  # noqa: S608
        "JOIN temp.before_values ON record_id = id"
    )
    encoding = str(sample.pragma("encoding"))
    (overall,) = sample.execute(statement.format(group="NULL"))
    by_model = sample.execute(f"{statement.format(group=group)} GROUP BY 1 ORDER BY 2 DESC, 1")
    return MetricChange(
        metric=name,
        unit=REGISTRY[name].unit if name in REGISTRY else "",
        overall=_comparison(overall, encoding),
        by_model=tuple(_comparison(row, encoding) for row in by_model),
    )


def _before(name: str) -> str:
    return quoted(f"before {name}")


def _figures(value: str) -> list[str]:
    """Text and bytes sort after every number; the plus takes away the column's type, which would convert the limits."""
    number = f"iif(+{value} BETWEEN -{_LARGEST} AND {_LARGEST}, {value}, NULL)"
    return [
        f"count({number})",
        f"avg({number})",
        f"percentile_cont({number}, 0.5)",
        f"percentile_cont({number}, 0.95)",
        f"count({value}) - count({number})",
    ]


def _comparison(row: Sequence[Any], encoding: str) -> Comparison:
    model = row[0].decode(encoding, errors="replace") if row[0] is not None else None
    return Comparison(model, row[1], _from_row(row[2:7]), _from_row(row[7:12]))


def _from_row(values: Sequence[Any]) -> Figures:
    n, *numbers, left_out = values
    mean, p50, p95 = (number if number is not None and isfinite(number) else None for number in numbers)
    return Figures(n, mean, p50, p95, left_out)
