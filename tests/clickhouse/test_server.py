from urllib.parse import urlsplit

import pytest

from tests.child_processes import answers
from tests.clickhouse.server import PASSWORD, ClickHouseServer, clickhouse_server, new_database, statement

pytestmark = pytest.mark.system


def test_keeps_its_tables_over_kills(tmp_path_factory: pytest.TempPathFactory) -> None:
    with clickhouse_server(tmp_path_factory.mktemp("killed")) as server:
        database = new_database()
        statement(server, f"CREATE DATABASE {database}")
        statement(server, f"CREATE TABLE {database}.t (a Int64) ENGINE = MergeTree ORDER BY a")
        statement(server, f"INSERT INTO {database}.t SELECT number FROM numbers(100000)")
        for _ in range(2):
            server.restart()
            assert statement(server, f"SELECT count(), sum(a) FROM {database}.t") == "100000\t4999950000\n"
        server.kill()
        assert not answers(server.netloc, "/ping")


def test_is_a_whole_server(clickhouse: ClickHouseServer, clickhouse_url: str) -> None:
    database = urlsplit(clickhouse_url).path[1:]
    statement(clickhouse, f"CREATE TABLE {database}.t (a Int64) ENGINE = MergeTree ORDER BY a")
    assert "BACKUP_CREATED" in statement(clickhouse, f"BACKUP TABLE {database}.t TO File('{database}')")
    assert statement(clickhouse, "SELECT count() > 0 FROM system.processes") == "1\n"


def test_has_a_user_with_a_password(clickhouse: ClickHouseServer) -> None:
    assert statement(clickhouse, "SELECT currentUser()", "guarded", PASSWORD) == "guarded\n"
    with pytest.raises(AssertionError, match="AUTHENTICATION_FAILED"):
        statement(clickhouse, "SELECT 1", "guarded", "another")
