import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.dimensions import DIMENSIONS
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.measures import FIELDS, NAMED
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.export.arrow import parquet_of, stream_of, table_of
from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.analytics.database import NOON, Database, a_record, a_row

NOW = NOON + timedelta(hours=1)
HOUR = RequestFilter(start=NOON, end=NOW)


def asked(database: Database, *metrics: str, **query: Any) -> Result:
    return ask(database.records.sources(), Query(metrics=metrics, filter=HOUR, **query), NOW)


def types_of(result: Result) -> dict[str, str]:
    return {field.name: str(field.type) for field in table_of(result).schema}


def test_a_row_is_a_row_with_the_numbers_of_the_answer(database: Database) -> None:
    database.add(*(a_record(number, model="ab"[number % 2], response_time_ms=number * 1.5) for number in range(9)))
    result = asked(database, "requests", "response_time_ms.p95", group_by=("model",))
    rows = table_of(result).to_pylist()
    assert [row["model"] for row in rows] == ["a", "b"]
    for row, told in zip(rows, result.rows, strict=True):
        for name, one in told.values.items():
            assert (row[name], row[f"{name}.n"]) == (one.value, one.n)


def test_types_follow_from_the_query(database: Database) -> None:
    database.add(a_record(0))
    result = asked(
        database,
        *("requests", "success_rate", "total_tokens", "cost_usd", "concurrency_max", "concurrency_mean"),
        *("response_time_ms.mean", "total_tokens.mean", "total_tokens.max", "response_time_ms.count"),
        group_by=("time", "model", "streaming", "status_code"),
        timezone="Europe/Berlin",
    )
    types = types_of(result)
    assert (types["time"], types["model"], types["streaming"]) == ("timestamp[us, tz=Europe/Berlin]", "string", "bool")
    assert types["status_code"] == "int64"
    whole = ("requests", "total_tokens", "concurrency_max", "total_tokens.max", "response_time_ms.count")
    assert {types[name] for name in whole} == {"int64"}
    broken = ("success_rate", "cost_usd", "concurrency_mean", "response_time_ms.mean", "total_tokens.mean")
    assert {types[name] for name in broken} == {"double"}
    assert types["partial"] == "bool"


def test_nothing_stored_has_the_same_schema(database: Database) -> None:
    query = {"group_by": ("time", "model"), "compare": True}
    empty = table_of(asked(database, "requests", "response_time_ms.p95", **query)).schema
    database.add(a_record(0))
    assert table_of(asked(database, "requests", "response_time_ms.p95", **query)).schema.equals(empty)


def test_a_moment_is_the_one_of_the_answer_in_the_zone_asked_for(database: Database) -> None:
    database.add(a_record(60))
    result = asked(database, "requests", group_by=("time",), bucket="15m", timezone="Asia/Kathmandu")
    (first, *_) = table_of(result).to_pylist()
    assert first["time"].astimezone(UTC) == datetime.fromisoformat(str(result.rows[0].key["time"])) == NOON
    assert first["time"].utcoffset() == timedelta(hours=5, minutes=45)


def test_units_meanings_and_what_else_the_answer_says_are_metadata(database: Database) -> None:
    database.add(a_record(0))
    result = asked(database, "response_time_ms.p95", group_by=("model",))
    schema = table_of(result).schema
    assert schema.field("response_time_ms.p95").metadata[b"unit"] == b"ms"
    assert schema.field("response_time_ms.p95").metadata[b"meaning"].startswith(b"percentile 95 of:")
    assert schema.field("model").metadata[b"kind"] == b"dimension"
    assert schema.metadata[b"app_version"].decode() == APP_VERSION
    said = json.loads(schema.metadata[b"answer"])
    whole = msgspec.json.decode(msgspec.json.encode(result))
    assert said == {name: value for name, value in whole.items() if name not in {"rows", "columns"}}


def test_missing_is_null_and_others_together_are_marked(database: Database) -> None:
    database.add(a_record(0, model=None, response_time_ms=None), a_record(1, model="b"), a_record(2, model="b"))
    rows = table_of(asked(database, "requests", "response_time_ms.p95", group_by=("model",), limit=1)).to_pylist()
    assert rows[0]["merged"] == 0
    assert (rows[1]["model"], rows[1]["merged"]) == (None, 1)
    assert (rows[1]["response_time_ms.p95"], rows[1]["response_time_ms.p95.n"]) == (None, 0)


def test_a_comparison_has_the_period_before(database: Database) -> None:
    database.add(a_record(-60, model="old"), a_record(-30), a_record(0), a_record(1), a_record(2, model="fresh"))
    table = table_of(asked(database, "requests", group_by=("model",), compare=True))
    rows = {row["model"]: row for row in table.to_pylist()}
    kept = rows["llama3.1:8b"]
    assert [kept[f"requests{end}"] for end in ("", ".previous", ".previous_n", ".change")] == [2, 1, 1, 1.0]
    assert (kept["presence"], rows["fresh"]["presence"], rows["old"]["presence"]) == (None, "new", "gone")
    assert str(table.schema.field("requests.previous").type) == "int64"


def test_bins_below_zero_are_minus_infinity(database: Database) -> None:
    database.append([a_row(a_record(0, response_time_ms=-5.0)), a_row(a_record(1, response_time_ms=4.0))])
    keys = table_of(asked(database, "requests", group_by=("bin:response_time_ms",)))["bin:response_time_ms"]
    assert keys.to_pylist() == [float("-inf"), 3.0]


def test_every_metric_and_dimension_becomes_a_column(database: Database) -> None:
    database.append([a_row(a_record(0, tags="team=x"), cost_usd=0.25)])
    names = [name for name in NAMED if name != "goodput"]
    names += [f"{name}.{part}" for name in FIELDS for part in ("min", "p50")]
    for at in range(0, len(names), 25):
        table = table_of(asked(database, *names[at : at + 25]))
        assert set(names[at : at + 25]) < set(table.column_names)
    for name in (*DIMENSIONS, "tag:team", "bin:cost_usd"):
        assert table_of(asked(database, "requests", group_by=(name,)))[name].null_count <= 1


@pytest.mark.parametrize("form", ["stream", "parquet"])
def test_a_stream_and_a_file_give_the_table_back(database: Database, form: str) -> None:
    database.add(a_record(0), a_record(1, model="b"))
    result = asked(database, "requests", "response_time_ms.p95", group_by=("time", "model"), timezone="Europe/Berlin")
    if form == "stream":
        back = pa.ipc.open_stream(stream_of(result)).read_all()
    else:
        back = pq.read_table(pa.BufferReader(parquet_of(result)))
    assert back.schema.equals(table_of(result).schema, check_metadata=True)
    assert back.equals(table_of(result))
