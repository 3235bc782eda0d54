"""Every statement by which a migration touches records, built from its description. Pure: text in, text out.

``before(column, k)`` is the heart: the value that a column had before the k-th migration of a run, put together from
the undo entries of the migrations from k on, and the record as it is now. Verification and undo both rest on it. All
statements are in this one file, because they must agree on what ``before`` means.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration.model import REASON_COLUMN, ColumnChange, Migration
from llm_metrics_proxy.record import APP_VERSION_COLUMN, DERIVED, KEPT, RESTATED
from llm_metrics_proxy.storage.affinity import ColumnAccess, as_read, as_stored
from llm_metrics_proxy.storage.invalid_text import InvalidText
from llm_metrics_proxy.storage.sqlite_schema import TABLE

# What a migration may change without keeping an original: nothing that was observed.
CALCULATED: Final = frozenset(
    {APP_VERSION_COLUMN, *RESTATED, *(column.name for column in DERIVED), *(column.name for column in KEPT)}
)


# Stands in an undo entry for a NULL whose record had an original before: a NULL there says that the original is kept.
WAS_NULL: Final = f"X'{b'was NULL'.hex()}'"


def _literal(stamp: Any) -> str:
    if isinstance(stamp, InvalidText):
        return f"CAST({apsw.format_sql_value(bytes(stamp))} AS TEXT)"
    return apsw.format_sql_value(stamp)


def in_list(stamps: Iterable[Any]) -> str:
    """``app_version`` is one of the stamps, which were compared in Python; NULL among them is meant too."""
    stamps = list(stamps)
    literals = ", ".join(_literal(stamp) for stamp in stamps if stamp is not None)
    listed = f"{APP_VERSION_COLUMN} IN ({literals})"
    return f"({APP_VERSION_COLUMN} IS NULL OR {listed})" if None in stamps else f"({listed})"


class RunSql:
    """The statements of one run: a chain of migrations over the same records.

    ``added_columns`` were added by the adoption just before; ``older[k]`` are the stamps that migration k takes, and
    ``claiming[k]`` those of an adopted file that are taken only where the record does not follow its stamp;
    ``claimed[k]`` are those of them that a record had when the run began (by default, all). ``mangled`` are the
    columns of this file whose declared types convert values: formulas and oracles get the intended value, a written
    value is read back as it was written, and one that a formula leaves alone stays so to the bit.
    """

    def __init__(
        self,
        run_id: int,
        migrations: Sequence[Migration],
        added_columns: Sequence[str] = (),
        older: Sequence[Sequence[Any]] = (),
        claiming: Sequence[Sequence[Any]] = (),
        *,
        claimed: Sequence[Sequence[Any]] | None = None,
        mangled: Mapping[str, ColumnAccess] = {},
    ) -> None:
        self.run_id = run_id
        self.migrations = tuple(migrations)
        self._added = frozenset(added_columns)
        self._older = older
        self._claiming = claiming
        self._claimed = claiming if claimed is None else claimed
        self._mangled = mangled

    def meant(self, column: str, stored: str) -> str:
        """SQL of the intended value of a stored one."""
        return as_read(self._mangled, column, stored)

    def _evaluated(self, k: int, *expressions: str) -> str:
        """SQL of a value, or of a row of several for SET, over one record of the table."""
        migration = self.migrations[k]
        used = {*migration.inputs, *(change.column for change in migration.changes)} & self._mangled.keys()
        if not used:
            return migration.evaluated(*expressions)
        each = ", ".join(migration.evaluated(expression) for expression in expressions)
        meant = ", ".join(f"{self.meant(name, f'{TABLE}.{name}')} AS {name}" for name in sorted(used))
        return f"(SELECT {each} FROM (SELECT {meant}))"  # noqa: S608 -- ours

    def _raw(self, column: str) -> str:
        """SQL of a column's stored value, inside ``_evaluated``."""
        return f"{TABLE}.{column}" if column in self._mangled else column

    def _stored(self, change: ColumnChange) -> str:
        """SQL of what a change puts into its column."""
        name = change.column
        if name not in self._mangled:
            return change.expression
        stored = as_stored(self._mangled, name, change.expression)
        return f"iif({name} IS ({change.expression}), {self._raw(name)}, {stored})"

    def undo_table(self, k: int) -> str:
        """Name of the table with the values from before migration k."""
        return f"migration_undo_{self.run_id}_{self.migrations[k].version.replace('.', '_')}"

    def changes(self, k: int) -> tuple[ColumnChange, ...]:
        """What migration k writes in this file."""
        return tuple(
            change for change in self.migrations[k].changes if not change.only_if_added or change.column in self._added
        )

    def create_undo_table(self, k: int) -> str:
        """Columns without types: every value keeps its storage class."""
        columns = [APP_VERSION_COLUMN, REASON_COLUMN, *(change.column for change in self.changes(k))]
        return f"CREATE TABLE {self.undo_table(k)} (id INTEGER PRIMARY KEY, {', '.join(columns)})"

    def selects(self, k: int) -> str:
        """Whether migration k takes a record."""
        older = in_list(self._older[k])
        if not self._claimed or not self._claimed[k]:
            return older
        return f"({older} OR ({in_list(self._claimed[k])} AND {self._distrusted(k)}))"

    def _distrusted(self, k: int) -> str:
        return self._evaluated(k, self.migrations[k].distrusted)

    def missed(self, k: int, limit: int) -> str:
        """Ids of records up to ``?1`` that migration k should have taken; those it took are the oracle's to judge."""
        condition = in_list(self._older[k])
        if self._claiming and self._claiming[k]:
            taken = f"EXISTS (SELECT 1 FROM {self.undo_table(k)} u WHERE u.id = {TABLE}.id)"  # noqa: S608
            claims = in_list(self._claiming[k])
            condition = f"({condition} OR ({claims} AND NOT {taken} AND {self._distrusted(k)}))"
        return f"SELECT id FROM {TABLE} WHERE id <= ?1 AND {condition} ORDER BY id LIMIT {limit}"  # noqa: S608

    def save_undo(self, k: int) -> str:
        """Copy what migration k will overwrite; ``?1`` < id <= ``?2``."""
        changes = self.changes(k)
        kept = [
            f"CASE WHEN {change.original} IS NOT NULL THEN coalesce({change.column}, {WAS_NULL}) END"
            if change.original
            else change.column
            for change in changes
        ]
        names = [APP_VERSION_COLUMN, REASON_COLUMN, *(change.column for change in changes)]
        return (
            f"INSERT INTO {self.undo_table(k)} (id, {', '.join(names)}) "  # noqa: S608 -- names are ours
            f"SELECT id, {', '.join([APP_VERSION_COLUMN, REASON_COLUMN, *kept])} FROM {TABLE} "
            f"WHERE id > ?1 AND id <= ?2 AND {self.selects(k)}"
        )

    def update(self, k: int) -> str:
        """Recompute and stamp the records that ``save_undo`` has just copied, in the same transaction."""
        migration = self.migrations[k]
        values = {APP_VERSION_COLUMN: f"'{migration.version}'", REASON_COLUMN: migration.reason_expression}
        for change in self.changes(k):
            values[change.column] = self._stored(change)
            if change.original:
                values[change.original] = (
                    f"CASE WHEN {change.original} IS NULL AND ({change.keep_when}) "
                    f"THEN {self._raw(change.column)} ELSE {change.original} END"
                )
        return (
            f"UPDATE {TABLE} SET ({', '.join(values)}) = {self._evaluated(k, *values.values())} "  # noqa: S608
            f"WHERE id > ?1 AND id <= ?2 AND {self.selects(k)}"
        )

    def before(self, column: str, k: int, last: int | None = None) -> str:
        """SQL of the column's value before migration k; ``last``: the last migration that is not undone yet."""
        last = len(self.migrations) - 1 if last is None else last
        for j in range(k, last + 1):
            if column in (APP_VERSION_COLUMN, REASON_COLUMN):
                return f"u{j}.{column}"
            for change in self.changes(j):
                if change.column == column:
                    return self._restored(change, j, last)
        return f"r.{column}"

    def _restored(self, change: ColumnChange, j: int, last: int) -> str:
        kept = f"u{j}.{change.column}"
        if change.original is None:
            return kept
        after = self.before(change.column, j + 1, last)
        return (
            f"CASE WHEN {kept} IS {WAS_NULL} THEN NULL WHEN {kept} IS NOT NULL THEN {kept} "
            f"ELSE coalesce(r.{change.original}, {after}) END"
        )

    def joined(self, k: int, last: int | None = None) -> str:
        """Records that migration k took, with their undo entries from k to ``last``."""
        last = len(self.migrations) - 1 if last is None else last
        later = "".join(f" JOIN {self.undo_table(j)} u{j} ON u{j}.id = u{k}.id" for j in range(k + 1, last + 1))
        return f"{self.undo_table(k)} u{k} JOIN {TABLE} r ON r.id = u{k}.id{later} WHERE u{k}.id > ?1 AND u{k}.id <= ?2"

    def written(self, k: int) -> str:
        """Rows ``(id, inputs before k…, changed columns after k…, reason after k, stamp after k)``."""
        inputs = [self._input(name, k) for name in self.migrations[k].inputs]
        return f"SELECT u{k}.id, {', '.join([*inputs, *self._outcome(k)])} FROM {self.joined(k)}"  # noqa: S608

    def written_apart(self, k: int) -> str:
        """Those rows of ``written`` for which no combination stands; empty: none can be."""
        where = self.migrations[k].oracle_key_where
        return "" if where == "1" else f"{self.written(k)} AND ({self._oracle_key_where(k)}) IS NOT TRUE"

    def _oracle_key_where(self, k: int) -> str:
        migration = self.migrations[k]
        return migration.oracle_key_where.format_map({name: f"({self._input(name, k)})" for name in migration.inputs})

    def combinations(self, k: int) -> str:
        """The rows of ``written`` by ``oracle_key``, each combination once, without ids.

        Compared by their bytes, whatever collation a column has; ``oracle_key`` decides whether 1 and 1.0 are the same.
        """
        migration = self.migrations[k]
        assert migration.oracle_key is not None
        inputs = [
            seen.format(self._input(name, k)) for name, seen in zip(migration.inputs, migration.oracle_key, strict=True)
        ]
        columns = [f"{value} COLLATE BINARY" for value in (*inputs, *self._outcome(k))]
        return f"SELECT DISTINCT {', '.join(columns)} FROM {self.joined(k)} AND ({self._oracle_key_where(k)})"  # noqa: S608

    def reasons(self, k: int) -> str:
        """Rows ``(reason after k, records)`` of those that have one."""
        reason = self.before(REASON_COLUMN, k + 1)
        return f"SELECT {reason}, count(*) FROM {self.joined(k)} AND {reason} IS NOT NULL GROUP BY 1"  # noqa: S608

    def _outcome(self, k: int) -> list[str]:
        """SQL of what migration k left: the changed columns, the reason, the stamp."""
        names = [*(change.column for change in self.changes(k)), REASON_COLUMN, APP_VERSION_COLUMN]
        return [self._input(name, k + 1) for name in names]

    def _input(self, column: str, k: int) -> str:
        """SQL of what the column meant before migration k."""
        return self.meant(column, self.before(column, k))

    def conflicts(self, k: int, *, by_stamp: bool = False) -> str:
        """Ids of records whose values are no longer what migration k, the last one left, wrote.

        ``by_stamp``: other code wrote them, so that only the stamp shows whether they changed since.
        """
        migration = self.migrations[k]
        if by_stamp:
            stamp = f"r.{APP_VERSION_COLUMN} IS NOT '{migration.version}'"
            return f"SELECT u{k}.id FROM {self.joined(k, k)} AND {stamp}"  # noqa: S608
        inner = [f"u{k}.id AS id"]
        inner += [f"{self.meant(name, self.before(name, k, k))} AS {name}" for name in migration.inputs]
        inner += [
            f"{self.meant(change.column, f'r.{change.column}')} AS now_{change.column}" for change in self.changes(k)
        ]
        inner += [f"r.{REASON_COLUMN} AS now_reason", f"r.{APP_VERSION_COLUMN} AS now_version"]
        same = [f"now_{change.column} IS ({change.expression})" for change in self.changes(k)]
        same += [f"now_reason IS ({migration.reason_expression})", f"now_version IS '{migration.version}'"]
        is_same = migration.evaluated(" AND ".join(same))
        return f"SELECT id FROM (SELECT {', '.join(inner)} FROM {self.joined(k, k)}) WHERE NOT {is_same}"  # noqa: S608

    def restore(self, k: int) -> str:
        """Put the values from before migration k back, except in ``temp.undo_conflicts``; ``?1`` < id <= ``?2``."""
        sets = [f"{name} = u{k}.{name}" for name in (APP_VERSION_COLUMN, REASON_COLUMN)]
        for change in self.changes(k):
            sets.append(f"{change.column} = {self.before(change.column, k, k)}")
            if change.original:
                sets.append(
                    f"{change.original} = CASE WHEN u{k}.{change.column} IS NOT NULL THEN r.{change.original} END"
                )
        return (
            f"UPDATE {TABLE} AS r SET {', '.join(sets)} FROM {self.undo_table(k)} AS u{k} "  # noqa: S608
            f"WHERE u{k}.id = r.id AND u{k}.id > ?1 AND u{k}.id <= ?2 "
            f"AND u{k}.id NOT IN (SELECT id FROM temp.undo_conflicts)"
        )

    def forget(self, k: int) -> str:
        """Drop the undo entries of what was restored; ``?1`` < id <= ``?2``."""
        return (
            f"DELETE FROM {self.undo_table(k)} WHERE id > ?1 AND id <= ?2 "  # noqa: S608
            "AND id NOT IN (SELECT id FROM temp.undo_conflicts)"
        )
