from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import duckdb
import pytest

from llm_metrics_proxy.export import ExportQuery, export
from tests.analytics.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    yield opened
    opened.close()


def file_of(database: Database, query: ExportQuery) -> bytes:
    """A whole export."""
    return b"".join(piece.data for piece in export(database.records, query))


def carry_over(database: Database, arrival: int, **values: Any) -> None:
    """Give a record what only a migration writes."""
    connection = apsw.Connection(str(database.path))
    sets = ", ".join(f"{name} = ?" for name in values)
    connection.execute(f"UPDATE completion_requests SET {sets} WHERE arrival = ?", (*values.values(), arrival))
    connection.close()


def asked(question: str) -> list[Any]:
    """DuckDB's answer."""
    relation = duckdb.sql(question)
    assert relation is not None
    return relation.fetchall()
