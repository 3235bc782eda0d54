"""A table carried over by the statements of ``carry_sql`` alone, without the engine around them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.carry_functions import register
from llm_metrics_proxy.migration.carry_oracle import Verifier
from llm_metrics_proxy.migration.carry_sql import Carry, carry, carry_over
from llm_metrics_proxy.migration.invalid_text import read_rows
from llm_metrics_proxy.migration.model import Fault, Migration
from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.sqlite_schema import ONE_TABLE, RECORDS_INDEXES, column_steps, has_ledger, records_table

OLD = "completion_requests_before"
_ALL = (-(2**63), 2**63 - 1)


class Carried(NamedTuple):
    connection: apsw.Connection
    how: Carry
    fitted: bool

    def rows(self) -> dict[int, dict[str, Any]]:
        """New records by arrival."""
        names = ", ".join(ALL_COLUMNS)
        found = self.connection.execute(f"SELECT {names} FROM completion_requests ORDER BY arrival")
        return {row[0]: dict(zip(ALL_COLUMNS, row, strict=True)) for row in found}

    def faults(self, limit: int = 10) -> list[Fault]:
        return Verifier(self.connection, self.how).faults(*_ALL, limit)


@contextmanager
def carried(
    path: Path,
    *,
    chain: Sequence[Migration] = MIGRATIONS,
    app_version: str = APP_VERSION,
    distrusts: bool | None = None,
    thorough: bool = False,
    batch: int = 0,
    key: str = "id",
) -> Iterator[Carried]:
    """``thorough``: by the statement for values that do not fit, whether there are such or not. ``batch``: records in
    one statement; by default all of them."""
    connection = apsw.Connection(str(path))
    try:
        register(connection)
        connection.pragma("legacy_alter_table", 1)
        connection.execute(f"ALTER TABLE completion_requests RENAME TO {OLD}")
        table = records_table()
        connection.execute(table[: table.index("CREATE UNIQUE")])
        for step in column_steps(column for column in REGISTRY.values() if column.step > ONE_TABLE):
            connection.execute(step.sql)
        for statement in RECORDS_INDEXES:
            name = statement.partition(" INDEX ")[2].partition(" ON ")[0]
            connection.execute(f"DROP INDEX IF EXISTS {name}")
            connection.execute(statement)
        stamps = [stamp for (stamp,) in read_rows(connection, stamps_sql(connection), (), 1)]
        distrusts = not has_ledger(connection) if distrusts is None else distrusts
        how = carry(connection, OLD, chain, stamps, app_version=app_version, distrusts=distrusts, key=key)
        with connection:
            if thorough:
                connection.execute(how.insert_any, _ALL)
            ranges = [_ALL] if not batch else [(n, n + batch) for n in range(0, _last(connection), batch)]
            fitted = not thorough and not [each for each in ranges if not carry_over(connection, how, *each)]
        yield Carried(connection, how, fitted)
    finally:
        connection.close()


def _last(connection: apsw.Connection) -> int:
    return int(connection.execute(f"SELECT max(id) FROM {OLD}").get)


def stamps_sql(connection: apsw.Connection) -> str:
    there = connection.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = 'app_version'", (OLD,)).get
    return f"SELECT DISTINCT app_version FROM {OLD}" if there else "SELECT NULL"
