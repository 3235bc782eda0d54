from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_metrics_proxy.export import ExportQuery, export
from llm_metrics_proxy.storage.base import Reader
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics import odd
from tests.analytics.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(params=odd.TYPES)
def odd_reader(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SqliteReader]:
    """A table with every odd value in every column, declared in every way."""
    odd.make(tmp_path / "odd.db", request.param)
    reader = SqliteReader(tmp_path / "odd.db")
    yield reader
    reader.close()


def file_of(reader: Reader, query: ExportQuery) -> bytes:
    """A whole export."""
    return b"".join(piece.data for piece in export(reader, query))


def asked(question: str) -> list[Any]:
    """DuckDB's answer."""
    relation = duckdb.sql(question)
    assert relation is not None
    return relation.fetchall()
