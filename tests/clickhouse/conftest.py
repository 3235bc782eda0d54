"""A server and a database of ClickHouse for the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.cli.conftest import cli
from tests.clickhouse.server import ClickHouseServer, clickhouse_server, new_database, statement

__all__ = ["cli"]  # a fixture here too


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """One server per test process. Tests that kill one start their own (``clickhouse_server``)."""
    with clickhouse_server(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture
def clickhouse_url(clickhouse: ClickHouseServer) -> Iterator[str]:
    """``--store`` for an empty database of this test's own."""
    database = new_database()
    statement(clickhouse, f"CREATE DATABASE {database}")
    yield clickhouse.url(database)
    statement(clickhouse, f"DROP DATABASE {database}")
