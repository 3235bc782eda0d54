"""What several expressions of a migration rest on is worked out once for each record, and not at all for plain ones."""

from collections.abc import Iterator
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.migration.model import ColumnChange, Gap, Migration, SharedExpressions
from llm_metrics_proxy.migration.sql import RunSql
from llm_metrics_proxy.safe_migrations import MIGRATIONS

SHARED = SharedExpressions(
    layers=((("half", "looked_up(total_tokens)"),), (("rate", "half / response_time_ms"), ("why", "half < 3"))),
    seen=(("rate", "0.5"), ("why", "0")),
    plain="total_tokens = 1",
)
RATES = Migration(
    version="4.0.0",
    summary="",
    changes=(ColumnChange("tokens_per_second", "rate"), ColumnChange("origin", "rate || ' ' || why")),
    gaps=(Gap("small", "why", "too little"), Gap("none", "rate IS NULL", "nothing")),
    inputs=("total_tokens", "response_time_ms"),
    oracle=lambda *values: values,
    distrusted="tokens_per_second IS NOT rate",
    shared=SHARED,
)
EVERY = (0, 100)


@pytest.fixture
def looked_up() -> list[object]:
    """Values that were asked for."""
    return []


@pytest.fixture
def table(looked_up: list[object]) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")

    def look(*values: Any) -> float | None:
        looked_up.extend(values)
        return None if values[0] is None else values[0] / 2

    connection.create_scalar_function("looked_up", look, 1)
    connection.execute(
        "CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, app_version, recompute_reason, total_tokens, "
        "response_time_ms, tokens_per_second, origin, half, rate, why);"
        # a foreign file may have columns of any name: the migration's own names go before them
        "INSERT INTO completion_requests (total_tokens, app_version, half, rate, why) "
        "VALUES (4, '2.0.0', 8, 8, 8), (8, '2.0.0', 8, 8, 8), (1, '2.0.0', 8, 8, 8), (NULL, '2.0.0', 8, 8, 8);"
        "UPDATE completion_requests SET response_time_ms = 2"
    )
    yield connection
    connection.close()


def migrated(table: apsw.Connection, sql: RunSql) -> list[tuple[object, ...]]:
    for statement in (sql.create_undo_table(0), sql.save_undo(0), sql.update(0)):
        table.execute(statement, EVERY if "?1" in statement else ())
    return list(
        table.execute("SELECT app_version, recompute_reason, tokens_per_second, origin FROM completion_requests")
    )


def test_each_record_is_looked_up_once_and_a_plain_one_never(table: apsw.Connection, looked_up: list[object]) -> None:
    assert migrated(table, RunSql(1, [RATES], older=[["2.0.0"]])) == [
        ("4.0.0", "small", 1.0, "1.0 1"),
        ("4.0.0", None, 2.0, "2.0 0"),
        ("4.0.0", None, 0.5, "0.5 0"),
        ("4.0.0", "none", None, None),
    ]
    assert looked_up == [4, 8, None]


def test_a_conflict_is_found_by_one_look(table: apsw.Connection, looked_up: list[object]) -> None:
    sql = RunSql(1, [RATES], older=[["2.0.0"]])
    migrated(table, sql)
    looked_up.clear()
    assert table.execute(sql.conflicts(0), EVERY).fetchall() == []
    assert looked_up == [4, 8, None]
    table.execute("UPDATE completion_requests SET origin = 'x' WHERE id IN (2, 3)")
    assert table.execute(sql.conflicts(0), EVERY).fetchall() == [(2,), (3,)]


def test_a_stamp_that_the_record_does_not_follow_is_found_by_it(table: apsw.Connection) -> None:
    table.execute("UPDATE completion_requests SET app_version = '4.0.0', tokens_per_second = 0.5")
    claiming = RunSql(1, [RATES], older=[[]], claiming=[["4.0.0"]])
    taken = table.execute(f"SELECT id FROM completion_requests WHERE {claiming.selects(0)}").fetchall()
    assert taken == [(1,), (2,), (4,)]


def test_what_is_given_is_a_part_of_the_checksum_where_there_is_any() -> None:
    without = RATES._replace(shared=None)
    assert RATES.checksum != without.checksum
    assert RATES._replace(shared=SHARED._replace(plain="0")).checksum != RATES.checksum
    assert without.evaluated("1", "2") == "(1, 2)"


def test_the_statements_stay_small() -> None:
    """Each is prepared anew for every batch: a verdict that stood in each of seven columns took 250 KB and 8 ms."""
    stamps = ["1.0.0", *(migration.version for migration in MIGRATIONS)]
    older = [stamps[: k + 1] for k in range(len(MIGRATIONS))]
    sql = RunSql(1, MIGRATIONS, older=older, claiming=[[migration.version] for migration in MIGRATIONS])
    for k in range(len(MIGRATIONS)):
        for statement in (sql.update(k), sql.save_undo(k), sql.conflicts(k), sql.missed(k, 1)):
            assert len(statement) < 64_000
