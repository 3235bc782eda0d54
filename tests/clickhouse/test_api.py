"""The API over records in ClickHouse gives what it gives over the same records in SQLite."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from starlette.testclient import TestClient

from llm_metrics_proxy.record import ROW_COLUMNS
from tests.api.service import client
from tests.clickhouse.pair import Pair, difference, made, paired
from tests.clickhouse.server import ClickHouseServer, new_database, statement

pytestmark = pytest.mark.system

ROWS: Final = made(120, seed=5)
RANGE: Final = "start=2026-03-28T21:00:00Z&end=2026-03-29T04:00:00Z"  # shorter than sums by the hour are worth
_ID: Final = ROWS[7][ROW_COLUMNS.index("request_id")]
ASKED: Final = (
    "/requests?limit=20",
    f"/requests?limit=1000&{RANGE}",
    f"/requests/{_ID}",
    "/requests/17",
    "/requests/999",
    f"/summary?{RANGE}",
    f"/errors?{RANGE}",
    f"/errors?{RANGE}&error_category=limit&examples=5",
    f"/query?metrics=requests,success_rate,response_time_ms.p95,total_tokens&group_by=model&{RANGE}",
    f"/query?metrics=goodput&slo=response_time_ms<1000&group_by=time,backend_name&bucket=15m&{RANGE}",
    f"/timeseries?{RANGE}",
    f"/breakdown?by=origin&{RANGE}",
    f"/compare?by=model&{RANGE}",
    f"/distribution?metric=response_time_ms&{RANGE}",
    f"/heatmap?timezone=Europe/Berlin&{RANGE}",
    f"/export?format=jsonl&{RANGE}",
    f"/export?format=csv&{RANGE}",
    f"/report?format=md&{RANGE}",
    "/query?metrics=nothing",
    "/versions",
    "/slos",
    "/quotas",
)


EXPECTED: Final = {"/requests/999": 404, "/query?metrics=nothing": 422}


@pytest.fixture(scope="module")
def pair(clickhouse: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    database = new_database()
    statement(clickhouse, f"CREATE DATABASE {database}")
    with paired(clickhouse.url(database), tmp_path_factory.mktemp("pair")) as both:
        both.add(ROWS[:70], "one")
        both.add(ROWS[70:], "two")
        yield both
    statement(clickhouse, f"DROP DATABASE {database}")


def clients(pair: Pair) -> tuple[TestClient, TestClient]:
    return client(pair.database), client(pair.database, records=pair.clickhouse)


@pytest.mark.parametrize("path", ASKED)
def test_answers_as_over_sqlite(pair: Pair, path: str) -> None:
    one, other = (asked.get(f"/api/v1{path}") for asked in clients(pair))
    assert (other.status_code, other.headers["content-type"]) == (one.status_code, one.headers["content-type"])
    assert one.status_code == EXPECTED.get(path, 200)
    if "json" not in one.headers["content-type"] or path.startswith("/export"):
        assert other.text == one.text
    else:
        assert difference(without_source(one.json()), without_source(other.json())) == ""


def without_source(answer: Any) -> Any:
    """Roll-ups of SQLite answer what records answer too, within their error."""
    if isinstance(answer, dict):
        return {key: without_source(value) for key, value in answer.items() if key not in ("source", "relative_error")}
    return [without_source(one) for one in answer] if isinstance(answer, list) else answer


def test_is_ready(pair: Pair) -> None:
    for asked in clients(pair):
        assert asked.get("/ready").status_code == 200
