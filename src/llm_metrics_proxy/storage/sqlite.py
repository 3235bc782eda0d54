"""The SQLite store and its readers, on apsw alone.

apsw brings a current SQLite: releases before 3.51.3 can corrupt a WAL database, and two copies of SQLite in one process
drop each other's POSIX locks on the same file. So Python's own module must not be used anywhere, tests included.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.errors import RecordsRefusedError
from llm_metrics_proxy.machine import host_name
from llm_metrics_proxy.storage.base import ByColumn, SqlValue
from llm_metrics_proxy.storage.connection import snapshot
from llm_metrics_proxy.storage.control import Admit, ControlStore, Rows
from llm_metrics_proxy.storage.insertion import AfterInsert, insert
from llm_metrics_proxy.storage.read_pool import Explain, ReadPool, SqliteSnapshot, statement_log
from llm_metrics_proxy.storage.report_shapes import ReportShapes

MOST_AT_ONCE: Final = 8  # questions


class SqliteStore(ControlStore):
    """``storage.base.Store`` in one SQLite file: the records are in the file, and the transactions, of the rest."""

    def __init__(
        self,
        path: Path | str,
        *,
        host: str | None = None,
        admit: Admit | None = None,
        after_insert: AfterInsert | None = None,
    ) -> None:
        """``path`` and ``admit``: as ``ControlStore`` takes them. ``host``: whose records these are; by default this
        machine's name. ``after_insert`` is called in the transaction that stores records, after its rows, with the
        arrival of the first one and their values by column: the roll-ups' part of it.
        """
        self._host = host_name() if host is None else host
        self._after_insert = after_insert
        super().__init__(path, admit=admit)

    def _opened(self, connection: apsw.Connection) -> None:
        self._shapes = ReportShapes(connection)

    def _keep(self, connection: apsw.Connection, first: int, rows: Rows) -> None:
        """All rows are tried, so that ``RecordsRefusedError`` names all that cannot be inserted."""
        columns = ByColumn.of(rows).columns
        refused = insert(connection, first, self._host, columns, self._shapes.stored)
        if refused:
            raise RecordsRefusedError(refused)
        self._shapes.save()
        if self._after_insert is not None:
            self._after_insert(connection, first, columns)

    def _taken_back(self) -> None:
        if self.is_open:
            self._shapes.forget()


class SqliteReader:
    """``storage.base.Reader``: safe in several threads; each reads with a connection of its own (``read_pool``)."""

    def __init__(
        self,
        path: Path | str,
        *,
        timeout_s: float | None = None,
        most: int = MOST_AT_ONCE,
        explain: Explain | None = None,
    ) -> None:
        """``timeout_s`` bounds each query, and before it the wait for one of ``most`` places. The file need not exist
        yet; a query then says so. ``explain`` gets each statement with its plan, as the log shows it with debug."""
        self.path = Path(path)
        self._pool = ReadPool(self.path, timeout_s, most)
        self._explain = explain or statement_log()

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]:
        """All rows of one read-only statement, from one consistent snapshot. Raises ``StoreError``."""
        with self._pool.connection() as connection:
            return SqliteSnapshot(connection, self._explain).query(sql, parameters)

    @contextmanager
    def snapshot(self) -> Iterator["SqliteSnapshot"]:
        """Several statements from one consistent snapshot; ``timeout_s`` bounds all of them. Raises ``StoreError``."""
        with self._pool.connection() as connection, snapshot(connection):
            yield SqliteSnapshot(connection, self._explain)

    def close(self) -> None:
        """Release every connection."""
        self._pool.close()
