"""Calculated values, compared with the oracle of the migration that wrote them."""

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration.model import REASON_COLUMN, Fault
from llm_metrics_proxy.migration.sql import RunSql
from llm_metrics_proxy.record import APP_VERSION_COLUMN
from llm_metrics_proxy.storage.base import SqlValue
from llm_metrics_proxy.storage.invalid_text import read_rows

MOST_FAULTS: Final = 10  # of each kind; one is enough to take the run back, some more help to see why


class OracleCheck:
    """Compares what migration k wrote with its oracle. ``verb``: how a fault describes the value that was found."""

    def __init__(self, connection: apsw.Connection, sql: RunSql, k: int, *, verb: str = "is") -> None:
        self._connection, self._sql, self._k, self._verb = connection, sql, k, verb
        migration = sql.migrations[k]
        names = [change.column for change in sql.changes(k)]
        every = [change.column for change in migration.changes]
        self._labels = (*names, REASON_COLUMN, APP_VERSION_COLUMN)
        active = [*(every.index(name) for name in names), -1]
        # all that it gives, as it is: the commonest by far
        self._of_this_file = None if names == every else itemgetter(*active) if names else lambda given: given[-1:]

    def faults(self, after: int, through: int) -> Iterator[Fault]:
        """What differs in the records of a range of ids; equal ones are checked once if the migration has a key."""
        sql, k = self._sql, self._k
        if sql.migrations[k].oracle_key is None:
            yield from self.by_record(sql.written(k), after, through)
            return
        found = next(self._differences(sql.combinations(k), 0, after, through), None)
        if found is not None:
            named = list(islice(self.by_record(sql.written(k), after, through), MOST_FAULTS))  # which records it is
            yield from named or [Fault("oracle", None, f"of records {after + 1} to {through}, {found[1]}")]
        elif apart := sql.written_apart(k):
            yield from self.by_record(apart, after, through)

    def by_record(self, statement: str, after: int, through: int) -> Iterator[Fault]:
        """What differs in the rows of ``RunSql.written``, record by record."""
        for row, words in self._differences(statement, 1, after, through):
            yield Fault("oracle", row[0], words)

    def _differences(
        self, statement: str, before: int, after: int, through: int
    ) -> Iterator[tuple[tuple[Any, ...], str]]:
        """Rows in which the values after the inputs, of which ``before`` others come, are not the oracle's."""
        migration, of_this_file = self._sql.migrations[self._k], self._of_this_file
        oracle, stamp, split = migration.oracle, (migration.version,), before + len(migration.inputs)
        width = split + len(self._labels)
        for row in read_rows(self._connection, statement, (after, through), width):
            expected = oracle(*row[before:split])
            should = (expected if of_this_file is None else of_this_file(expected)) + stamp
            if should != row[split:]:
                yield row, difference(self._labels, should, row[split:], self._verb)


def difference(
    labels: Sequence[str], expected: Sequence[SqlValue], actual: Sequence[SqlValue], verb: str = "is"
) -> str:
    """Each value that is not as expected, in words."""
    return "; ".join(
        f"{label} {verb} {is_!r} and should be {should!r}"
        for label, should, is_ in zip(labels, expected, actual, strict=True)
        if should != is_
    )
