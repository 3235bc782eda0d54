"""The formulas of several versions as one SELECT over a table of ClickHouse: each record passes through those it lacks.

Pure: text. Each version is a subquery around the one before it, in which columns have the values from before.
"""
# ruff: noqa: S608 -- names are ours

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from llm_metrics_proxy.engines.clickhouse.expressions import literal, quoted
from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.migration.formula import Formula, clickhouse
from llm_metrics_proxy.migration.model import REASON_COLUMN, Migration
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.record import APP_VERSION_COLUMN, REGISTRY

# In `x + 1 AS x, x * 2 AS y` the second x is the column.
SETTINGS: Final = {"prefer_column_name_to_alias": 1}


class ServerStep(NamedTuple):
    """A version, and the stamps of the records that it concerns, as they are before the first step."""

    migration: Migration
    stamps: tuple[str, ...]

    @property
    def written(self) -> set[str]:
        """Every column that it may change."""
        originals = {change.original for change in self.migration.changes if change.original}
        return {APP_VERSION_COLUMN, REASON_COLUMN, *originals, *(each.column for each in self.migration.changes)}


def steps_for(chain: Sequence[Migration], stamps: Collection[str]) -> list[ServerStep]:
    """Those that concern any of the stamps. Raises ``MigrationRefusedError`` for one that is not said as trees."""
    found = []
    for migration in chain:
        older = tuple(sorted(stamp for stamp in stamps if is_older(stamp, migration.version)))
        if older:
            _refuse_sql(migration)
            found.append(ServerStep(migration, older))
    return found


def written_by(steps: Sequence[ServerStep]) -> set[str]:
    """Every column that any of them may change."""
    return set().union(*(step.written for step in steps))


def carried(rows: str, steps: Sequence[ServerStep]) -> str:
    """A SELECT of all columns after every step. ``rows``: a SELECT of all columns."""
    sql = rows
    stamp = quoted(APP_VERSION_COLUMN)
    for step in steps:
        # what an earlier step has stamped is older than this one's version too
        before = {*step.stamps, *(each.migration.version for each in steps if each is not step)}
        older = sorted(each for each in before if is_older(each, step.migration.version))
        takes = f"{stamp} IN ({', '.join(map(literal, older))})"
        replaced = ", ".join(f"if({takes}, {value}, {quoted(name)}) AS {quoted(name)}" for name, value in _after(step))
        sql = f"SELECT * REPLACE ({replaced}) FROM ({sql})"
    return sql


def _after(step: ServerStep) -> list[tuple[str, str]]:
    migration = step.migration
    values = {APP_VERSION_COLUMN: literal(migration.version), REASON_COLUMN: _reason(migration)}
    for change in migration.changes:
        name = quoted(change.column)
        values[change.column] = _fitting(change.column, clickhouse(_tree(change.expression)))
        if change.original:
            keep = "1" if change.keep_when == "1" else f"ifNull({clickhouse(_tree(change.keep_when))}, 0)"
            kept = quoted(change.original)
            values[change.original] = f"if({kept} IS NULL AND {keep}, {name}, {kept})"
    return list(values.items())


def _fitting(column: str, sql: str) -> str:
    """What its column does not hold becomes NULL, as everywhere."""
    return f"if(isFinite({sql}), {sql}, NULL)" if REGISTRY[column].kind.holds == "number" else sql


def _reason(migration: Migration) -> str:
    otherwise = quoted(REASON_COLUMN) if migration.keeps_reason else "NULL"
    cases = "".join(f"ifNull({clickhouse(_tree(gap.condition))}, 0), {literal(gap.code)}, " for gap in migration.gaps)
    return f"multiIf({cases}{otherwise})" if cases else f"CAST({otherwise} AS Nullable(String))"


def _tree(given: Formula | str) -> Formula:
    assert isinstance(given, Formula)
    return given


def _refuse_sql(migration: Migration) -> None:
    said = [change.expression for change in migration.changes]
    said += [change.keep_when for change in migration.changes if change.keep_when != "1"]
    said += [gap.condition for gap in migration.gaps]
    if migration.shared is not None or any(isinstance(each, str) for each in said):
        raise MigrationRefusedError(
            f"The migration to {migration.version} is said in SQLite's SQL, and not for ClickHouse: its records stay "
            "as they are. Nothing was changed."
        )
