"""Versions fused into one SELECT: what several expressions share is worked out once, and for plain records never."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.carry_functions import register
from llm_metrics_proxy.migration.carry_sql import carry
from llm_metrics_proxy.migration.formula import column, when
from llm_metrics_proxy.migration.fused import pipeline, steps_for
from llm_metrics_proxy.migration.model import ColumnChange, Gap, Migration, SharedExpressions
from llm_metrics_proxy.migration.old_table import read_table
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests import legacy
from tests.migration.carrying import carried
from tests.migration.databases import execute

SHARED = SharedExpressions(
    layers=((("half", "looked_up(total_tokens)"),), (("rate", "half / response_time_ms"), ("why", "half < 3"))),
    seen=(("rate", "1"), ("why", "0")),
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


@pytest.fixture
def looked_up() -> list[object]:
    """Values that were asked for."""
    return []


@pytest.fixture
def table(looked_up: list[object]) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")

    def look(*values: Any) -> int | None:
        looked_up.extend(values)
        return None if values[0] is None else values[0] // 2

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


def selected(table: apsw.Connection, *, distrusts: bool = False, stamp: str = "2.0.0") -> list[tuple[Any, ...]]:
    old = read_table(table, "completion_requests", rows="main.completion_requests", key="id")
    steps = steps_for(old, [RATES], [stamp], app_version=APP_VERSION, distrusts=distrusts)
    names = "app_version, recompute_reason, tokens_per_second, origin"
    return list(table.execute(f"SELECT {names} FROM ({pipeline(old, steps).sql})", (0, 100)))


def test_each_record_is_looked_up_once_and_a_plain_one_never(table: apsw.Connection, looked_up: list[object]) -> None:
    assert selected(table) == [
        ("4.0.0", "small", 1, "1 1"), ("4.0.0", None, 2, "2 0"), ("4.0.0", None, 1, "1 0"),
        ("4.0.0", "none", None, None),
    ]  # fmt: skip
    assert looked_up == [4, 8, None]


def test_a_stamp_that_the_record_does_not_follow_is_found_by_it(table: apsw.Connection) -> None:
    table.execute("UPDATE completion_requests SET app_version = '4.1.0', tokens_per_second = 1")
    stamps = [row[0] for row in selected(table, distrusts=True, stamp="4.1.0")]
    assert stamps == ["4.1.0", "4.0.0", "4.1.0", "4.0.0"]


def test_what_is_shared_is_a_part_of_the_checksum_where_there_is_any() -> None:
    without = RATES._replace(shared=None)
    assert RATES.checksum != without.checksum
    assert RATES._replace(shared=SHARED._replace(plain="0")).checksum != RATES.checksum
    assert without.evaluated("1", "2") == "(1, 2)"


def test_a_tree_is_a_part_of_the_checksum_and_stands_where_sql_may() -> None:
    tree = when(column("total_tokens") > 0, column("total_tokens") / 2)
    by_tree = RATES._replace(changes=(ColumnChange("tokens_per_second", tree),), shared=None)
    other = RATES._replace(changes=(ColumnChange("tokens_per_second", tree + 1),), shared=None)
    assert by_tree.checksum != other.checksum


def mixed(path: Path) -> Path:
    """Records of every stamp in one table of a 2.x program."""
    legacy.make(path, "2.0", 60)
    for place, stamp in enumerate(("1.0.0", "2.0.0", "3.0.0", "4.0.0", "4.5.0", "v2", "10.0.0-rc.1", None)):
        execute(path, f"UPDATE completion_requests SET app_version = ?1 WHERE id % 8 = {place}", (stamp,))
    return path


def test_each_record_takes_the_versions_above_its_stamp_alone(tmp_path: Path) -> None:
    with carried(mixed(tmp_path / "metrics.db"), distrusts=False) as now:
        rows = now.rows()
        assert now.faults() == []
    stamps = {number % 8: row["app_version"] for number, row in rows.items()}
    assert stamps == {place: "10.0.0-rc.1" if place == 6 else MIGRATIONS[-1].version for place in range(8)}
    classified = {number % 8 for number, row in rows.items() if row["outcome"] is not None}
    assert classified == {0, 1, 5, 7}, "those stamped 3.0.0 or later say that they were"


def test_one_version_after_the_other_is_what_all_at_once_is(tmp_path: Path) -> None:
    path = mixed(tmp_path / "metrics.db")
    with carried(path, distrusts=False) as now:
        at_once = now.rows()
    for versions in range(1, len(MIGRATIONS) + 1):
        chain, is_first = MIGRATIONS[:versions], versions == 1
        path = legacy_copy(path, tmp_path / f"{versions}.db", is_first=is_first)
        key = "id" if is_first else "arrival"
        with carried(path, chain=chain, app_version=chain[-1].version, distrusts=False, key=key) as now:
            in_steps = now.rows()
    assert in_steps == at_once


def legacy_copy(before: Path, path: Path, *, is_first: bool) -> Path:
    """The table as it was, or the new one of the version before."""
    path.write_bytes(before.read_bytes())
    if is_first:
        execute(path, "DROP TABLE completion_requests")
        execute(path, "ALTER TABLE completion_requests_before RENAME TO completion_requests")
    else:
        execute(path, "DROP TABLE completion_requests_before")
    return path


def test_a_version_about_a_column_that_the_table_lacks_costs_nothing(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "1.1", 5)
    connection = apsw.Connection(str(path))
    register(connection)
    how = carry(connection, "completion_requests", MIGRATIONS, [None], app_version=APP_VERSION, distrusts=True)
    connection.close()
    assert "recounted" not in how.insert
    assert how.steps[-1].migration.version == "5.0.0"
